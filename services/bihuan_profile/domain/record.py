"""What is kept about one person, and how events and facts change it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from bihuan_profile.domain import bond, influence, wardrobe
from bihuan_profile.domain.behaviour import INTEREST_WEIGHTS, Behaviour, Event, data_class_of
from bihuan_profile.domain.bond import NO_BOND, Bond
from bihuan_profile.domain.decay import Weights, WeightsDraft, instant_factor, long_factor
from bihuan_profile.domain.governance import DataClass
from bihuan_profile.domain.influence import NO_INFLUENCE, Influence
from bihuan_profile.domain.wardrobe import Kind, Owned

MAX_INTERESTS: Final = 256
"""Tags kept a person in each of the two interest sources; `WeightsDraft.sealed` says which go."""
MAX_CURRENCIES: Final = 8
"""Currencies in which a person's orders are added up; amounts in a further one are not kept."""
MAX_TOTAL_MICROS: Final = 2**63 - 1

FactValue = str | float | bool


class Fact(NamedTuple):
    """
    Value of an attribute and when it was learnt, in microseconds since the epoch.

    `sighting_id` names the identifier that led to the person, 0 where none is known. `origin` is where it comes from,
    as its sender calls that.
    """

    value: FactValue
    time_us: int
    sighting_id: int = 0
    origin: str = ""


class Count(NamedTuple):
    """How often something was done, ever, and when last."""

    total: int
    last_time_us: int


@dataclass(frozen=True, slots=True)
class Spend:
    """Paid less returned: exact in micros, and decayed (30 days) in micros as of the record's reference instant."""

    micros: int
    decayed_micros: float


@dataclass(frozen=True, slots=True)
class Orders:
    """
    Recency, frequency and monetary value. Times and `frequency` are 0 while there is no order.

    `first_time_us` is 0 too where all orders were taken in before it was kept.
    """

    last_time_us: int = 0
    frequency: int = 0
    monetary: Mapping[str, Spend] = field(default_factory=dict)
    first_time_us: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """
    Everything about a person. The weights and decayed sums hold as of `reference_us`, the newest event's time.

    Interests are kept apart by the class of the behaviour that formed them, so that consent can filter exactly.
    `first_operation_us` is the time of the earliest event of the class OPERATION; 0 where there is none. `former_ids`
    are persons that became this one: their events are remembered under those. `moved_sightings` are sightings that went
    to other persons, and to whom. `bonds` are by brand, `wardrobe` by kind of thing.
    """

    reference_us: int = 0
    first_operation_us: int = 0
    facts: Mapping[str, Fact] = field(default_factory=dict)
    operation_interests: Weights[str] = field(default_factory=Weights)
    transaction_interests: Weights[str] = field(default_factory=Weights)
    activity: Weights[int] = field(default_factory=Weights)
    counts: Mapping[int, Count] = field(default_factory=dict)
    orders: Orders = field(default_factory=Orders)
    former_ids: tuple[int, ...] = ()
    moved_sightings: Mapping[int, int] = field(default_factory=dict)
    bonds: Mapping[str, Bond] = field(default_factory=dict)
    wardrobe: Mapping[Kind, Owned] = field(default_factory=dict)
    influence: Influence = NO_INFLUENCE


def last_done_us(counts: Mapping[int, Count], behaviours: Iterable[int]) -> int:
    """When any of some behaviours was last seen, 0 where none was."""
    last_us = 0
    for behaviour in behaviours:
        count = counts.get(behaviour)
        if count is not None and count.last_time_us > last_us:
            last_us = count.last_time_us
    return last_us


EMPTY: Final = Record()


def fold(record: Record, events: Sequence[Event]) -> Record:
    """
    The record after `events`, which must be new to it; their order does not matter.

    Except for what eviction drops and for rounding, the result depends only on the set of events, however it was cut
    into batches.
    """
    if not events:
        return record
    draft = _Draft(record, max(record.reference_us, *(event.time_us for event in events)))
    for event in events:
        draft.add(event)
    return draft.sealed()


class _Draft:
    """A record while events are added to it."""

    __slots__ = (
        "_activity",
        "_bonds",
        "_counts",
        "_first_operation_us",
        "_influence",
        "_interests",
        "_orders",
        "_record",
        "_reference_us",
        "_wardrobe",
    )

    def __init__(self, record: Record, reference_us: int) -> None:
        elapsed_us = reference_us - record.reference_us
        self._record = record
        self._reference_us = reference_us
        self._first_operation_us = record.first_operation_us
        self._interests = {
            DataClass.OPERATION: WeightsDraft(record.operation_interests, elapsed_us),
            DataClass.TRANSACTION: WeightsDraft(record.transaction_interests, elapsed_us),
        }
        self._activity = WeightsDraft(record.activity, elapsed_us)
        self._counts = dict(record.counts)
        self._orders = _aged(record.orders, elapsed_us)
        self._bonds = bond.aged(record.bonds, elapsed_us)
        self._wardrobe = record.wardrobe
        self._influence = influence.aged(record.influence, elapsed_us)

    def add(self, event: Event) -> None:
        age_us = self._reference_us - event.time_us
        long, instant = long_factor(age_us), instant_factor(age_us)
        if event.echo:
            self._influence = influence.with_echo(self._influence, event, long)
            return
        behaviour, data_class = event.behaviour, data_class_of(event.behaviour)
        self._activity.add(int(behaviour), long, instant)
        known = self._counts.get(behaviour, Count(0, 0))
        self._counts[int(behaviour)] = Count(known.total + 1, max(known.last_time_us, event.time_us))
        weight = INTEREST_WEIGHTS[behaviour]
        if weight:
            interests = self._interests[data_class]
            for tag in dict.fromkeys(event.tags):
                interests.add(tag, weight * long, weight * instant)
        if data_class is DataClass.OPERATION:
            earliest_us = self._first_operation_us or event.time_us
            self._first_operation_us = min(earliest_us, event.time_us)
        self._orders = _with_order(self._orders, event, long)
        self._wardrobe = wardrobe.with_items(self._wardrobe, event)
        for brand in event.brands:
            self._bonds[brand] = bond.with_event(self._bonds.get(brand, NO_BOND), event, long)

    def sealed(self) -> Record:
        return replace(
            self._record,
            reference_us=self._reference_us,
            first_operation_us=self._first_operation_us,
            operation_interests=self._interests[DataClass.OPERATION].sealed(MAX_INTERESTS),
            transaction_interests=self._interests[DataClass.TRANSACTION].sealed(MAX_INTERESTS),
            activity=self._activity.sealed(len(Behaviour)),
            counts=self._counts,
            orders=self._orders,
            bonds=bond.bounded(self._bonds),
            wardrobe=wardrobe.bounded(self._wardrobe),
            influence=self._influence,
        )


def _aged(orders: Orders, elapsed_us: int) -> Orders:
    if elapsed_us <= 0 or not orders.monetary:
        return orders
    factor = long_factor(elapsed_us)
    monetary = {
        currency: Spend(spend.micros, spend.decayed_micros * factor) for currency, spend in orders.monetary.items()
    }
    return replace(orders, monetary=monetary)


def _with_order(orders: Orders, event: Event, long: float) -> Orders:
    if event.behaviour is Behaviour.ORDER:
        sign = 1
    elif event.behaviour is Behaviour.REFUND:
        sign = -1
    else:
        return orders
    monetary = orders.monetary
    amount = event.amount
    if amount is not None and (amount.currency in monetary or len(monetary) < MAX_CURRENCIES):
        spend = monetary.get(amount.currency, Spend(0, 0.0))
        total = max(-MAX_TOTAL_MICROS, min(MAX_TOTAL_MICROS, spend.micros + sign * amount.micros))
        changed = Spend(total, spend.decayed_micros + sign * amount.micros * long)
        monetary = {**monetary, amount.currency: changed}
    if sign < 0:
        return replace(orders, monetary=monetary)
    first_us = min(orders.first_time_us, event.time_us) if orders.frequency else event.time_us
    return Orders(max(orders.last_time_us, event.time_us), orders.frequency + 1, monetary, first_us)


def with_facts(record: Record, facts: Iterable[tuple[str, Fact]]) -> tuple[Record, int]:
    """
    The record with `facts` set, and how many attributes have another value than before.

    Name by name, the later time wins; at the same time what is set last does.
    """
    known = dict(record.facts)
    for name, fact in facts:
        old = known.get(name)
        if old is None or fact.time_us >= old.time_us:
            known[name] = fact
    changed = sum(
        name not in record.facts or not _same_value(record.facts[name].value, fact.value)
        for name, fact in known.items()
    )
    return replace(record, facts=known), changed


def _same_value(one: FactValue, other: FactValue) -> bool:
    return type(one) is type(other) and one == other
