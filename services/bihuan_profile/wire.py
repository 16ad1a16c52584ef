"""Between messages of the contract and the domain. Numbers of enums are the same on both sides."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from bihuan.common.v1 import common_pb2
from bihuan.profile.v1 import profile_pb2
from bihuan_profile.domain.aipl import AiplStage
from bihuan_profile.domain.behaviour import Amount, Behaviour, Event, Item, order_key
from bihuan_profile.domain.governance import NO_CONSENT, Consent, DataClass, Purpose
from bihuan_profile.domain.record import Fact, FactValue
from bihuan_profile.domain.relation import RelationStage
from bihuan_profile.domain.relations import RelationView
from bihuan_profile.domain.standing import Standing
from bihuan_profile.domain.view import AttributeView, OwnedView, ProfileView
from bihuan_profile.use_cases.ingesting import Submission
from bihuan_profile.use_cases.knowing import NO_ADVERTISERS, FactUpdate, Query
from bihuan_shared.clock import to_timestamp, to_us
from bihuan_shared.errors import FieldViolation, InvalidArgument, NotYet
from bihuan_shared.money import MAX_MICROS

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
    return Query(person_id_of(message.person), Purpose(message.purpose), consent_of(message.consent), advertisers)


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
    message = profile_pb2.Profile(
        person_id=person_id,
        attributes=[_attribute(v) for v in view.attributes],
        interests=[profile_pb2.Interest(tag=v.tag, long_term=v.long_term, instant=v.instant) for v in view.interests],
        activities=[
            profile_pb2.Activity(
                behaviour=common_pb2.Behaviour.ValueType(v.behaviour),
                long_term=v.long_term,
                instant=v.instant,
                total=v.total,
            )
            for v in view.activities
        ],
        segments=view.segments,
        withheld_count=view.withheld_count,
        empty=view.empty,
        owned_items=[_owned_item(one) for one in view.owned],
        preferred_sizes=[
            profile_pb2.PreferredSize(category=one.category, size=one.size, share=one.share) for one in view.sizes
        ],
        relations=[_relation(one) for one in view.relations],
    )
    rfm = view.rfm
    if rfm is not None:
        if rfm.frequency:
            message.rfm.last_order_time.CopyFrom(to_timestamp(rfm.last_order_time_us))
        message.rfm.frequency = rfm.frequency
        message.rfm.monetary_decayed_micros = rfm.decayed_micros
        message.rfm.monetary.extend(common_pb2.Money(currency=code, micros=micros) for code, micros in rfm.monetary)
        if rfm.standing is not None:
            _tell_standing(message.rfm, rfm.standing)
    return message


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


def _owned_item(one: OwnedView) -> profile_pb2.OwnedItem:
    category, brand, size = one.kind
    message = profile_pb2.OwnedItem(
        category=category,
        brand=brand,
        size=size,
        quantity=one.quantity,
        last_bought_time=to_timestamp(one.last_us),
    )
    if one.replacement_us is not None:
        message.expected_replacement_time.CopyFrom(to_timestamp(one.replacement_us))
    return message


def _relation(one: RelationView) -> profile_pb2.Relation:
    return profile_pb2.Relation(
        brand=one.brand,
        stage=_STAGES[one.stage],
        since_time=to_timestamp(one.since_us),
        aipl=_AIPL_STAGES[one.aipl],
    )


def _attribute(view: AttributeView) -> profile_pb2.Attribute:
    fact = view.fact
    message = profile_pb2.Attribute(
        name=view.name,
        update_time=to_timestamp(fact.time_us),
        data_class=common_pb2.DataClass.ValueType(view.data_class),
        confidence=view.confidence,
        derived=view.derived,
    )
    if isinstance(fact.value, bool):
        message.flag = fact.value
    elif isinstance(fact.value, str):
        message.text = fact.value
    else:
        message.number = fact.value
    return message
