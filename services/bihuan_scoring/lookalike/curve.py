"""
How good a ranking is: lift and precision by size, from rows that the model had not seen, as data.

`recall` is the share of held-out seeds among the best of the pool; `lift` is recall over the share of the pool that is
taken. Precision rests on two assumptions of Elkan and Noto (2008): the seed is a random part of those who belong to it,
and there are persons who surely belong. The label frequency c is then the highest rate of seeds there is (their third
estimator, here over sets of rows large enough to trust), seeds / c persons belong, and as many of those that are no
seeds are found as of the seeds. Where nobody surely belongs, c is too low and the precision too high: it is an upper
estimate, and is called one. Their first estimator, the mean over the seeds, was left: it supposes that everyone who
belongs surely does, and was off by a factor of ten on synthetic people whose truth is known.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bihuan_scoring.lookalike.linear import Floats
from bihuan_scoring.lookalike.sampling import Flags

LIFT_SHARES: Final = (0.01, 0.05, 0.10, 0.20)
_CURVE_SHARES: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.10, 0.15, 0.20, 0.30, 0.50, 0.70, 1.0)
_BOOTSTRAPS: Final = 200
_LEAST_ROWS: Final = 20
"""A share that holds fewer judged rows of the pool is not told."""


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Held-out rows: their scores, which are seeds, and how many seeds and others the whole pool has."""

    logits: Floats
    is_seed: Flags
    pool_seeds: int
    pool_others: int


@dataclass(frozen=True, slots=True)
class Lift:
    """How many times as many held-out seeds as by chance are in the best `share`; with a 95 % interval."""

    share: float
    lift: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A package of `size` (two significant digits): its share of held-out seeds, an upper estimate of its
    precision, and lift.
    """

    size: int
    recall: float
    precision: float
    lift: float


def lifts(judged: Judged, seed: int, shares: Sequence[float] = LIFT_SHARES) -> list[Lift]:
    """The lift at each share, rounded to two digits, with bootstrap intervals over persons."""
    random = np.random.default_rng(seed)
    seeds, others = judged.logits[judged.is_seed], judged.logits[~judged.is_seed]
    drawn = [
        _recalls(
            seeds[random.integers(0, len(seeds), len(seeds))],
            others[random.integers(0, len(others), len(others))],
            judged,
            shares,
        )
        for _ in range(_BOOTSTRAPS)
    ]
    low, high = np.percentile(np.array(drawn), (2.5, 97.5), axis=0)
    found = _recalls(seeds, others, judged, shares)
    return [
        Lift(share, *(round(float(value / share), 2) for value in values))
        for share, *values in zip(shares, found, low, high, strict=True)
    ]


def label_frequency(judged: Judged) -> float:
    """The estimated share of those who belong that the seed holds, in (0, 1]: the highest rate of held-out seeds."""
    pool = judged.pool_seeds + judged.pool_others
    shares = _shares(judged)
    recalls = _split(judged, shares)
    rates = [recall * judged.pool_seeds / (share * pool) for share, recall in zip(shares, recalls, strict=True)]
    return min(1.0, max(rates))


def curve(judged: Judged, frequency: float) -> list[CurvePoint]:
    """Size against precision, of packages that leave the seed out; only points that enough rows stand behind."""
    pool = judged.pool_seeds + judged.pool_others
    hidden = max(0.0, min(float(pool), judged.pool_seeds / frequency) - judged.pool_seeds)
    shares = _shares(judged)
    recalls = _split(judged, shares)
    points: list[CurvePoint] = []
    for share, recall in zip(shares, recalls, strict=True):
        size = share * pool - recall * judged.pool_seeds
        if size >= 1.0:
            precision = min(1.0, recall * hidden / size)
            points.append(
                CurvePoint(_two_digits(size), round(recall, 2), round(precision, 3), round(recall / share, 2))
            )
    return points


def size_for_precision(points: Sequence[CurvePoint], least: float) -> int:
    """The largest size on the curve whose precision is `least` or better; 0 where there is none."""
    return max((point.size for point in points if point.precision >= least), default=0)


def _shares(judged: Judged) -> list[float]:
    others = int((~judged.is_seed).sum())
    return [share for share in _CURVE_SHARES if share * others >= _LEAST_ROWS or share == 1.0]


def _split(judged: Judged, shares: Sequence[float]) -> list[float]:
    return _recalls(judged.logits[judged.is_seed], judged.logits[~judged.is_seed], judged, shares)


def _recalls(seeds: Floats, others: Floats, judged: Judged, shares: Sequence[float]) -> list[float]:
    """Share of seeds at or above the score that cuts off each share of the pool."""
    weight = judged.pool_others / len(others)
    seed_weight = judged.pool_seeds / len(seeds)
    scores = np.concatenate([seeds, others])
    is_seed = np.arange(len(scores)) < len(seeds)
    # Ties count half by half: a constant score has lift 1.
    levels, places = np.unique(-scores, return_inverse=True)
    seeds_at = np.bincount(places, weights=is_seed, minlength=len(levels))
    weights_at = np.bincount(places, weights=np.where(is_seed, seed_weight, weight), minlength=len(levels))
    taken = np.concatenate([[0.0], np.cumsum(weights_at)])
    found = np.concatenate([[0.0], np.cumsum(seeds_at)]) / len(seeds)
    return [float(value) for value in np.interp(np.array(shares) * taken[-1], taken, found)]


def _two_digits(size: float) -> int:
    digits = max(0, math.floor(math.log10(size)) - 1)
    return int(round(size, -digits))
