"""
Whether probabilities still say what happens: an always-valid test of predicted against observed outcomes.

The hypothesis is that the odds of every outcome are within a factor `tolerance` of those that were predicted. Against
it stand odds that are larger, and odds that are smaller, by more than that. Each is weighed by a test supermartingale,
the mean over a few further shifts `t` of `prod exp(t * y) / (1 - p + p * exp(t))`, where `p` are the predictions
shifted to the edge of the tolerance. Whatever the true odds within the tolerance are, its expectation is at most 1, so
by Ville's inequality it ever reaches `2 / alpha` with probability `alpha / 2` at most: one may look as often as one
likes, and withdraw a good model with probability `alpha` at most over its whole life. Outcomes count in sequence, each
given what came before; see Ramdas, Gruenwald, Vovk, Shafer, "Game-theoretic statistics and safe anytime-valid
inference", Statistical Science 38(4), 2023.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from bihuan_scoring.domain.interest_match import Floats

_SHIFTS: Final = np.array([0.1, 0.25, 0.5, 1.0, 2.0])
"""Of log-odds beyond the tolerance; a mixture of them is powerful against all between."""
_EDGE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Drift:
    """What was predicted and what happened, and the evidence (natural logarithm) that they differ by too much."""

    rows: int
    predicted: float
    """Sum of the predicted probabilities."""
    observed: int
    log_evidence: float

    def found(self, alpha: float) -> bool:
        """True where the probabilities are off, with a false alarm in a model's whole life in `alpha` of cases."""
        return self.log_evidence >= float(np.log(2.0 / alpha))

    @property
    def ratio(self) -> float:
        """Observed over predicted; 1 where nothing was predicted."""
        return self.observed / self.predicted if self.predicted else 1.0


def drift_of(predicted: Floats, happened: npt.NDArray[np.bool_], tolerance: float) -> Drift:
    """Weigh outcomes (rows) against their predicted probabilities (rows); `tolerance` is a factor of odds above 1."""
    clipped = np.clip(predicted, _EDGE, 1.0 - _EDGE)
    logits = np.log(clipped) - np.log1p(-clipped)
    edge = float(np.log(tolerance))
    evidence = max(
        _log_evidence(logits + edge, happened, _SHIFTS),
        _log_evidence(logits - edge, happened, -_SHIFTS),
    )
    return Drift(len(predicted), float(predicted.sum()), int(happened.sum()), evidence)


def _log_evidence(logits: Floats, happened: npt.NDArray[np.bool_], shifts: Floats) -> float:
    # log(1 - p + p * exp(t)) is the difference of two softplus of the log-odds.
    ones = int(happened.sum())
    here = np.logaddexp(0.0, logits)
    weights = [
        float(shift * ones - (np.logaddexp(0.0, logits + shift) - here).sum()) if len(logits) else 0.0
        for shift in shifts.tolist()
    ]
    return float(np.logaddexp.reduce(weights) - np.log(len(weights)))
