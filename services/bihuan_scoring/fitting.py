"""Fits of one model each, on weighted rows; everything is seeded and runs the same way each time."""

from dataclasses import dataclass

import lightgbm
import numpy as np
import numpy.typing as npt
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from bihuan_scoring.domain.calibration import ISOTONIC, Calibration, IsotonicScale
from bihuan_scoring.domain.features import CATEGORICAL_COLUMNS, FEATURES
from bihuan_scoring.domain.interest_match import Floats
from bihuan_scoring.domain.linear import LinearLogit, PlattScale, Standardiser

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """How to train; part of a model version's name."""

    seed: int = 7
    folds: int = 5
    strengths: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
    """Inverse regularisation of the linear model, from strongest; the best in cross-validation is taken."""
    max_rounds: int = 120
    num_threads: int = 1
    """Of LightGBM. More pay off on millions of rows, and cost much where the machine has other work."""
    min_positives: int = 50
    """With fewer positive or negative rows a smoothed rate says all there is to say."""
    forward_shares: tuple[float, ...] = (0.5, 0.7, 0.85)
    """Shares of the rows, by time, that come before each split of the evaluation forward in time."""


def fit_linear(matrix: Floats, labels: Labels, strength: float, weights: Floats | None = None) -> LinearLogit:
    """A regularised logistic regression on standardised columns."""
    standardiser = Standardiser.fit(matrix)
    model = LogisticRegression(C=strength, solver="newton-cholesky")
    model.fit(standardiser.apply(matrix), labels, sample_weight=weights)
    return LinearLogit(standardiser, np.asarray(model.coef_[0], dtype=np.float64), float(model.intercept_[0]))


def boost(
    matrix: Floats,
    labels: Labels,
    init_score: Floats,
    rounds: int,
    config: TrainingConfig,
    weights: Floats | None = None,
) -> lightgbm.Booster:
    """Trees on top of log-odds (`init_score`)."""
    parameters = {
        "objective": "binary",
        "num_leaves": 7,
        "learning_rate": 0.05,
        "min_data_in_leaf": 40,
        "lambda_l2": 20.0,
        "min_gain_to_split": 0.1,
        "feature_fraction": 0.6,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "cat_smooth": 30.0,
        "cat_l2": 30.0,
        "max_cat_threshold": 8,
        "boost_from_average": False,
        "seed": config.seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": config.num_threads,
        "verbosity": -1,
    }
    rows = lightgbm.Dataset(
        matrix,
        label=labels,
        weight=weights,
        init_score=init_score,
        feature_name=list(FEATURES),
        categorical_feature=list(CATEGORICAL_COLUMNS),
        params=parameters,
    )
    return lightgbm.train(parameters, rows, num_boost_round=rounds)


def fit_platt(logits: Floats, labels: Labels, weights: Floats | None = None) -> PlattScale:
    """Fit the line that makes out-of-fold log-odds honest; a line that would turn the ranking round is refused."""
    model = LogisticRegression(C=1e3, max_iter=1_000).fit(logits[:, None], labels, sample_weight=weights)
    slope = float(model.coef_[0, 0])
    if slope <= 0.0:
        rate = float(np.average(labels, weights=weights))
        return PlattScale(slope=0.0, intercept=float(np.log(rate / (1.0 - rate))))
    return PlattScale(slope=slope, intercept=float(model.intercept_[0]))


def fit_isotonic(logits: Floats, labels: Labels, weights: Floats | None = None) -> IsotonicScale:
    """Fit the monotone curve that makes out-of-fold log-odds honest; no probability is nearer to 0 or 1 than a row."""
    edge = 1.0 / (len(labels) + 2.0)
    model = IsotonicRegression(y_min=edge, y_max=1.0 - edge, out_of_bounds="clip").fit(logits, labels, weights)
    knots, first = np.unique(model.X_thresholds_, return_index=True)
    values = np.maximum.accumulate(np.clip(model.y_thresholds_[first], edge, 1.0 - edge))
    return IsotonicScale(tuple(knots.tolist()), tuple(values.tolist()))


def fit_calibration(kind: str, logits: Floats, labels: Labels, weights: Floats | None = None) -> Calibration:
    """A calibration of a kind (`platt` or `isotonic`)."""
    return (fit_isotonic if kind == ISOTONIC else fit_platt)(logits, labels, weights)
