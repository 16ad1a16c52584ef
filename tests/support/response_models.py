"""Models for tests: a linear logit and trees on top of it, learnt from made-up rows."""

from dataclasses import dataclass

import lightgbm
import numpy as np
import numpy.typing as npt

from bihuan_scoring.domain.features import CATEGORICAL_COLUMNS, FEATURES, LINEAR_COLUMNS
from bihuan_scoring.domain.linear import LinearLogit, PlattScale, Standardiser
from bihuan_scoring.registry_store import TrainedVersion
from bihuan_scoring.training import ResponseModel


@dataclass(frozen=True, slots=True)
class MadeUp:
    """Feature rows with missing values and codes, and labels that depend on both."""

    rows: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]


def made_up(count: int = 2_000, seed: int = 3) -> MadeUp:
    """Rows whose labels a tree can learn and a line cannot."""
    source = np.random.default_rng(seed)
    rows = source.exponential(size=(count, len(FEATURES)))
    rows[source.random(rows.shape) < 0.1] = np.nan
    for column in CATEGORICAL_COLUMNS:
        rows[:, column] = source.integers(0, 251, count)
    labels = (np.nan_to_num(rows[:, 0]) + rows[:, CATEGORICAL_COLUMNS[0]] % 3 > 1.8).astype(np.int64)
    return MadeUp(rows, labels)


def trees(data: MadeUp, *, rounds: int = 8, leaves: int = 7) -> str:
    """LightGBM's text of a few trees."""
    parameters = {"objective": "binary", "num_leaves": leaves, "verbosity": -1, "num_threads": 1, "min_data_in_leaf": 5}
    rows = lightgbm.Dataset(data.rows, label=data.labels, categorical_feature=list(CATEGORICAL_COLUMNS))
    return str(lightgbm.train(parameters, rows, num_boost_round=rounds).model_to_string())


def version_of(name: str, *, intercept: float = -1.0, rate: float = 0.5, text: str | None = None) -> TrainedVersion:
    """A version that answers a click by a linear logit and trees, and an order by a rate."""
    data = made_up(400)
    linear = LinearLogit(Standardiser.fit(data.rows), np.full(len(LINEAR_COLUMNS), 0.05), intercept)
    click = ResponseModel(linear, text, PlattScale(0.9, -0.1), {})
    return TrainedVersion(name, 5, click, rate, {"cv_auc": 0.8}, {"data_sha256": "ab"}, data.rows[:100])
