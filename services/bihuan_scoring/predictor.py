"""A trained model at work: feature rows into probabilities. What it holds is immutable and safe to share."""

from dataclasses import dataclass

import lightgbm
import numpy as np

from bihuan_scoring.domain.interest_match import Floats
from bihuan_scoring.domain.linear import LinearLogit, PlattScale
from bihuan_scoring.use_cases.ports import Probabilities


@dataclass(frozen=True, slots=True)
class ConstantRate:
    """The same probability for every row: all that few outcomes allow to say."""

    rate: float

    def probabilities(self, matrix: Floats) -> Floats:
        """One probability a row."""
        return np.full(len(matrix), self.rate)


@dataclass(frozen=True, slots=True)
class CalibratedResponse:
    """A linear logit, trees on top of it (None: none helped), and their calibration."""

    linear: LinearLogit
    trees: lightgbm.Booster | None
    calibration: PlattScale

    def probabilities(self, matrix: Floats) -> Floats:
        """One calibrated probability a row."""
        logits = self.linear.logits(matrix)
        if self.trees is not None:
            # One thread: rows of a request are few, and a pool of threads costs more than it saves.
            logits = logits + np.asarray(self.trees.predict(matrix, raw_score=True, num_threads=1))
        return self.calibration.probabilities(logits)


Response = ConstantRate | CalibratedResponse


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """Both responses of one version."""

    model_version: str
    click: Response
    order: Response

    def predict(self, matrix: Floats) -> Probabilities:
        """Click and order probabilities of feature rows."""
        return Probabilities(self.click.probabilities(matrix), self.order.probabilities(matrix))
