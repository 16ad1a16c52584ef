"""
Shapley values of channels over the sets of channels that occur, exactly.

The worth of a coalition is `v(S)`: the conversions (or their value) of the paths whose set of channels lies inside `S`.
So `v` is a sum of unanimity games, one a path's set, and its Shapley value has a closed form: each path's conversions
are shared equally among its distinct channels (Zhao, Mahboobi and Bagheri 2018, "Shapley value methods for attribution
modeling in online advertising", arXiv:1804.05327; the set-based view after Shao and Li 2011). Paths without a
conversion do not matter here; they do in `rate_shapley`.
"""

from fractions import Fraction
from math import lcm

import numpy as np

from bihuan_attribution.domain.credit.channel_weights import weights_of
from bihuan_attribution.domain.credit.paths import Ints, Measure, Paths, PathTable, table_of


def shapley(paths: Paths, *, measure: Measure = Measure.CONVERSIONS) -> dict[str, int]:
    """
    Weigh channels by their Shapley values; the weights sum to `WHOLE_WEIGHT`, or are all 0 without a conversion.

    Integers throughout: the same paths give the same weights on every machine.
    """
    table = table_of(paths)
    sizes, sums = _sums_by_size(table, measure)
    common = lcm(*sizes)
    parts = [common // size for size in sizes]
    shares = [sum(sum_ * part for sum_, part in zip(row, parts, strict=True)) for row in sums.tolist()]
    return weights_of(table.channels, shares)


def shapley_values(paths: Paths, *, measure: Measure = Measure.CONVERSIONS) -> dict[str, Fraction]:
    """Compute the Shapley value of every channel in conversions, or in value; they sum to `v` of all channels."""
    table = table_of(paths)
    sizes, sums = _sums_by_size(table, measure)
    return {
        name: sum((Fraction(sum_, size) for sum_, size in zip(row, sizes, strict=True)), Fraction(0))
        for name, row in zip(table.channels, sums.tolist(), strict=True)
    }


def _sums_by_size(table: PathTable, measure: Measure) -> tuple[list[int], Ints]:
    """
    Sum outcomes by channel and by how many distinct channels their paths have.

    The sizes that occur, and sums of the shape (channels, sizes). Temporary memory is bounded by `PART_STEPS`.
    """
    sums: dict[int, Ints] = {}
    for part in table.parts():
        converted = part.where(part.outcomes(measure) > 0)
        rows, codes = distinct_channels(converted)
        size_of = np.bincount(rows, minlength=len(converted.conversions))
        outcome = converted.outcomes(measure)[rows]
        sizes = size_of[rows]
        for size in np.unique(sizes).tolist():
            of_size = sizes == size
            held = sums.setdefault(size, np.zeros(len(table.channels), dtype=np.int64))
            np.add.at(held, codes[of_size], outcome[of_size])
    found = sorted(sums)
    columns = [sums[size] for size in found]
    return found, np.stack(columns, axis=1) if columns else np.zeros((len(table.channels), 0), dtype=np.int64)


def distinct_channels(table: PathTable) -> tuple[Ints, Ints]:
    """Pairs of a path and one of its channels, each once: two arrays of the same length."""
    width = max(1, len(table.channels))
    rows = np.repeat(np.arange(len(table.conversions), dtype=np.int64), np.diff(table.starts))
    pairs = np.sort(rows * width + table.codes)
    new = np.ones(len(pairs), dtype=np.bool_)
    new[1:] = pairs[1:] != pairs[:-1]
    found = np.divmod(pairs[new], width)
    return found[0], found[1]
