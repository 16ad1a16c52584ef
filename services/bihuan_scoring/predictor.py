"""A trained model at work: feature rows into probabilities. What it holds is immutable and safe to share."""

from dataclasses import dataclass, field, replace
from typing import Protocol

import lightgbm
import numpy as np

from bihuan_scoring.domain.calibration import Calibration
from bihuan_scoring.domain.features import LINEAR_COLUMNS
from bihuan_scoring.domain.interest_match import Floats
from bihuan_scoring.domain.linear import LinearLogit
from bihuan_scoring.use_cases.ports import Explanation, Probabilities, unexplained


class Trees(Protocol):
    """Trees that add to a logit."""

    @property
    def kind(self) -> str:
        """What computes them: `lightgbm` or `lleaves`."""
        ...

    def scores(self, matrix: Floats) -> Floats:
        """What the trees add to the log-odds of feature rows; safe to call from any thread."""
        ...


@dataclass(frozen=True, slots=True)
class BoosterTrees:
    """Trees as LightGBM's own predictor computes them, and their text."""

    booster: lightgbm.Booster
    text: str = field(repr=False)
    kind: str = "lightgbm"

    def scores(self, matrix: Floats) -> Floats:
        """One a row."""
        # One thread: rows of a request are few, and a pool of threads costs more than it saves.
        return np.asarray(self.booster.predict(matrix, raw_score=True, num_threads=1), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class ConstantRate:
    """The same probability for every row: all that few outcomes allow to say."""

    rate: float

    def probabilities(self, matrix: Floats) -> Floats:
        """One probability a row."""
        return np.full(len(matrix), self.rate)

    def explain(self, matrix: Floats) -> Explanation:
        """The rate is all there is."""
        return unexplained(self.rate, matrix)


@dataclass(frozen=True, slots=True)
class CalibratedResponse:
    """
    A linear logit, trees on top of it (None: none helped), and their calibration.

    `fast` are the same trees, compiled and found to agree; None where LightGBM's own predictor serves.
    """

    linear: LinearLogit
    trees: BoosterTrees | None
    calibration: Calibration
    fast: Trees | None = None

    def logits(self, matrix: Floats) -> Floats:
        """Log-odds before calibration, one a row."""
        logits = self.linear.logits(matrix)
        trees = self.fast or self.trees
        return logits if trees is None else logits + trees.scores(matrix)

    def probabilities(self, matrix: Floats) -> Floats:
        """One calibrated probability a row."""
        return self.calibration.probabilities(self.logits(matrix))

    def explain(self, matrix: Floats) -> Explanation:
        """
        What each column adds to the log-odds: its weighted standard score, plus TreeSHAP of the trees.

        The linear part's share is exact: its base stands for a row at the means of the training rows. TreeSHAP is
        LightGBM's `pred_contrib` (Lundberg et al., "From local explanations to global understanding with explainable AI
        for trees", Nature Machine Intelligence 2, 2020), whose base is the mean of the trees over the training rows.
        """
        contributions = np.zeros(matrix.shape)
        contributions[:, LINEAR_COLUMNS] = self.linear.standardiser.apply(matrix) * self.linear.weights
        base = self.linear.intercept
        if self.trees is not None:
            added = np.asarray(self.trees.booster.predict(matrix, pred_contrib=True, num_threads=1), dtype=np.float64)
            contributions += added[:, :-1]
            base += float(added[0, -1]) if len(added) else 0.0
        return Explanation(contributions, base, self.logits(matrix), self.probabilities(matrix))

    def with_fast(self, fast: Trees) -> "CalibratedResponse":
        """The same response on compiled trees."""
        return replace(self, fast=fast)


Response = ConstantRate | CalibratedResponse


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """Both responses of one version, and real rows on which predictors can be compared (rows, FEATURES)."""

    model_version: str
    click: Response
    order: Response
    sample: Floats = field(default_factory=lambda: np.empty((0, 0)), repr=False)

    @property
    def predictor(self) -> str:
        """What computes the trees of both responses; `none` without trees."""
        trees = [
            response.fast or response.trees
            for response in (self.click, self.order)
            if isinstance(response, CalibratedResponse)
        ]
        return "+".join(sorted({each.kind for each in trees if each is not None})) or "none"

    def predict(self, matrix: Floats) -> Probabilities:
        """Click and order probabilities of feature rows."""
        return Probabilities(self.click.probabilities(matrix), self.order.probabilities(matrix))

    def explain(self, matrix: Floats, *, order: bool) -> Explanation:
        """What each feature adds to the log-odds of a click, or of an order."""
        return (self.order if order else self.click).explain(matrix)
