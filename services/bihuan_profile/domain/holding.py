"""Everything that is held about one person, whatever its class, for the person's own right of access."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Final

from bihuan_profile.domain.behaviour import Behaviour, Event, data_class_of
from bihuan_profile.domain.community import EDGE_RETENTION_US, Edge
from bihuan_profile.domain.governance import ALL_PURPOSES, DataClass, Purpose
from bihuan_profile.domain.influence import NO_INFLUENCE
from bihuan_profile.domain.record import Orders, Record
from bihuan_profile.domain.retention import Retention
from bihuan_profile.domain.taxonomy import (
    ACTIVITY_PURPOSES,
    INTEREST_PURPOSES,
    RFM_PURPOSES,
    WARDROBE_PURPOSES,
    Taxonomy,
)

_NONE: Final[frozenset[Purpose]] = frozenset()
_SUMS: Final = "events"
"""Origin of what is a sum over events."""
_CALL: Final = "call"
"""Origin of what came by a call; relations come by nothing else."""
COMMUNITY_PURPOSES: Final = frozenset({Purpose.TARGETING, Purpose.INSIGHT})
"""What the communities that are found in relations may be used for."""


@dataclass(frozen=True, slots=True)
class Holding:
    """
    One thing that is held. `value` is of plain types; times are microseconds since the epoch, 0 where there is none.

    `expire_us` is when it is gone if it is not renewed.
    """

    kind: str
    name: str
    value: object
    data_class: DataClass
    origin: str
    time_us: int
    purposes: frozenset[Purpose]
    expire_us: int = 0


def held_in(record: Record, taxonomy: Taxonomy, retention: Retention) -> Iterator[Holding]:
    """What the record holds, the attributes first. Weights are as of the newest event."""
    for name, fact in sorted(record.facts.items()):
        tag = taxonomy.held(name)
        data_class, purposes = (tag.data_class, tag.purposes) if tag is not None else (DataClass.REGISTRATION, _NONE)
        span_us = retention.of_attribute(name)
        expire_us = fact.time_us + span_us if span_us else 0
        shown = tag.name if tag is not None else name
        yield Holding("attribute", shown, fact.value, data_class, fact.origin, fact.time_us, purposes, expire_us)
    holder = _Sums(record, retention)
    yield from holder.interests()
    yield from holder.activities()
    yield from holder.belongings()


def held_event(event: Event, retention: Retention) -> Holding:
    """An event as it was kept."""
    data_class = DataClass.SOCIAL if event.echo else data_class_of(event.behaviour)
    value: dict[str, object] = {
        "behaviour": event.behaviour.name,
        "tags": list(event.tags),
        "items": [asdict(item) for item in event.items],
        "told_of_person": str(event.person_id),
    }
    if event.amount is not None:
        value["amount"] = asdict(event.amount)
    if event.echo:
        value["echo"] = True
    span_us = retention.by_class[data_class]
    expire_us = event.time_us + span_us if span_us else 0
    return Holding("event", event.key, value, data_class, event.origin, event.time_us, ALL_PURPOSES, expire_us)


def held_edge(edge: Edge, *, own: bool) -> Holding:
    """
    A relation as it was kept: one that the person told (`own`), or that another one told of the person.

    Who the other one is is held of them as well: it stands only in what the person told.
    """
    value: dict[str, object] = {"strength": edge.strength, "told_by": "this person" if own else "the other person"}
    if own:
        value["other_person"] = str(edge.other_id)
    expire_us = edge.time_us + EDGE_RETENTION_US
    return Holding(
        "social_edge", "relation", value, DataClass.SOCIAL, _CALL, edge.time_us, COMMUNITY_PURPOSES, expire_us
    )


class _Sums:
    """What is summed up from events."""

    def __init__(self, record: Record, retention: Retention) -> None:
        self._record = record
        self._retention = retention

    def interests(self) -> Iterator[Holding]:
        record = self._record
        for data_class, weights in (
            (DataClass.OPERATION, record.operation_interests),
            (DataClass.TRANSACTION, record.transaction_interests),
        ):
            newest_us = max(
                (one.last_time_us for key, one in record.counts.items() if data_class_of(Behaviour(key)) is data_class),
                default=0,
            )
            for tag, weight in sorted(weights.long.items()):
                value = {"long_term": weight, "instant": weights.instant.get(tag, 0.0)}
                yield self._holding("interest", tag, value, data_class, newest_us, INTEREST_PURPOSES)

    def activities(self) -> Iterator[Holding]:
        record = self._record
        for key, count in sorted(record.counts.items()):
            behaviour = Behaviour(key)
            value = {
                "total": count.total,
                "long_term": record.activity.long.get(key, 0.0),
                "instant": record.activity.instant.get(key, 0.0),
            }
            data_class = data_class_of(behaviour)
            yield self._holding("activity", behaviour.name, value, data_class, count.last_time_us, ACTIVITY_PURPOSES)

    def belongings(self) -> Iterator[Holding]:
        record = self._record
        if record.orders != Orders():
            value = asdict(record.orders)
            yield self._holding(
                "orders", "orders", value, DataClass.TRANSACTION, record.orders.last_time_us, RFM_PURPOSES
            )
        for kind, owned in sorted(record.wardrobe.items()):
            value = {**kind._asdict(), **asdict(owned)}
            name = "/".join(kind)
            yield self._holding("owned_item", name, value, DataClass.TRANSACTION, owned.last_us, WARDROBE_PURPOSES)
        for brand, bond in sorted(record.bonds.items()):
            data_class = DataClass.TRANSACTION if bond.orders else DataClass.OPERATION
            yield self._holding("relation", brand, asdict(bond), data_class, bond.touched_us, INTEREST_PURPOSES)
        if record.influence != NO_INFLUENCE:
            influence = record.influence
            yield self._holding(
                "influence", "influence", asdict(influence), DataClass.SOCIAL, influence.last_us, INTEREST_PURPOSES
            )

    def _holding(
        self, kind: str, name: str, value: object, data_class: DataClass, time_us: int, purposes: frozenset[Purpose]
    ) -> Holding:
        span_us = self._retention.by_class[data_class]
        expire_us = time_us + span_us if span_us and time_us else 0
        return Holding(kind, name, value, data_class, _SUMS, time_us, purposes, expire_us)
