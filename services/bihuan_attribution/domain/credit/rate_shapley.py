"""
Shapley values of channels over conversion rates, by enumeration of all coalitions.

The worth of a coalition is `v(S)`: of the people whose set of channels lies inside `S` (and is not empty), the share
who bought; 0 where there is nobody. Unlike in `shapley`, a channel that many people saw without buying lowers the worth
of its coalitions, so values may be negative. `v` and its enumeration are the definition of the Shapley value taken
literally (Shapley 1953), with rates in place of sums.
"""

from math import comb
from typing import Final

import numpy as np

from bihuan_attribution.domain.credit.chain import Floats
from bihuan_attribution.domain.credit.channel_weights import weights_of
from bihuan_attribution.domain.credit.paths import Ints, Paths, PathTable, table_of
from bihuan_attribution.domain.credit.shapley import distinct_channels
from bihuan_shared.errors import InvalidArgument

MAX_RATE_CHANNELS: Final = 16
"""2^16 coalitions: half a MiB an array of them."""
_SCALE: Final = 2**53


def rate_shapley(paths: Paths) -> dict[str, int]:
    """
    Weigh channels by their values over conversion rates; what is negative counts as 0.

    The weights sum to `WHOLE_WEIGHT`, or are all 0. More than `MAX_RATE_CHANNELS` channels raise `InvalidArgument`.
    """
    table = table_of(paths)
    shares = [max(0, int(value * _SCALE)) for value in _values(table).tolist()]
    return weights_of(table.channels, shares)


def rate_shapley_values(paths: Paths) -> dict[str, float]:
    """Compute the value of every channel over conversion rates; they sum to the rate of all. Errors as above."""
    table = table_of(paths)
    return dict(zip(table.channels, _values(table).tolist(), strict=True))


def _values(table: PathTable) -> Floats:
    """Shape (channels,): the mean marginal rate of each channel over all orders in which channels may join."""
    size = len(table.channels)
    if size > MAX_RATE_CHANNELS:
        raise InvalidArgument.of("paths", f"rates can be enumerated for at most {MAX_RATE_CHANNELS} channels")
    bought, people = _inside(table)
    worth = np.divide(bought, people, out=np.zeros(len(people)), where=people > 0)
    coalitions = np.arange(1 << size, dtype=np.int64)
    others = np.bitwise_count(coalitions)
    values = np.zeros(size)
    chance = np.array([1 / (size * comb(size - 1, count)) for count in range(size)])
    for channel in range(size):
        without = coalitions[coalitions >> channel & 1 == 0]
        values[channel] = chance[others[without]] @ (worth[without | 1 << channel] - worth[without])
    return values


def _inside(table: PathTable) -> tuple[Ints, Ints]:
    """Conversions and people of the paths inside each coalition, both of shape (2^channels,): sums over subsets."""
    size = len(table.channels)
    bought, people = (np.zeros(1 << size, dtype=np.int64) for _ in range(2))
    for part in table.parts():
        rows, codes = distinct_channels(part)
        masks = np.zeros(len(part.conversions), dtype=np.int64)
        np.add.at(masks, rows, np.left_shift(np.int64(1), codes))
        np.add.at(bought, masks, part.conversions)
        np.add.at(people, masks, part.conversions + part.non_conversions)
    for sums in (bought, people):
        sums[0] = 0
        for channel in range(size):
            halves = sums.reshape(-1, 2, 1 << channel)
            halves[:, 1] += halves[:, 0]
    return bought, people
