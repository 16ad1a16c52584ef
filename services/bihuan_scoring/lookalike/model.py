"""A look-alike model: a linear logit, trees on top of it, the layout of the rows it reads, and its calibration."""

from dataclasses import dataclass, field
from functools import cached_property

import lightgbm
import numpy as np
import numpy.typing as npt

from bihuan_scoring.lookalike.features import Matrix
from bihuan_scoring.lookalike.layout import Layout
from bihuan_scoring.lookalike.linear import Floats, Logit

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class LookAlikeModel:
    """
    Scores persons; a higher score is more alike. At least one of `logit` and `trees` (LightGBM's text) is there.

    Plain data, so that it travels to other processes; the booster is loaded where it is used.
    """

    layout: Layout
    logit: Logit | None
    trees: str | None
    figures: dict[str, float] = field(default_factory=dict)

    @cached_property
    def _booster(self) -> lightgbm.Booster:
        return lightgbm.Booster(model_str=self.trees)

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name != "_booster"}

    def raw(self, matrix: Matrix, num_threads: int = 1) -> Floats:
        """Log-odds of feature rows."""
        found = np.zeros(len(matrix)) if self.logit is None else self.logit.logits(matrix)
        if self.trees is not None and len(matrix):
            found = found + self._booster.predict(matrix, raw_score=True, num_threads=num_threads)
        return np.asarray(found, dtype=np.float64)

    def scores(self, matrix: Matrix, num_threads: int = 1) -> Scores:
        """Log-odds as they are compared and stored: float32."""
        return self.raw(matrix, num_threads).astype(np.float32)

    def parts(self, matrix: Matrix) -> Floats:
        """
        What each column adds to the log-odds of each row: (rows, columns).

        TreeSHAP (Lundberg and others, "From local explanations to global understanding", 2020) of the trees plus the
        terms of the logit; both add up exactly, so their sum does.
        """
        found = np.zeros(matrix.shape) if self.logit is None else self.logit.parts(matrix)
        if self.trees is not None and len(matrix):
            found = found + np.asarray(self._booster.predict(matrix, pred_contrib=True, num_threads=1))[:, :-1]
        return found
