"""
How far a person has come with a brand: aware, interested, purchased, loyal.

The four are those of Alibaba's Brand Databank (Uni Marketing, 2017), which counts a brand's consumers by the last step
they took: shown the brand, dealt with it, bought, bought again. The windows are this product's own. A stage is
evaluated at every read from the sums of a `Bond`: always current, whatever the order and batching of events.
"""

from enum import IntEnum
from typing import Final, NamedTuple

from bihuan_profile.domain.bond import Bond
from bihuan_shared.clock import DAY_US


class AiplStage(IntEnum):
    """The stages; the numbers are those of `bihuan.profile.v1`, NONE being none of them."""

    NONE = 0
    AWARE = 1
    INTERESTED = 2
    PURCHASED = 3
    LOYAL = 4


AWARE_DAYS: Final = 90
AWARE_US: Final = AWARE_DAYS * DAY_US
"""An impression makes aware, and a dealing interested, for so long; the last instant included."""
BOUGHT_DAYS: Final = 365
BOUGHT_US: Final = BOUGHT_DAYS * DAY_US
"""Whoever bought counts as a buyer for so long after the last order."""
LOYAL_ORDERS: Final = 2
"""Buying again is what sets the loyal apart. The segment `loyal`, which is about no brand, asks for more."""


class Aipl(NamedTuple):
    """A stage, and the first instant at which it is another if nothing happens (microseconds; None: never)."""

    stage: AiplStage
    until_us: int | None


_NONE, _AWARE, _INTERESTED = AiplStage.NONE, AiplStage.AWARE, AiplStage.INTERESTED
_PURCHASED, _LOYAL = AiplStage.PURCHASED, AiplStage.LOYAL


def aipl(bond: Bond, now_us: int) -> Aipl:
    """How far the person of a bond has come at `now_us`; what lies ahead of it counts as now."""
    unbought_us = bond.last_order_us + BOUGHT_US + 1
    if bond.orders and now_us < unbought_us:
        return Aipl(_LOYAL if bond.orders >= LOYAL_ORDERS else _PURCHASED, unbought_us)
    quiet_us = bond.last_us + AWARE_US + 1
    if bond.dealings and now_us < quiet_us:
        return Aipl(_INTERESTED, quiet_us)
    unseen_us = bond.seen_us + AWARE_US + 1
    if bond.seen_us and now_us < unseen_us:
        return Aipl(_AWARE, unseen_us)
    return Aipl(_NONE, None)


SOURCE: Final = "Alibaba Brand Databank 2017 (AIPL); windows are Bihuan's"
RULES: Final = {
    AiplStage.AWARE: f"shown the brand in the last {AWARE_DAYS} days, no dealing in them and no order in "
    f"{BOUGHT_DAYS} days",
    AiplStage.INTERESTED: f"dealt with the brand in the last {AWARE_DAYS} days, no order in {BOUGHT_DAYS} days",
    AiplStage.PURCHASED: f"one order, in the last {BOUGHT_DAYS} days",
    AiplStage.LOYAL: f"{LOYAL_ORDERS} orders or more, the last in the last {BOUGHT_DAYS} days",
}
"""Each stage in words."""
