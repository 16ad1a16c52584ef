"""What a record still holds once it is as old as what it holds may become."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from bihuan_profile.domain.behaviour import INTEREST_WEIGHTS, Behaviour, data_class_of
from bihuan_profile.domain.bond import Bond
from bihuan_profile.domain.decay import Weights, long_factor
from bihuan_profile.domain.governance import DataClass
from bihuan_profile.domain.influence import NO_INFLUENCE
from bihuan_profile.domain.record import Fact, Orders, Record
from bihuan_profile.domain.taxonomy import BehaviourKind, TagType, Taxonomy
from bihuan_profile.domain.wardrobe import Owned
from bihuan_shared.clock import DAY_US

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

DEFAULTS: Final[Mapping[DataClass, int]] = {
    DataClass.REGISTRATION: 1_095 * DAY_US,
    DataClass.OPERATION: 400 * DAY_US,
    DataClass.TRANSACTION: 1_095 * DAY_US,
    DataClass.SOCIAL: 180 * DAY_US,
}
_FOR_EVER_US: Final = 2**62
NOT_KEPT_US: Final = -_FOR_EVER_US
"""A span after which everything is too old, whatever its time."""
_CLASSES: Final = {int(one): data_class_of(one) for one in Behaviour}


@dataclass(frozen=True, slots=True)
class Retention:
    """
    How long things are kept after they were last seen, in microseconds: by class, and by attribute where that differs.

    0 is for ever.
    """

    by_class: Mapping[DataClass, int] = field(default_factory=lambda: DEFAULTS)
    by_attribute: Mapping[str, int] = field(default_factory=dict)
    behaviour_us: int = field(init=False)
    """The shortest of what operations and transactions leave."""

    def __post_init__(self) -> None:
        """Work out what every read asks for."""
        spans_us = (self.by_class[one] or _FOR_EVER_US for one in (DataClass.OPERATION, DataClass.TRANSACTION))
        object.__setattr__(self, "behaviour_us", min(spans_us))

    @property
    def longest_us(self) -> int:
        """The longest of all; 0 where anything is kept for ever."""
        spans = [*self.by_class.values(), *self.by_attribute.values()]
        return 0 if 0 in spans else max(spans)

    def with_private(self, taxonomy: Taxonomy, stored_names: Iterable[str]) -> "Retention":
        """The same with what private tags say of their values; what is of a deleted one is not kept at all."""
        spans_us = dict(self.by_attribute)
        for name in stored_names:
            tag = taxonomy.held(name)
            if taxonomy.is_over(name):
                spans_us[name] = NOT_KEPT_US
            elif tag is not None:
                spans_us[name] = tag.retention_us
        return Retention(self.by_class, spans_us)

    def of_attribute(self, name: str) -> int:
        """How long an attribute is kept; one that the taxonomy does not know as what a person states."""
        return self.by_attribute.get(name, self.by_class[DataClass.REGISTRATION])


def retention_of(taxonomy: Taxonomy) -> Retention:
    """
    What a taxonomy says of its attributes and, by class, of behaviour: the longest of all kinds of it.

    What it says nothing of is kept as `DEFAULTS` say; 0 for an attribute that can be set is for ever.
    """
    by_class = {
        one: max((taxonomy.behaviour_retention_us(kind, one) for kind in BehaviourKind), default=0) or DEFAULTS[one]
        for one in DataClass
    }
    kept = [tag for tag in taxonomy.tags if not tag.derived and tag.type is not TagType.INTEREST]
    return Retention(by_class, {tag.name: tag.retention_us for tag in kept})


def expired(record: Record, now_us: int, retention: Retention) -> Record:
    """
    The record without what is older than its retention; the same record where nothing is.

    Counts, interests, orders and what else is a sum goes whole once its newest evidence is too old, so that within the
    retention every sum stays that of all events. A tag's newest evidence is not kept: it goes once its weight is less
    than what one event of the retention's age would leave.
    """
    if _is_young(record, now_us, retention):
        return record
    limit = _Limits(now_us, retention)
    counts = _kept(record.counts, lambda key, count: limit.holds(_class_of(key), count.last_time_us))
    changed: dict[str, object] = {}
    facts = _kept(record.facts, limit.holds_fact)
    if facts is not record.facts:
        changed["facts"] = facts
    if counts is not record.counts:
        changed["counts"] = counts
        changed["activity"] = _only(record.activity, counts.keys())
    changed |= _interests(record, counts, limit)
    changed |= _belongings(record, limit)
    if record.influence != NO_INFLUENCE and not limit.holds(DataClass.SOCIAL, record.influence.last_us):
        changed["influence"] = NO_INFLUENCE
    return replace(record, **changed) if changed else record  # type: ignore[arg-type]  # names and types as above


def _is_young(record: Record, now_us: int, retention: Retention) -> bool:
    """Whether a glance tells that nothing is too old, as it does of most; every read asks."""
    of_attribute = retention.of_attribute
    for name, fact in record.facts.items():
        span_us = of_attribute(name)
        if span_us and now_us - fact.time_us > span_us:
            return False
    if record.influence is not NO_INFLUENCE:
        return False
    first_us, orders = record.first_operation_us, record.orders
    times_us = [count.last_time_us for count in record.counts.values()]
    if first_us or record.operation_interests.long:
        times_us.append(first_us)
    if orders.frequency or orders.monetary or record.transaction_interests.long:
        times_us.append(orders.first_time_us)
    times_us += [bond.touched_us for bond in record.bonds.values()]
    times_us += [owned.last_us for owned in record.wardrobe.values()]
    return not times_us or now_us - min(times_us) <= retention.behaviour_us


class _Limits:
    """The oldest instants that are kept."""

    def __init__(self, now_us: int, retention: Retention) -> None:
        self._now_us = now_us
        self._retention = retention

    def holds(self, data_class: DataClass, time_us: int) -> bool:
        return self._is_young(self._retention.by_class[data_class], time_us)

    def holds_fact(self, name: str, fact: Fact) -> bool:
        return self._is_young(self._retention.of_attribute(name), fact.time_us)

    def holds_bond(self, _brand: str, bond: Bond) -> bool:
        # Whether other dealings were transactions is not kept: without an order the shorter time holds.
        if bond.orders and self.holds(DataClass.TRANSACTION, bond.last_order_us):
            return True
        return self.holds(DataClass.OPERATION, bond.touched_us)

    def floor(self, data_class: DataClass, reference_us: int) -> float:
        """What the least event of the class leaves at the reference instant when it is as old as it may be now."""
        span_us = self._retention.by_class[data_class]
        return _LEAST[data_class] * long_factor(span_us - (self._now_us - reference_us)) if span_us else 0.0

    def _is_young(self, span_us: int, time_us: int) -> bool:
        return not span_us or self._now_us - time_us <= span_us


_LEAST: Final = {
    data_class: min(
        abs(weight) for one, weight in INTEREST_WEIGHTS.items() if weight and data_class_of(one) is data_class
    )
    for data_class in (DataClass.OPERATION, DataClass.TRANSACTION)
}


def _class_of(behaviour: int) -> DataClass:
    return _CLASSES[behaviour]


def _interests(record: Record, counts: Mapping[int, object], limit: _Limits) -> dict[str, object]:
    changed: dict[str, object] = {}
    alive = {_class_of(behaviour) for behaviour in counts}
    if record.first_operation_us and DataClass.OPERATION not in alive:
        changed["first_operation_us"] = 0
    for name, weights, data_class, first_us in (
        ("operation_interests", record.operation_interests, DataClass.OPERATION, record.first_operation_us),
        ("transaction_interests", record.transaction_interests, DataClass.TRANSACTION, record.orders.first_time_us),
    ):
        if not weights.long:
            continue
        if data_class not in alive:
            changed[name] = Weights()
        elif not limit.holds(data_class, first_us):
            floor = limit.floor(data_class, record.reference_us)
            kept = [tag for tag, weight in weights.long.items() if abs(weight) >= floor]
            if len(kept) < len(weights.long):
                changed[name] = _only(weights, set(kept))
    return changed


def _belongings(record: Record, limit: _Limits) -> dict[str, object]:
    changed: dict[str, object] = {}
    returned = record.counts.get(Behaviour.REFUND)
    returned_us = returned.last_time_us if returned is not None else 0
    orders = record.orders
    if orders != Orders() and not limit.holds(DataClass.TRANSACTION, max(orders.last_time_us, returned_us)):
        changed["orders"] = Orders()

    def holds_owned(_kind: object, owned: Owned) -> bool:
        return limit.holds(DataClass.TRANSACTION, owned.last_us or returned_us)

    wardrobe = _kept(record.wardrobe, holds_owned)
    if wardrobe is not record.wardrobe:
        changed["wardrobe"] = wardrobe
    bonds = _kept(record.bonds, limit.holds_bond)
    if bonds is not record.bonds:
        changed["bonds"] = bonds
    return changed


def _kept(held: Mapping[_Key, _Value], holds: Callable[[_Key, _Value], bool]) -> Mapping[_Key, _Value]:
    """What `holds`; the same mapping where all does."""
    if all(holds(key, value) for key, value in held.items()):
        return held
    return {key: value for key, value in held.items() if holds(key, value)}


def _only(weights: Weights[_Key], keys: Collection[_Key]) -> Weights[_Key]:
    return Weights(
        {key: weight for key, weight in weights.long.items() if key in keys},
        {key: weight for key, weight in weights.instant.items() if key in keys},
    )
