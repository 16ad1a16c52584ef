"""
From weights of evidence to probabilities, without the truth.

A Fellegi-Sunter weight says how much likelier a comparison is among records of one person than among others; what a
probability needs besides is how many pairs are of one person at all. That share is the one under which the observed
weights are likeliest, found by expectation maximisation over every pair of the files (pairs that no blocking rule finds
count as different persons). Then the probabilities add up to the number of matches that the data itself shows.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

SMALLEST_SHARE: Final = 1e-15
LARGEST_SHARE: Final = 0.5
_ROUNDS: Final = 1_000
_TOLERANCE: Final = 1e-9
LOWEST_THRESHOLD: Final = 0.5
"""A link that is likelier wrong than right is never made."""

Floats = npt.NDArray[np.float64]


def probabilities(weights: Floats, share: float) -> Floats:
    """The probability of each pair, given its log2 Bayes factor and the share of matches among all pairs."""
    odds = np.clip(weights + np.log2(share / (1 - share)), -500, 500)
    return np.asarray(1 / (1 + np.exp2(-odds)), dtype=np.float64)


def share_of_matches(weights: Floats, counts: Floats, all_pairs: float, start: float) -> float:
    """
    The likeliest share of matches among `all_pairs` pairs.

    `weights` are log2 Bayes factors of the candidates, `counts` how many candidates have each. Lies between 1e-15 and
    0.5; `start` is where the search begins.
    """
    share = float(np.clip(start, SMALLEST_SHARE, LARGEST_SHARE))
    for _ in range(_ROUNDS):
        expected = float((counts * probabilities(weights, share)).sum())
        better = float(np.clip(expected / all_pairs, SMALLEST_SHARE, LARGEST_SHARE))
        if abs(better - share) <= _TOLERANCE * share:
            return better
        share = better
    return share


def choose_threshold(confidences: Sequence[float], wanted_precision: float) -> float:
    """
    The lowest probability, 0.5 at least, from which on links are right to `wanted_precision` as far as they promise.

    1 where not even the surest links promise that.
    """
    at_stake = sorted((item for item in confidences if item >= LOWEST_THRESHOLD), reverse=True)
    means = np.cumsum(at_stake) / np.arange(1, len(at_stake) + 1)
    good = np.flatnonzero(means >= wanted_precision)
    if not at_stake or good.size == len(at_stake):
        return LOWEST_THRESHOLD
    return float(at_stake[int(good[-1])]) if good.size else 1.0


def expected_f1(confidences: Sequence[float], threshold: float) -> float:
    """The F1 that the probabilities promise for links from `threshold` on; 1 where nothing is expected at all."""
    linked = [item for item in confidences if item >= threshold]
    whole = len(linked) + sum(confidences)
    return 2 * sum(linked) / whole if whole else 1.0
