"""Profiles of the wire as facts of the domain; training reads the stored bytes of a profile through the same code."""

from collections.abc import Mapping
from dataclasses import replace

from bihuan.common.v1 import common_pb2
from bihuan.profile.v1 import profile_pb2
from bihuan_scoring.domain.facts import OrderFacts, PersonFacts
from bihuan_shared.clock import to_us
from bihuan_shared.profile_segments import segments_of

_BEHAVIOUR_NAMES: Mapping[int, str] = {
    number: name.removeprefix("BEHAVIOUR_").lower() for name, number in common_pb2.Behaviour.items() if number
}


def person_facts(profile: profile_pb2.Profile) -> PersonFacts | None:
    """The facts of a profile that a score may depend on; None where it says that nothing is known."""
    if profile.empty:
        return None
    return PersonFacts(
        person_id=profile.person_id,
        attributes={attribute.name: _attribute_value(attribute) for attribute in profile.attributes},
        interests=[(each.tag, each.long_term, each.instant) for each in profile.interests],
        activities={
            _BEHAVIOUR_NAMES[each.behaviour]: (each.long_term, each.instant, each.total)
            for each in profile.activities
            if each.behaviour in _BEHAVIOUR_NAMES
        },
        orders=_order_facts(profile),
        withheld=profile.withheld_count > 0,
        attribute_times_us={
            attribute.name: to_us(attribute.update_time)
            for attribute in profile.attributes
            if attribute.HasField("update_time")
        },
    )


def audience_facts(profile: profile_pb2.Profile) -> PersonFacts | None:
    """The facts of a profile that an audience may depend on: segments as well, which scores do without."""
    facts = person_facts(profile)
    return None if facts is None else replace(facts, segments=segments_of(profile))


def stored_person_facts(profile: bytes) -> PersonFacts | None:
    """
    The facts of a serialized profile; None for no bytes.

    Raises `google.protobuf.message.DecodeError` for bytes that are no profile.
    """
    return person_facts(profile_pb2.Profile.FromString(profile)) if profile else None


def _attribute_value(attribute: profile_pb2.Attribute) -> str | float | bool:
    kind = attribute.WhichOneof("value")
    if kind == "text":
        return attribute.text
    return attribute.flag if kind == "flag" else attribute.number


def _order_facts(profile: profile_pb2.Profile) -> OrderFacts | None:
    if not profile.HasField("rfm"):
        return None
    rfm = profile.rfm
    return OrderFacts(
        last_order_time_us=to_us(rfm.last_order_time),
        frequency=rfm.frequency,
        monetary_micros=float(rfm.monetary[0].micros) if rfm.monetary else 0.0,
        monetary_decayed_micros=rfm.monetary_decayed_micros,
    )
