"""Between messages of the contract and the domain. Numbers of enums are the same on both sides."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, cast

from google.protobuf.timestamp_pb2 import Timestamp

from bihuan.common.v1 import common_pb2
from bihuan.profile.v1 import profile_pb2
from bihuan_profile.domain.aipl import AiplStage
from bihuan_profile.domain.behaviour import Amount, Behaviour, Event, Item, order_key
from bihuan_profile.domain.governance import NO_CONSENT, Consent, DataClass, Purpose
from bihuan_profile.domain.record import Fact, FactValue
from bihuan_profile.domain.relation import RelationStage
from bihuan_profile.domain.relations import RelationView
from bihuan_profile.domain.standing import Standing
from bihuan_profile.domain.view import AttributeView, OwnedView, ProfileView, RfmView
from bihuan_profile.use_cases.ingesting import Submission
from bihuan_profile.use_cases.knowing import NO_ADVERTISERS, FactUpdate, Query
from bihuan_shared.clock import MICROS_PER_SECOND, to_us
from bihuan_shared.errors import FieldViolation, InvalidArgument, NotYet
from bihuan_shared.money import MAX_MICROS

_PURPOSES: Final = {int(purpose): purpose for purpose in Purpose}
_ACCEPTED_BEHAVIOURS: Final = {
    common_pb2.EVENT_TYPE_IMPRESSION: Behaviour.IMPRESSION,
    common_pb2.EVENT_TYPE_CLICK: Behaviour.CLICK,
    common_pb2.EVENT_TYPE_ORDER: Behaviour.ORDER,
    common_pb2.EVENT_TYPE_REFUND: Behaviour.REFUND,
}

# Plain numbers by number: made once, as a profile has many relations and enums take long.
_STAGES: Final = tuple(map(profile_pb2.RelationStage.ValueType, range(len(RelationStage) + 1)))
_AIPL_STAGES: Final = tuple(map(profile_pb2.AiplStage.ValueType, range(len(AiplStage))))


def person_id_of(ref: common_pb2.PersonRef) -> int:
    """The person's number. Raises NotYet for a pseudonym."""
    if ref.WhichOneof("person") == "person_token":
        raise NotYet("pseudonyms are not understood yet")
    return ref.person_id


def consent_of(message: common_pb2.Consent) -> Consent:
    """What was agreed to; an empty message is no consent."""
    return _consent(tuple(message.purposes), tuple(message.data_classes))


@lru_cache(maxsize=1_024)
def _consent(purposes: tuple[int, ...], data_classes: tuple[int, ...]) -> Consent:
    if not purposes:
        return NO_CONSENT
    return Consent(
        frozenset(Purpose(number) for number in purposes if number),
        frozenset(DataClass(number) for number in data_classes if number),
    )


def query_of(
    message: profile_pb2.ProfileQuery | profile_pb2.GetProfileRequest | profile_pb2.ExplainProfileRequest,
) -> Query:
    """One read."""
    # Private tags are told, and made by no rule that could be explained.
    named = () if isinstance(message, profile_pb2.ExplainProfileRequest) else message.advertiser_ids
    advertisers = frozenset(named) if named else NO_ADVERTISERS
    return Query(person_id_of(message.person), _PURPOSES[message.purpose], consent_of(message.consent), advertisers)


def submissions_of(events: Iterable[profile_pb2.BehaviourEvent], now_us: int) -> list[Submission]:
    """Events to take in; one without a time happened now. Raises InvalidArgument naming every field at fault."""
    violations: list[FieldViolation] = []
    submissions = []
    for index, message in enumerate(events):
        amount = None
        if message.HasField("amount"):
            amount = Amount(message.amount.currency, message.amount.micros)
            if not 0 <= amount.micros <= MAX_MICROS:
                description = f"must be between 0 and {MAX_MICROS}"
                violations.append(FieldViolation(f"events[{index}].amount.micros", description))
        for position, tag in enumerate(message.tags):
            if not tag.isprintable() or not tag.strip():
                description = "must be a text without control characters"
                violations.append(FieldViolation(f"events[{index}].tags[{position}]", description))
        event = Event(
            person_id=person_id_of(message.person),
            key=message.event_id,
            behaviour=Behaviour(message.behaviour),
            time_us=to_us(message.event_time) if message.HasField("event_time") else now_us,
            tags=tuple(message.tags),
            amount=amount,
            sighting_id=message.sighting_id,
            items=_items(message.items),
            origin="call",
        )
        shared_by = person_id_of(message.shared_by) if message.HasField("shared_by") else 0
        submissions.append(Submission(event, consent_of(message.consent), shared_by))
    if violations:
        raise InvalidArgument(f"{violations[0].field}: {violations[0].description}", *violations)
    return submissions


def accepted_submission(message: common_pb2.AcceptedEvent) -> Submission | None:
    """
    What attribution has accepted; None where it concerns no known person or is no behaviour.

    An order is keyed by its order id, so that the same purchase told as behaviour counts once. Raises ValueError where
    the message cannot be what attribution accepts.
    """
    behaviour = _ACCEPTED_BEHAVIOURS.get(message.event_type)
    if behaviour is None or not message.person_id:
        return None
    if not message.event_id or not message.HasField("event_time") or message.amount.micros < 0:
        raise ValueError("an accepted event has an id, a time, and an amount that is not negative")
    if behaviour is Behaviour.ORDER:
        key = order_key(message.order_id or message.event_id)
    else:
        key = f"{behaviour.name.lower()}:{message.event_id}"
    amount = Amount(message.amount.currency, message.amount.micros) if message.HasField("amount") else None
    time_us, tags = to_us(message.event_time), tuple(message.tags)
    items = _items(message.items)
    event = Event(message.person_id, key, behaviour, time_us, tags, amount, message.sighting_id, items, origin="stream")
    return Submission(event, consent_of(message.consent))


def _items(messages: Iterable[common_pb2.PurchasedItem]) -> tuple[Item, ...]:
    return tuple(Item(one.category, one.brand, one.size, one.quantity) for one in messages)


def fact_updates_of(updates: Sequence[profile_pb2.AttributeUpdate], now_us: int) -> list[FactUpdate]:
    """Facts to set; one without a time was learnt now."""
    return [
        FactUpdate(
            person_id_of(update.person),
            tuple(
                (
                    attribute.name,
                    Fact(
                        _value_of(attribute),
                        to_us(attribute.update_time) if attribute.HasField("update_time") else now_us,
                        update.sighting_id,
                        update.origin,
                    ),
                )
                for attribute in update.attributes
            ),
            update.sighting_id,
        )
        for update in updates
    ]


def _value_of(attribute: profile_pb2.Attribute) -> FactValue:
    match attribute.WhichOneof("value"):
        case "text":
            return attribute.text
        case "flag":
            return attribute.flag
        case _:
            return attribute.number


def profile_message(person_id: int, view: ProfileView) -> profile_pb2.Profile:
    """The message of what may be told about a person."""
    message = profile_pb2.Profile()
    fill_profile(message, person_id, view)
    return message


def fill_profile(message: profile_pb2.Profile, person_id: int, view: ProfileView) -> None:
    """
    Put what may be told about a person into an empty message.

    Field by field and in place: a message that is put into another one is copied, which costs three times as much.
    """
    message.person_id = person_id
    for told in view.attributes:
        _fill_attribute(message.attributes.add(), told)
    add_interest = message.interests.add
    for tag, long_term, lately in view.interests:
        interest = add_interest()
        interest.tag, interest.long_term, interest.instant = tag, long_term, lately
    add_activity = message.activities.add
    for behaviour, long_term, lately, total in view.activities:
        activity = add_activity()
        activity.behaviour = cast("common_pb2.Behaviour.ValueType", behaviour)
        activity.long_term, activity.instant, activity.total = long_term, lately, total
    message.segments.extend(view.segments)
    message.withheld_count = view.withheld_count
    message.empty = view.empty
    for owned in view.owned:
        _fill_owned_item(message.owned_items.add(), owned)
    for size in view.sizes:
        message.preferred_sizes.add(category=size.category, size=size.size, share=size.share)
    for relation in view.relations:
        _fill_relation(message.relations.add(), relation)
    if view.rfm is not None:
        _fill_rfm(message.rfm, view.rfm)


def _fill_rfm(message: profile_pb2.Rfm, rfm: RfmView) -> None:
    if rfm.frequency:
        _fill_timestamp(message.last_order_time, rfm.last_order_time_us)
    message.frequency = rfm.frequency
    message.monetary_decayed_micros = rfm.decayed_micros
    for code, micros in rfm.monetary:
        message.monetary.add(currency=code, micros=micros)
    if rfm.standing is not None:
        _tell_standing(message, rfm.standing)


def _tell_standing(message: profile_pb2.Rfm, place: Standing) -> None:
    message.recency_quintile = place.recency
    message.frequency_quintile = place.frequency
    message.monetary_quintile = place.monetary or 0
    message.price_band = place.price_band or ""
    if place.expected_micros is not None:
        message.expected_spend.currency = place.currency
        message.expected_spend.micros = place.expected_micros
    if place.alive_probability is not None:
        message.alive_probability = place.alive_probability


def _fill_owned_item(message: profile_pb2.OwnedItem, one: OwnedView) -> None:
    message.category, message.brand, message.size = one.kind
    message.quantity = one.quantity
    _fill_timestamp(message.last_bought_time, one.last_us)
    if one.replacement_us is not None:
        _fill_timestamp(message.expected_replacement_time, one.replacement_us)


def _fill_relation(message: profile_pb2.Relation, one: RelationView) -> None:
    message.brand = one.brand
    message.stage = _STAGES[one.stage]
    _fill_timestamp(message.since_time, one.since_us)
    message.aipl = _AIPL_STAGES[one.aipl]


def _fill_attribute(message: profile_pb2.Attribute, told: AttributeView) -> None:
    message.name = told.name
    _fill_timestamp(message.update_time, told.fact.time_us)
    message.data_class = cast("common_pb2.DataClass.ValueType", told.data_class)
    message.confidence = told.confidence
    if told.derived:
        message.derived = True
    value = told.fact.value
    if isinstance(value, str):
        message.text = value
    elif isinstance(value, bool):
        message.flag = value
    else:
        message.number = value


def _fill_timestamp(message: Timestamp, time_us: int) -> None:
    message.seconds, micros = divmod(time_us, MICROS_PER_SECOND)
    message.nanos = micros * 1_000
