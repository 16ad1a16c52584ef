"""
How interests decay: the half-lives are those that the contract of profile names.

A weight w at q is w·2^((q - origin)/H) at the origin, whenever it is looked at, so it is kept as that.
"""

from math import exp2, inf
from typing import Final

from bihuan_shared.clock import DAY_US, MINUTE_US
from bihuan_shared.targeting import Span

LONG_HALF_LIFE_US: Final = 30 * DAY_US
INSTANT_HALF_LIFE_US: Final = 30 * MINUTE_US
VISIBLE: Final = 1e-6
"""Profile tells no interest that is weaker than this at both speeds."""

_MOST_DOUBLINGS: Final = 1_000.0


def long_growth(from_us: int, to_us: int) -> float:
    """What a long-term weight at `to_us` is to be multiplied with to be as of `from_us`."""
    return _growth((to_us - from_us) / LONG_HALF_LIFE_US)


def instant_growth(from_us: int, to_us: int) -> float:
    """The same for an interest of minutes; infinite beyond 1,000 half-lives, when nothing is left of any."""
    return _growth((to_us - from_us) / INSTANT_HALF_LIFE_US)


def _growth(doublings: float) -> float:
    return exp2(doublings) if doublings < _MOST_DOUBLINGS else inf


def moved(span: Span, growth: float) -> Span:
    """The span that weights as of the origin are compared with; its ends are 0 or more, or there is none in it."""
    low, high = (end * growth if end else 0.0 for end in (span.low, span.high))
    return Span(low, high, span.low_open, span.high_open)
