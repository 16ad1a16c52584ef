"""
How far a person has come with the shop: acquisition, activation, retention, revenue, referral.

The five are Dave McClure's "Startup Metrics for Pirates" (2007); a person stands at the furthest that was reached. What
counts for each and the windows are this product's own. Evaluated at every read from counts and last times: always
current, whatever the order and batching of events.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bihuan_profile.domain.behaviour import Behaviour
from bihuan_profile.domain.record import Record, last_done_us
from bihuan_shared.clock import DAY_US

REACHED_DAYS: Final = 365
REACHED_US: Final = REACHED_DAYS * DAY_US
"""A stage beyond the first counts for so long after what it rests on; the last instant included."""
RETURN_DAYS: Final = 7
RETURN_US: Final = RETURN_DAYS * DAY_US
"""A visit so long after the first contact is a return."""
MIN_VISITS: Final = 2

ACQUISITION, ACTIVATION, RETENTION = "acquisition", "activation", "retention"
REVENUE, REFERRAL = "revenue", "referral"
AARRR_VALUES: Final = (ACQUISITION, ACTIVATION, RETENTION, REVENUE, REFERRAL)

_IMPRESSION, _SHARE = Behaviour.IMPRESSION, Behaviour.SHARE
_ANYTHING: Final = tuple(one for one in Behaviour if one is not Behaviour.IMPRESSION)
_VISITS: Final = (Behaviour.VIEW, Behaviour.SEARCH, Behaviour.CLICK)
_ENGAGED: Final = (
    Behaviour.FAVOURITE,
    Behaviour.CART,
    Behaviour.FOLLOW,
    Behaviour.COMMENT,
    Behaviour.POST,
    Behaviour.COUPON,
)


@dataclass(frozen=True, slots=True)
class Aarrr:
    """A stage, when the person last did what it rests on, and when it is another if nothing happens (None: never)."""

    stage: str
    last_us: int
    until_us: int | None


def is_acquired(record: Record) -> bool:
    """Whether the person ever did anything other than being shown advertisements."""
    return len(record.counts) > (_IMPRESSION in record.counts)


def aarrr(record: Record, now_us: int) -> Aarrr | None:
    """The furthest stage at `now_us`; None of a person who only ever was shown advertisements, if that."""
    if not is_acquired(record):
        return None
    for stage, reached_us in _REACHED:
        last_us = reached_us(record)
        if last_us and now_us <= last_us + REACHED_US:
            return Aarrr(stage, last_us, last_us + REACHED_US + 1)
    return Aarrr(ACQUISITION, last_done_us(record.counts, _ANYTHING), None)


def _returned_us(record: Record) -> int:
    """When the person last came back, 0 where it never did."""
    counts = record.counts
    last_us = last_done_us(counts, _VISITS)
    if last_us < record.first_operation_us + RETURN_US:
        return 0
    return last_us if sum(counts[one].total for one in _VISITS if one in counts) >= MIN_VISITS else 0


_REACHED: Final[tuple[tuple[str, Callable[[Record], int]], ...]] = (
    (REFERRAL, lambda record: last_done_us(record.counts, (_SHARE,))),
    (REVENUE, lambda record: record.orders.last_time_us),
    (RETENTION, _returned_us),
    (ACTIVATION, lambda record: last_done_us(record.counts, _ENGAGED)),
)
"""Stages beyond the first from the furthest down, and when what each rests on was last done (0: never)."""

SOURCE: Final = "McClure 2007 (Startup Metrics for Pirates); what counts, and the windows, are Bihuan's"
RULES: Final = {
    ACQUISITION: "did anything at all, and reached no further stage",
    ACTIVATION: f"favourite, cart, follow, comment, post or coupon in the last {REACHED_DAYS} days, and no further "
    "stage",
    RETENTION: f"visited in the last {REACHED_DAYS} days, at least {MIN_VISITS} times in all and {RETURN_DAYS} days or "
    "more after the first contact, and no further stage",
    REVENUE: f"ordered in the last {REACHED_DAYS} days, and no further stage",
    REFERRAL: f"shared in the last {REACHED_DAYS} days",
}
"""Each stage in words."""
