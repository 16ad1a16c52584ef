"""What a person owns: bought less returned, by category, brand and size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from bihuan_profile.domain.behaviour import Behaviour, Event

MAX_OWNED: Final = 64
"""Kinds of things kept a person; `bounded` says which go."""
MAX_QUANTITY: Final = 10**12


class Kind(NamedTuple):
    """A kind of thing; an empty text is unknown."""

    category: str
    brand: str = ""
    size: str = ""


@dataclass(frozen=True, slots=True)
class Owned:
    """
    How many of one kind, in how many orders, and when the first and the last of these were, in microseconds.

    A return that comes before its order leaves a quantity below nothing, which reads as nothing.
    """

    quantity: int = 0
    purchases: int = 0
    first_us: int = 0
    last_us: int = 0


def with_items(owned: Mapping[Kind, Owned], event: Event) -> Mapping[Kind, Owned]:
    """What is owned after an order or a refund; items without a category tell nothing."""
    if event.behaviour not in (Behaviour.ORDER, Behaviour.REFUND) or not event.items:
        return owned
    changed = dict(owned)
    bought = event.behaviour is Behaviour.ORDER
    for kind, quantity in _totals(event).items():
        change = Owned(quantity, 1, event.time_us, event.time_us) if bought else Owned(-quantity)
        changed[kind] = _joined(changed.get(kind, Owned()), change)
    return changed


def joined(one: Mapping[Kind, Owned], other: Mapping[Kind, Owned]) -> Mapping[Kind, Owned]:
    """What two persons who are one own together."""
    owned = dict(one)
    for kind, held in other.items():
        owned[kind] = _joined(owned[kind], held) if kind in owned else held
    return bounded(owned)


def bounded(owned: Mapping[Kind, Owned]) -> Mapping[Kind, Owned]:
    """At most `MAX_OWNED` kinds: those bought least lately go, the later name among equals."""
    if len(owned) <= MAX_OWNED:
        return owned
    ranked = sorted(owned, key=lambda kind: (-owned[kind].last_us, kind))
    return {kind: owned[kind] for kind in ranked[:MAX_OWNED]}


@dataclass(frozen=True, slots=True)
class SizeShare:
    """The size taken most in a category, and its share of what was bought there in a known size."""

    category: str
    size: str
    share: float


def preferred_sizes(owned: Mapping[Kind, Owned]) -> Sequence[SizeShare]:
    """
    One a category in which a size is known, by category.

    The size in the largest quantity; of equal ones the one bought last, then the first by name.
    """
    by_category: dict[str, dict[str, tuple[int, int]]] = {}
    for kind, held in owned.items():
        if kind.size and held.quantity > 0:
            sizes = by_category.setdefault(kind.category, {})
            quantity, last_us = sizes.get(kind.size, (0, 0))
            sizes[kind.size] = (quantity + held.quantity, max(last_us, held.last_us))
    return [_most_taken(category, sizes) for category, sizes in sorted(by_category.items())]


def replacement_us(held: Owned, usual_us: int | None) -> int | None:
    """
    When one will probably be bought again: after the person's own mean interval between purchases, else the usual one.

    None where neither is known.
    """
    if held.purchases > 1 and held.last_us > held.first_us:
        return held.last_us + (held.last_us - held.first_us) // (held.purchases - 1)
    return held.last_us + usual_us if usual_us and held.last_us else None


def _totals(event: Event) -> dict[Kind, int]:
    totals: dict[Kind, int] = {}
    for item in event.items:
        if item.category:
            kind = Kind(item.category, item.brand, item.size)
            totals[kind] = totals.get(kind, 0) + item.quantity
    return totals


def _most_taken(category: str, sizes: Mapping[str, tuple[int, int]]) -> SizeShare:
    best = min(sizes, key=lambda size: (-sizes[size][0], -sizes[size][1], size))
    return SizeShare(category, best, sizes[best][0] / sum(quantity for quantity, _ in sizes.values()))


def _joined(one: Owned, other: Owned) -> Owned:
    quantity = max(-MAX_QUANTITY, min(MAX_QUANTITY, one.quantity + other.quantity))
    first_us = min(one.first_us or other.first_us, other.first_us or one.first_us)
    return Owned(quantity, one.purchases + other.purchases, first_us, max(one.last_us, other.last_us))
