"""
How close a person is to a brand: six stages, as a state machine over interactions and time.

The stages follow the phases of Dwyer, Schurr and Oh, "Developing Buyer-Seller Relationships", Journal of Marketing
51(2), 1987: awareness, exploration, expansion, commitment and dissolution are potential, weak, strong, long and
dormant. The thresholds are this product's own.

A stage is evaluated at every read from the sums of a `Bond`, so that it is always current, costs nothing to keep, and
depends neither on how events were batched nor on the order they came in: an event that comes late is counted as if it
had come in time. What a history can do to the stage, as it happens, is declared in `TRANSITIONS`; persons who turn out
to be one add their sums, which may skip stages.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final, NamedTuple

from bihuan_profile.domain.bond import Bond
from bihuan_profile.domain.decay import LONG_HALF_LIFE_US
from bihuan_shared.clock import DAY_US


class RelationStage(IntEnum):
    """The six stages; the numbers are those of `bihuan.profile.v1`."""

    NONE = 1
    POTENTIAL = 2
    WEAK = 3
    STRONG = 4
    LONG = 5
    DORMANT = 6


RECENT_DAYS: Final = 90
RECENT_US: Final = RECENT_DAYS * DAY_US
"""An impression, a dealing or an order counts as recent for so long, the last instant included."""
FORGOTTEN_DAYS: Final = 400
FORGOTTEN_AFTER_US: Final = FORGOTTEN_DAYS * DAY_US
"""A relation without a dealing for longer is none any more: as long as behaviour is kept."""
STRONG_WARMTH: Final = 2.0
"""Dealings that weigh as much as two purchases now make a relation strong without an order."""
LONG_ORDERS: Final = 3
LONG_SPAN_DAYS: Final = 180
LONG_SPAN_US: Final = LONG_SPAN_DAYS * DAY_US
"""Orders and days between the first and the last of them that make a relation long."""


class Kind(StrEnum):
    """What moves a relation from one stage to another."""

    INTERACTION = "interaction"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Transition:
    """A move that one event, or the passing of time alone, can make; `guard` says when, in words."""

    source: RelationStage
    target: RelationStage
    kind: Kind
    guard: str


class Relation(NamedTuple):
    """
    A stage as of one instant; times are microseconds since the epoch.

    `since_us` is from when on the stage is known to have held without a break (0: always). Sums keep first and last
    times only, so it may have held longer; of a dormant relation it is exact. `until_us` is the first instant at which
    the stage is another one if nothing happens, None where that is never.
    """

    stage: RelationStage
    since_us: int
    until_us: int | None


_NONE, _POTENTIAL, _WEAK = RelationStage.NONE, RelationStage.POTENTIAL, RelationStage.WEAK
_STRONG, _LONG, _DORMANT = RelationStage.STRONG, RelationStage.LONG, RelationStage.DORMANT


def relation(bond: Bond, reference_us: int, now_us: int) -> Relation:
    """
    The relation at `now_us`, where the bond's warmth holds as of `reference_us`.

    A read at an instant before `reference_us` is answered as of that.
    """
    at_us = max(now_us, reference_us)
    if bond.dealings and at_us <= bond.last_us + FORGOTTEN_AFTER_US:
        quiet_us = bond.last_us + RECENT_US + 1
        if at_us < quiet_us:
            return _close(bond, reference_us, at_us, quiet_us)
        return Relation(_DORMANT, quiet_us, bond.last_us + FORGOTTEN_AFTER_US + 1)
    forgotten_us = bond.last_us + FORGOTTEN_AFTER_US + 1 if bond.dealings else 0
    if not bond.seen_us:
        return Relation(_NONE, forgotten_us, None)
    unseen_us = bond.seen_us + RECENT_US + 1
    if at_us < unseen_us:
        return Relation(_POTENTIAL, max(bond.seen_us, forgotten_us), unseen_us)
    return Relation(_NONE, max(unseen_us, forgotten_us), None)


def held_count(bonds: Iterable[Bond], reference_us: int, now_us: int) -> int:
    """How many of some bonds make a relation at all: a stage other than none."""
    at_us = max(now_us, reference_us)
    dealt_us, seen_us = at_us - FORGOTTEN_AFTER_US, max(1, at_us - RECENT_US)
    return sum((bond.dealings > 0 and bond.last_us >= dealt_us) or bond.seen_us >= seen_us for bond in bonds)


def _close(bond: Bond, reference_us: int, at_us: int, quiet_us: int) -> Relation:
    """Weak, strong or long: there was a dealing lately, and there will be none from `quiet_us` on."""
    unordered_us = bond.last_order_us + RECENT_US + 1 if bond.orders else 0
    lasting = bond.orders >= LONG_ORDERS and bond.last_order_us - bond.first_order_us >= LONG_SPAN_US
    if at_us < unordered_us and lasting:
        return Relation(_LONG, bond.last_order_us, unordered_us)
    cold_us = _cold_us(bond.warmth, reference_us)
    if at_us < max(unordered_us, cold_us):
        # While it is warm without an order lately, it was at the last dealing too, or since it was long.
        since_us = _ordered_since_us(bond) if at_us < unordered_us else max(bond.last_us, unordered_us * lasting)
        return Relation(_STRONG, since_us, min(quiet_us, max(unordered_us, cold_us)))
    return Relation(_WEAK, max(bond.last_us, unordered_us, cold_us), quiet_us)


def _ordered_since_us(bond: Bond) -> int:
    """From when on there was always an order lately: the first one, where no gap between orders can be too long."""
    unbroken = bond.last_order_us - bond.first_order_us <= RECENT_US
    return bond.first_order_us if unbroken else bond.last_order_us


def _cold_us(warmth: float, reference_us: int) -> int:
    """The first instant at which decayed warmth is below the threshold; 0 where it never was above."""
    if warmth <= 0:
        return 0
    return max(0, reference_us + math.floor(LONG_HALF_LIFE_US * math.log2(warmth / STRONG_WARMTH)) + 1)


_SEEN: Final = "an impression"
_DEALT: Final = "a dealing that is no order"
_WARMED: Final = f"an order, or a dealing that brings the warmth to {STRONG_WARMTH:g}"
_LASTED: Final = f"an order, with at least {LONG_ORDERS} in all, {LONG_SPAN_DAYS} days or more after the first"
_COOLED: Final = f"a refund that takes the warmth below {STRONG_WARMTH:g}, with no order for {RECENT_DAYS} days"
_QUIET: Final = f"no dealing for more than {RECENT_DAYS} days"
_UNORDERED: Final = f"no order for more than {RECENT_DAYS} days"

TRANSITIONS: Final = (
    Transition(_NONE, _POTENTIAL, Kind.INTERACTION, _SEEN),
    Transition(_NONE, _WEAK, Kind.INTERACTION, _DEALT),
    Transition(_NONE, _STRONG, Kind.INTERACTION, _WARMED),
    Transition(_NONE, _LONG, Kind.INTERACTION, f"{_LASTED}: the forgotten ones count again"),
    Transition(_POTENTIAL, _WEAK, Kind.INTERACTION, _DEALT),
    Transition(_POTENTIAL, _STRONG, Kind.INTERACTION, _WARMED),
    Transition(_POTENTIAL, _LONG, Kind.INTERACTION, f"{_LASTED}: the forgotten ones count again"),
    Transition(_WEAK, _STRONG, Kind.INTERACTION, _WARMED),
    Transition(_WEAK, _LONG, Kind.INTERACTION, _LASTED),
    Transition(_STRONG, _LONG, Kind.INTERACTION, _LASTED),
    Transition(_STRONG, _WEAK, Kind.INTERACTION, _COOLED),
    Transition(_DORMANT, _WEAK, Kind.INTERACTION, _DEALT),
    Transition(_DORMANT, _STRONG, Kind.INTERACTION, _WARMED),
    Transition(_DORMANT, _LONG, Kind.INTERACTION, _LASTED),
    Transition(_POTENTIAL, _NONE, Kind.TIME, f"no impression for more than {RECENT_DAYS} days"),
    Transition(_WEAK, _DORMANT, Kind.TIME, _QUIET),
    Transition(_STRONG, _WEAK, Kind.TIME, f"{_UNORDERED}, and the warmth fell below {STRONG_WARMTH:g}"),
    Transition(_STRONG, _DORMANT, Kind.TIME, _QUIET),
    Transition(_LONG, _STRONG, Kind.TIME, f"{_UNORDERED}, while the warmth is {STRONG_WARMTH:g} or more"),
    Transition(_LONG, _WEAK, Kind.TIME, f"{_UNORDERED}, and the warmth is below {STRONG_WARMTH:g}"),
    Transition(_LONG, _DORMANT, Kind.TIME, f"{_QUIET}, orders among them"),
    Transition(_DORMANT, _NONE, Kind.TIME, f"no dealing for more than {FORGOTTEN_DAYS} days"),
    Transition(
        _DORMANT,
        _POTENTIAL,
        Kind.TIME,
        f"no dealing for more than {FORGOTTEN_DAYS} days, with an impression in the last {RECENT_DAYS}",
    ),
)
"""Every move there is; staying where one is needs none."""

SOURCE: Final = "Dwyer, Schurr and Oh 1987 (phases of a relationship); thresholds are Bihuan's"
RULES: Final = {
    _NONE: "nothing links the two, or all of it is too long ago",
    _POTENTIAL: f"shown the brand in the last {RECENT_DAYS} days, and no dealing with it in {FORGOTTEN_DAYS} days",
    _WEAK: f"some dealing with the brand in the last {RECENT_DAYS} days, and not strong",
    _STRONG: f"a dealing in the last {RECENT_DAYS} days, and either an order in them or a warmth of at least "
    f"{STRONG_WARMTH:g} (the weight of {STRONG_WARMTH:g} purchases now, half-life 30 days)",
    _LONG: f"an order in the last {RECENT_DAYS} days, and at least {LONG_ORDERS} in all, the last {LONG_SPAN_DAYS} "
    "days or more after the first",
    _DORMANT: f"dealt with the brand, but not in the last {RECENT_DAYS} days; forgotten after {FORGOTTEN_DAYS} days",
}
"""Each stage in words."""
