"""A regularised linear logit over look-alike features: standardised numbers, one column a value of a text attribute."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from bihuan_scoring.lookalike.features import Matrix
from bihuan_scoring.lookalike.sampling import Flags

Floats = npt.NDArray[np.float64]

_CLIP: Final = np.float32(5.0)
"""Standard deviations beyond which a value says no more."""
_NO_SPREAD: Final = 1e-6
_NEWTON_COLUMNS: Final = 500
"""Up to so many columns Newton's method is the faster one."""


@dataclass(frozen=True, slots=True, eq=False)
class Logit:
    """
    Log-odds as a weighted sum; a missing number stands at its mean.

    `numeric` are the positions of the columns with an order, `codes` the (column, value) pairs of those without.
    """

    numeric: tuple[int, ...]
    codes: tuple[tuple[int, int], ...]
    means: Floats
    inverse_scales: Floats
    weights: Floats
    intercept: float

    def parts(self, matrix: Matrix) -> Floats:
        """What each column adds to the log-odds: (rows, columns)."""
        added = np.zeros(matrix.shape)
        count = len(self.numeric)
        terms = _design(matrix, self.numeric, self.codes, self.means, self.inverse_scales) * self.weights
        added[:, list(self.numeric)] = terms[:, :count]
        for position, (column, _) in enumerate(self.codes, start=count):
            added[:, column] += terms[:, position]
        return added

    def logits(self, matrix: Matrix) -> Floats:
        """Log-odds, one a row."""
        design = _design(matrix, self.numeric, self.codes, self.means, self.inverse_scales)
        logits: Floats = design @ self.weights + self.intercept
        return logits


@dataclass(frozen=True, slots=True)
class Penalty:
    """
    How tightly the weights are held: `strength` is the inverse of the L2 penalty.

    Columns of tags are many and say little each; their weights count for `tag_share` of the others' (0: none at all),
    which is a penalty of their own, larger by the inverse square.
    """

    strength: float
    tag_share: float = 1.0


def fit_logit(
    matrix: Matrix, is_seed: Flags, categorical: tuple[int, ...], tags: tuple[int, ...], penalty: Penalty
) -> Logit:
    """Fit; `categorical` and `tags` are positions of columns."""
    numeric = tuple(column for column in range(matrix.shape[1]) if column not in categorical)
    codes = tuple(
        (column, int(value)) for column in categorical for value in np.unique(matrix[:, column]) if not np.isnan(value)
    )
    values = matrix[:, numeric].astype(np.float64)
    known = ~np.isnan(values)
    counts = np.maximum(known.sum(axis=0), 1)
    means = np.where(known, values, 0.0).sum(axis=0) / counts
    spread = np.sqrt((np.where(known, values - means, 0.0) ** 2).sum(axis=0) / counts)
    scales = np.where(spread > _NO_SPREAD, 1.0 / np.maximum(spread, _NO_SPREAD), 0.0)
    shares = np.where(np.isin(numeric, tags), penalty.tag_share, 1.0)
    used = np.concatenate([shares > 0, np.ones(len(codes), dtype=bool)])
    spread_out = np.concatenate([shares, np.ones(len(codes))])
    design = (_design(matrix, numeric, codes, means, scales) * spread_out)[:, used]
    solver = "newton-cholesky" if design.shape[1] <= _NEWTON_COLUMNS else "lbfgs"
    model = LogisticRegression(C=penalty.strength, max_iter=500, tol=1e-5, solver=solver).fit(design, is_seed)
    weights = np.zeros(len(used))
    weights[used] = model.coef_[0]
    return Logit(numeric, codes, means, scales, weights * spread_out, float(model.intercept_[0]))


def _design(
    matrix: Matrix, numeric: tuple[int, ...], codes: tuple[tuple[int, int], ...], means: Floats, scales: Floats
) -> Floats:
    numbers = np.nan_to_num((matrix[:, list(numeric)] - means) * scales, nan=0.0)
    flags = [matrix[:, column] == value for column, value in codes]
    return np.column_stack([np.clip(numbers, -_CLIP, _CLIP), *flags]).astype(np.float64, copy=False)
