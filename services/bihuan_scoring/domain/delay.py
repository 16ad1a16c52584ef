"""
Outcomes that come late: how many of those that will come have come after a while.

An outcome is seen only where its delay is no longer than its row is old, so short delays are seen too often. The share
that has come by an age is estimated without a form of its own from such right-truncated delays, by the product limit
in reverse time (Lagakos, Barraj, De Gruttola, "Nonparametric analysis of truncated survival data, with application to
AIDS", Biometrika 75(3), 1988). The share is that of outcomes that come within the age of the oldest row that had one:
of what comes later still nothing can be known.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bihuan_scoring.domain.interest_match import Floats, Ints

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """
    When each row could first have its outcome, and how long that took, in microseconds; NaN: it has not come yet.

    Everything is as known at `known_until_us`.
    """

    start_us: Ints
    delay_us: Floats
    known_until_us: int

    def seen_before(self, instant_us: int) -> Bools:
        """Which rows had had their outcome before an instant."""
        with np.errstate(invalid="ignore"):
            seen: Bools = self.start_us + self.delay_us < min(instant_us, self.known_until_us)
        return seen

    def ages_us(self, instant_us: int) -> Floats:
        """How old the rows were at an instant; never negative."""
        return np.maximum(min(instant_us, self.known_until_us) - self.start_us, 0).astype(np.float64)

    def taken(self, rows: Ints | Bools) -> "Outcomes":
        """Those of some rows."""
        return Outcomes(self.start_us[rows], self.delay_us[rows], self.known_until_us)


@dataclass(frozen=True, slots=True)
class DelayCurve:
    """Share of outcomes that have come by an age: `shares[k]` from `ages_us[k]` on, 0 before the first age."""

    ages_us: Floats
    shares: Floats

    @classmethod
    def fit(cls, delays_us: Floats, ages_us: Floats) -> "DelayCurve":
        """
        Estimate from outcomes that were seen: their delays, and how old their rows are, which is no less.

        Without any, everything counts as having come.
        """
        if not len(delays_us):
            return cls(np.zeros(1), np.ones(1))
        points, counts = np.unique(delays_us, return_counts=True)
        not_later = np.searchsorted(np.sort(delays_us), points, side="right")
        # A row whose age is below a delay could not have shown it.
        younger = np.searchsorted(np.sort(ages_us), points, side="left")
        at_risk = np.maximum(not_later - younger, counts)
        # An early point without company says nothing but would take all that is below it with it.
        steps = 1.0 - counts / (at_risk + (at_risk == counts) * (np.arange(len(points)) > 0))
        shares = np.append(np.cumprod(steps[:0:-1])[::-1], 1.0)
        return cls(points, shares)

    def at(self, ages_us: Floats) -> Floats:
        """The share that has come by each age."""
        found = np.searchsorted(self.ages_us, ages_us, side="right") - 1
        return np.where(found < 0, 0.0, self.shares[np.maximum(found, 0)])


def still_to_come(probabilities: Floats, shares: Floats) -> Floats:
    """
    Probability that a row without its outcome will have it still, where `shares` of outcomes have come by its age.

    By Bayes; the E step of Chapelle, "Modeling delayed feedback in display advertising", KDD 2014, for any delay.
    """
    return probabilities * (1.0 - shares) / np.maximum(1.0 - probabilities * shares, 1e-12)
