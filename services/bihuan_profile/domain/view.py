"""What a read tells about a person: the record as of now, less what purpose and consent withhold."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from bihuan_profile.domain.behaviour import Behaviour, data_class_of
from bihuan_profile.domain.decay import Weights, instant_factor, long_factor
from bihuan_profile.domain.derived import KEPT, derived_attributes
from bihuan_profile.domain.governance import DataClass, Permit
from bihuan_profile.domain.population import Population
from bihuan_profile.domain.record import Fact, Record
from bihuan_profile.domain.relations import RelationView, relations_told
from bihuan_profile.domain.segments import SEGMENTS
from bihuan_profile.domain.standing import Standing, derived_facts, standing
from bihuan_profile.domain.taxonomy import (
    ACTIVITY_PURPOSES,
    INTEREST_PURPOSES,
    RFM_PURPOSES,
    WARDROBE_PURPOSES,
    Taxonomy,
)
from bihuan_profile.domain.wardrobe import Kind, SizeShare, preferred_sizes, replacement_us

VISIBLE: Final = 1e-6
"""An interest weaker than this at both speeds is not told."""

_CLASS_OF: Final = {int(behaviour): data_class_of(behaviour) for behaviour in Behaviour}
_ACTIVITY_CLASSES: Final = frozenset(_CLASS_OF.values())


class AttributeView(NamedTuple):
    """A fact, its class, whether a rule made it for this read, and what age has left of its weight, in (0, 1]."""

    name: str
    fact: Fact
    data_class: DataClass
    derived: bool = False
    confidence: float = 1.0


class InterestView(NamedTuple):
    """Interest in a tag, decayed to the time of the read; never negative."""

    tag: str
    long_term: float
    instant: float


class ActivityView(NamedTuple):
    """How often a behaviour was seen, decayed to the time of the read, and in all."""

    behaviour: int
    long_term: float
    instant: float
    total: int


@dataclass(frozen=True, slots=True)
class RfmView:
    """
    Orders. `monetary` is sorted by currency; `decayed_micros` is that of the first, decayed to the read. `standing` is
    None where there is no population to compare with.
    """

    last_order_time_us: int
    frequency: int
    monetary: tuple[tuple[str, int], ...]
    decayed_micros: float
    standing: Standing | None = None


@dataclass(frozen=True, slots=True)
class OwnedView:
    """Something owned, and when it will probably be replaced, where that is known."""

    kind: Kind
    quantity: int
    last_us: int
    replacement_us: int | None


@dataclass(frozen=True, slots=True)
class ProfileView:
    """What may be told. `withheld_count` counts whatever of it may not be."""

    attributes: tuple[AttributeView, ...] = ()
    interests: tuple[InterestView, ...] = ()
    activities: tuple[ActivityView, ...] = ()
    segments: tuple[str, ...] = ()
    rfm: RfmView | None = None
    withheld_count: int = 0
    empty: bool = True
    owned: tuple[OwnedView, ...] = ()
    sizes: tuple[SizeShare, ...] = ()
    relations: tuple[RelationView, ...] = ()


def release(
    record: Record, permit: Permit, now_us: int, taxonomy: Taxonomy, population: Population | None = None
) -> ProfileView:
    """
    What `permit` lets out of `record` at `now_us`.

    A read at an instant before the newest event is answered as of that event. An attribute that the taxonomy does not
    know (any more), or that is private to an advertiser on whose behalf the read is not, is withheld. So is one that
    was set before a rule came to make it; what is told of any other wins over what a rule derives from `population`.
    """
    age_us = now_us - record.reference_us
    place = standing(record, now_us, population)
    attributes, withheld_attributes = _attributes(record, derived_facts(place), permit, now_us, taxonomy)
    interests, withheld_interests = _interests(record, permit, age_us)
    activities, withheld_activities = _activities(record, permit, age_us)
    segments, withheld_segments = _segments(record, permit, now_us)
    rfm, withheld_rfm = _rfm(record, place, permit, age_us)
    owned, sizes, withheld_owned = _wardrobe(record, permit, taxonomy)
    relations, withheld_relations = relations_told(record, permit, now_us)
    return ProfileView(
        attributes,
        interests,
        activities,
        segments,
        rfm,
        withheld_attributes
        + withheld_interests
        + withheld_activities
        + withheld_segments
        + withheld_rfm
        + withheld_owned
        + withheld_relations,
        empty=not record.facts and not record.counts,
        owned=owned,
        sizes=sizes,
        relations=relations,
    )


def _attributes(
    record: Record, derived: Mapping[str, Fact], permit: Permit, now_us: int, taxonomy: Taxonomy
) -> tuple[tuple[AttributeView, ...], int]:
    known = {**derived, **record.facts} if derived else record.facts
    told = []
    for name, fact in sorted(known.items()):
        tag = taxonomy.held(name)
        if tag is None or not permit.allows(tag.data_class, tag.purposes) or not permit.sees(tag.advertiser_id):
            continue
        made = name not in record.facts
        if tag.derived and not made and name not in KEPT:
            continue
        # What a rule made for this read has no age, whatever the time of what it rests on.
        confidence = 1.0 if made else tag.confidence(now_us - fact.time_us)
        told.append(AttributeView(tag.name, fact, tag.data_class, tag.derived or made, confidence))
    withheld = len(known) - len(told)
    found, withheld_derived = derived_attributes(record, permit, now_us, taxonomy)
    told.extend(AttributeView(tag.name, fact, tag.data_class, derived=True) for tag, fact in found)
    return tuple(told), withheld + withheld_derived


def _interests(record: Record, permit: Permit, age_us: int) -> tuple[tuple[InterestView, ...], int]:
    allowed: list[Weights[str]] = []
    withheld = 0
    for data_class, weights in (
        (DataClass.OPERATION, record.operation_interests),
        (DataClass.TRANSACTION, record.transaction_interests),
    ):
        if not weights.long:
            continue
        if permit.allows(data_class, INTEREST_PURPOSES):
            allowed.append(weights)
        else:
            withheld += len(weights.long)
    if not allowed:
        return (), withheld
    slow, fast = long_factor(age_us), instant_factor(age_us)
    long, instant = _sum([w.long for w in allowed]), _sum([w.instant for w in allowed])
    told = []
    # Sorting twice keeps names in order among equals, at half the price of pairs.
    for tag in sorted(sorted(long), key=long.__getitem__, reverse=True):
        long_term, lately = long[tag] * slow, instant.get(tag, 0.0) * fast
        if long_term >= VISIBLE or lately >= VISIBLE:
            told.append(InterestView(tag, max(0.0, long_term), max(0.0, lately)))
    return tuple(told), withheld


def _sum(parts: list[Mapping[str, float]]) -> Mapping[str, float]:
    if len(parts) == 1:
        return parts[0]
    total: dict[str, float] = {}
    for part in parts:
        for tag, weight in part.items():
            total[tag] = total.get(tag, 0.0) + weight
    return total


def _activities(record: Record, permit: Permit, age_us: int) -> tuple[tuple[ActivityView, ...], int]:
    slow, fast = long_factor(age_us), instant_factor(age_us)
    long, instant = record.activity.long, record.activity.instant
    allowed = {data_class: permit.allows(data_class, ACTIVITY_PURPOSES) for data_class in _ACTIVITY_CLASSES}
    told = [
        ActivityView(behaviour, long.get(behaviour, 0.0) * slow, instant.get(behaviour, 0.0) * fast, count.total)
        for behaviour, count in sorted(record.counts.items())
        if allowed[_CLASS_OF[behaviour]]
    ]
    return tuple(told), len(record.counts) - len(told)


def _segments(record: Record, permit: Permit, now_us: int) -> tuple[tuple[str, ...], int]:
    held = [segment for segment in SEGMENTS if segment.holds(record, now_us)]
    told = tuple(segment.name for segment in held if permit.allows(segment.data_class, segment.purposes))
    return told, len(held) - len(told)


def _rfm(record: Record, place: Standing | None, permit: Permit, age_us: int) -> tuple[RfmView | None, int]:
    orders = record.orders
    if not orders.frequency and not orders.monetary:
        return None, 0
    if not permit.allows(DataClass.TRANSACTION, RFM_PURPOSES):
        return None, 1
    monetary = sorted(orders.monetary.items())
    decayed = max(0.0, monetary[0][1].decayed_micros * long_factor(age_us)) if monetary else 0.0
    sums = tuple((currency, spend.micros) for currency, spend in monetary)
    return RfmView(orders.last_time_us, orders.frequency, sums, decayed, place), 0


def _wardrobe(
    record: Record, permit: Permit, taxonomy: Taxonomy
) -> tuple[tuple[OwnedView, ...], tuple[SizeShare, ...], int]:
    """What is owned, last bought first, and sizes; what was all returned is not owned."""
    held = [(kind, one) for kind, one in record.wardrobe.items() if one.quantity > 0]
    if not permit.allows(DataClass.TRANSACTION, WARDROBE_PURPOSES):
        return (), (), len(held)
    held.sort(key=lambda item: (-item[1].last_us, item[0]))
    owned = tuple(
        OwnedView(kind, one.quantity, one.last_us, replacement_us(one, taxonomy.usual_replacement_us(kind.category)))
        for kind, one in held
    )
    return owned, tuple(preferred_sizes(record.wardrobe)), 0
