"""
What links one person to one brand, as sums from which stages are read at any instant.

Counts, first and last times and a decayed weight: each is the same whatever the order in which events come, so that a
stage never depends on how they were batched.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bihuan_profile.domain.behaviour import INTEREST_WEIGHTS, Behaviour, Event
from bihuan_profile.domain.decay import long_factor

MAX_BONDS: Final = 64
"""Brands kept a person; `bounded` says which go."""


@dataclass(frozen=True, slots=True)
class Bond:
    """
    Dealings of one person with one brand. Times are microseconds since the epoch, 0 where there is none.

    `seen_us` is the last impression, `first_us` and `last_us` the first and last dealing other than an impression,
    orders among them; `dealings` counts those. `warmth` is the sum of the behaviour weights decayed with a half-life of
    30 days, as of the record's reference instant.
    """

    seen_us: int = 0
    first_us: int = 0
    last_us: int = 0
    dealings: int = 0
    orders: int = 0
    first_order_us: int = 0
    last_order_us: int = 0
    warmth: float = 0.0

    @property
    def touched_us(self) -> int:
        """The last thing of any kind."""
        return max(self.seen_us, self.last_us)


NO_BOND: Final = Bond()


def with_event(bond: Bond, event: Event, long: float) -> Bond:
    """The bond after an event of which `long` is left at the reference instant."""
    if event.behaviour is Behaviour.IMPRESSION:
        return _joined(bond, Bond(seen_us=event.time_us))
    ordered = event.behaviour is Behaviour.ORDER
    return _joined(
        bond,
        Bond(
            first_us=event.time_us,
            last_us=event.time_us,
            dealings=1,
            orders=int(ordered),
            first_order_us=event.time_us if ordered else 0,
            last_order_us=event.time_us if ordered else 0,
            warmth=INTEREST_WEIGHTS[event.behaviour] * long,
        ),
    )


def aged(bonds: Mapping[str, Bond], elapsed_us: int) -> dict[str, Bond]:
    """Bonds as of an instant `elapsed_us` later."""
    if elapsed_us <= 0:
        return dict(bonds)
    factor = long_factor(elapsed_us)
    return {brand: _faded(bond, factor) for brand, bond in bonds.items()}


def joined(one: Mapping[str, Bond], other: Mapping[str, Bond]) -> dict[str, Bond]:
    """Bonds of two persons who are one, both as of the same instant."""
    bonds = dict(one)
    for brand, bond in other.items():
        bonds[brand] = _joined(bonds[brand], bond) if brand in bonds else bond
    return bounded(bonds)


def bounded(bonds: dict[str, Bond]) -> dict[str, Bond]:
    """At most `MAX_BONDS`: brands touched least lately go, the later name among equals."""
    if len(bonds) <= MAX_BONDS:
        return bonds
    ranked = sorted(bonds, key=lambda brand: (-bonds[brand].touched_us, brand))
    return {brand: bonds[brand] for brand in ranked[:MAX_BONDS]}


def _joined(one: Bond, other: Bond) -> Bond:
    return Bond(
        max(one.seen_us, other.seen_us),
        _first(one.first_us, other.first_us),
        max(one.last_us, other.last_us),
        one.dealings + other.dealings,
        one.orders + other.orders,
        _first(one.first_order_us, other.first_order_us),
        max(one.last_order_us, other.last_order_us),
        one.warmth + other.warmth,
    )


def _first(one_us: int, other_us: int) -> int:
    return min(one_us or other_us, other_us or one_us)


def _faded(bond: Bond, factor: float) -> Bond:
    return Bond(
        bond.seen_us,
        bond.first_us,
        bond.last_us,
        bond.dealings,
        bond.orders,
        bond.first_order_us,
        bond.last_order_us,
        bond.warmth * factor,
    )
