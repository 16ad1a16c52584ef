"""Profiles of persons who turn out to be one, and of one who turns out to be several."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from bihuan_profile.domain import bond, influence, wardrobe
from bihuan_profile.domain.behaviour import Behaviour, Event
from bihuan_profile.domain.decay import long_factor, total
from bihuan_profile.domain.record import (
    EMPTY,
    MAX_CURRENCIES,
    MAX_INTERESTS,
    MAX_TOTAL_MICROS,
    Count,
    Fact,
    Orders,
    Record,
    Spend,
    fold,
    with_facts,
)

MAX_FORMER_IDS: Final = 64
"""Ids kept that a person had before, the newest; events repeated under older ones are not known any more."""
MAX_MOVED_SIGHTINGS: Final = 4_096
"""Sightings kept that went to other persons, the newest."""


def merged(record: Record, record_id: int, other: Record, other_id: int) -> Record:
    """
    The record of a person into whom another one went.

    Weights and sums add up as if all events had been of one person, except for what eviction had dropped. Of facts the
    later one wins, the person's own at the same time.
    """
    reference_us = max(record.reference_us, other.reference_us)
    own_us, other_us = reference_us - record.reference_us, reference_us - other.reference_us
    firsts = [one.first_operation_us for one in (record, other) if one.first_operation_us]
    facts, _ = with_facts(other, record.facts.items())
    former = dict.fromkeys((*other.former_ids, other_id, *record.former_ids))
    former.pop(record_id, None)
    # What one gave to the other, that one may have given on: its knowledge is the newer.
    gone = {one: owner for one, owner in other.moved_sightings.items() if owner != record_id}
    gone |= {one: owner for one, owner in record.moved_sightings.items() if owner != other_id}
    return Record(
        reference_us=reference_us,
        first_operation_us=min(firsts, default=0),
        facts=facts.facts,
        operation_interests=total(
            record.operation_interests, own_us, other.operation_interests, other_us, MAX_INTERESTS
        ),
        transaction_interests=total(
            record.transaction_interests, own_us, other.transaction_interests, other_us, MAX_INTERESTS
        ),
        activity=total(record.activity, own_us, other.activity, other_us, len(Behaviour)),
        counts=_counts(record.counts, other.counts),
        orders=_orders(record.orders, own_us, other.orders, other_us),
        former_ids=tuple(former)[:MAX_FORMER_IDS],
        moved_sightings=_newest(gone),
        bonds=bond.joined(bond.aged(record.bonds, own_us), bond.aged(other.bonds, other_us)),
        wardrobe=wardrobe.joined(record.wardrobe, other.wardrobe),
        influence=influence.joined(influence.aged(record.influence, own_us), influence.aged(other.influence, other_us)),
    )


def rebuilt(
    held: Record,
    person_id: int,
    events: Iterable[Event],
    facts: Iterable[tuple[str, Fact]],
    owners: Mapping[int, int],
) -> Record:
    """
    The record of a part of a person: what its own events make, each counted once, and the facts that are its own.

    `held` is what was held under its id, of which only other ids and sightings stay; `owners` are the persons of all
    sightings of the change.
    """
    moved = {**held.moved_sightings, **owners}
    base = replace(
        EMPTY,
        facts=with_facts(EMPTY, facts)[0].facts,
        former_ids=tuple(one for one in held.former_ids if one not in owners.values()),
        moved_sightings=_newest({one: owner for one, owner in moved.items() if owner != person_id}),
    )
    return fold(base, once(events))


def once(events: Iterable[Event]) -> Sequence[Event]:
    """Events without repeated keys; of those with one key the first by time."""
    by_key: dict[str, Event] = {}
    for event in sorted(events, key=lambda one: (one.time_us, one.key)):
        by_key.setdefault(event.key, event)
    return list(by_key.values())


def _newest(moved: Mapping[int, int]) -> Mapping[int, int]:
    return dict(list(moved.items())[-MAX_MOVED_SIGHTINGS:])


def _counts(one: Mapping[int, Count], other: Mapping[int, Count]) -> dict[int, Count]:
    counts = dict(one)
    for behaviour, count in other.items():
        known = counts.get(behaviour, Count(0, 0))
        counts[behaviour] = Count(known.total + count.total, max(known.last_time_us, count.last_time_us))
    return counts


def _orders(one: Orders, one_us: int, other: Orders, other_us: int) -> Orders:
    monetary: dict[str, Spend] = {}
    for orders, elapsed_us in ((one, one_us), (other, other_us)):
        factor = long_factor(elapsed_us)
        for currency, spend in orders.monetary.items():
            if currency in monetary or len(monetary) < MAX_CURRENCIES:
                known = monetary.get(currency, Spend(0, 0.0))
                micros = max(-MAX_TOTAL_MICROS, min(MAX_TOTAL_MICROS, known.micros + spend.micros))
                monetary[currency] = Spend(micros, known.decayed_micros + spend.decayed_micros * factor)
    firsts_us = [orders.first_time_us for orders in (one, other) if orders.frequency]
    return Orders(
        max(one.last_time_us, other.last_time_us), one.frequency + other.frequency, monetary, min(firsts_us, default=0)
    )
