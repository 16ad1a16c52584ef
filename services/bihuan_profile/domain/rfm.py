"""
Where a person stands among all who have ordered: quintiles of recency, frequency and monetary value, and a price band.

The measures are those of Hughes, "Strategic Database Marketing" (1994): the population is cut into five parts of equal
size by each, 5 being the best; of recency the most recent. A cut at share s is the smallest value at or below which at
least s of the population lies.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

QUINTILE_SHARES: Final = (0.2, 0.4, 0.6, 0.8)
TERCILE_SHARES: Final = (1 / 3, 2 / 3)
PRICE_BANDS: Final = ("low", "middle", "high")


def part(value: float, cuts: Sequence[float]) -> int:
    """
    Which part of the population a value is in, 1 being the lowest: one more than the number of cuts below it.

    `cuts` ascend and may be equal. Equal values are in one part, that of the lowest rank among them: a value has passed
    the cut at share s once at least s of the population lies strictly below it. So where 70 % have ordered once, those
    are of part 1 of 5 and the next ones of part 4, and nobody is told apart who is alike. It never falls as the value
    rises.
    """
    return 1 + bisect_left(cuts, value)


def price_band(order_value: float, cuts: Sequence[float]) -> str:
    """The band of an average order value between the two cuts of terciles; ties as in `part`."""
    return PRICE_BANDS[part(order_value, cuts) - 1]
