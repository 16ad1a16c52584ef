"""A calibrated linear logit: standardise, add up, correct by what trees say, calibrate."""

from dataclasses import dataclass

import numpy as np

from bihuan_scoring.domain.features import LINEAR_COLUMNS
from bihuan_scoring.domain.interest_match import Floats

_CLIP = 5.0
"""Standard deviations beyond which a value says no more; keeps a stray value from deciding alone."""
_MAX_LOGIT = 30.0
_NO_SPREAD = 1e-9


@dataclass(frozen=True, slots=True)
class Standardiser:
    """
    Means and inverse scales of the linear columns over the training rows; a missing value stands at the mean.

    An inverse scale of 0 marks a column that says nothing.
    """

    means: Floats
    inverse_scales: Floats

    @classmethod
    def fit(cls, matrix: Floats) -> "Standardiser":
        """Learn from feature rows; a column that never varies, or is never known, says nothing."""
        values = matrix[:, LINEAR_COLUMNS]
        known = ~np.isnan(values)
        counts = np.maximum(known.sum(axis=0), 1)
        filled = np.where(known, values, 0.0)
        means = filled.sum(axis=0) / counts
        spread = np.sqrt((np.where(known, values - means, 0.0) ** 2).sum(axis=0) / counts)
        return cls(means, np.where(spread > _NO_SPREAD, 1.0 / np.maximum(spread, _NO_SPREAD), 0.0))

    def apply(self, matrix: Floats) -> Floats:
        """Standardised linear columns of feature rows."""
        scaled = (matrix[:, LINEAR_COLUMNS] - self.means) * self.inverse_scales
        return np.clip(np.nan_to_num(scaled, nan=0.0), -_CLIP, _CLIP)


@dataclass(frozen=True, slots=True)
class LinearLogit:
    """Log-odds as a weighted sum of the standardised columns."""

    standardiser: Standardiser
    weights: Floats
    intercept: float

    def logits(self, matrix: Floats) -> Floats:
        """Log-odds, one a row."""
        logits: Floats = self.standardiser.apply(matrix) @ self.weights + self.intercept
        return logits


@dataclass(frozen=True, slots=True)
class PlattScale:
    """Calibration of log-odds by a line, fitted on rows that the model had not seen."""

    slope: float = 1.0
    intercept: float = 0.0

    def probabilities(self, logits: Floats) -> Floats:
        """Calibrated probabilities in (0, 1)."""
        scaled = np.clip(self.slope * logits + self.intercept, -_MAX_LOGIT, _MAX_LOGIT)
        probabilities: Floats = 1.0 / (1.0 + np.exp(-scaled))
        return probabilities


def smoothed_rate(positives: int, rows: int, prior: float, strength: float) -> float:
    """A rate pulled towards `prior` as if `strength` rows with that rate had been seen before."""
    return (positives + prior * strength) / (rows + strength)
