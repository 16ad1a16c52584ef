"""
Training: labelled feature rows into a calibrated response model.

A regularised logistic regression on standardised columns gives a logit; LightGBM adds what is not linear on top of it
(`init_score`), as many rounds as cross-validation inside the training rows finds useful, which may be none. Folds never
split a person. Calibration is Platt's, on the out-of-fold logits. Everything is seeded and runs the same way each time.
"""

from dataclasses import dataclass

import lightgbm
import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from bihuan_scoring.domain.features import CATEGORICAL_COLUMNS, FEATURES
from bihuan_scoring.domain.interest_match import Floats, Ints
from bihuan_scoring.domain.linear import LinearLogit, PlattScale, Standardiser

Labels = npt.NDArray[np.int64]

_ROUND_STEP = 5
"""Numbers of rounds are compared in steps of so many."""


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


@dataclass(frozen=True, slots=True)
class ResponseModel:
    """A trained model: linear logit, trees on top (LightGBM's text; None: none helped), calibration, figures."""

    linear: LinearLogit
    trees: str | None
    calibration: PlattScale
    metrics: dict[str, float]


def enough_to_train(labels: Labels, config: TrainingConfig) -> bool:
    """True where both outcomes were seen often enough."""
    positives = int(labels.sum())
    return min(positives, len(labels) - positives) >= config.min_positives


def train_response(matrix: Floats, labels: Labels, groups: Ints, config: TrainingConfig) -> ResponseModel:
    """
    Train on feature rows (rows, FEATURES), labels in {0, 1}, and a group (person) a row.

    Metrics: `cv_auc` and `cv_logloss` of the calibrated out-of-fold predictions, `rows`, `positives`, `rounds`,
    `linear_cv_auc`. Expects `enough_to_train`.
    """
    folds = _folds(labels, groups, config)
    strength, linear_logits = _best_strength(matrix, labels, folds, config)
    rounds, logits = _best_rounds(matrix, labels, folds, strength, config, linear_logits)
    calibration = fit_platt(logits, labels)
    linear = _fit_linear(matrix, labels, strength)
    trees = None
    if rounds:
        trees = _boost(matrix, labels, linear.logits(matrix), rounds, config).model_to_string()
    probabilities = calibration.probabilities(logits)
    metrics = {
        "cv_auc": float(roc_auc_score(labels, logits)),
        "cv_logloss": float(log_loss(labels, probabilities)),
        "linear_cv_auc": float(roc_auc_score(labels, linear_logits)),
        "rows": float(len(labels)),
        "positives": float(labels.sum()),
        "rounds": float(rounds),
        "strength": strength,
    }
    return ResponseModel(linear, trees, calibration, metrics)


def fit_platt(logits: Floats, labels: Labels) -> PlattScale:
    """Fit the line that makes out-of-fold log-odds honest; a line that would turn the ranking round is refused."""
    model = LogisticRegression(C=1e3, max_iter=1_000).fit(logits[:, None], labels)
    slope = float(model.coef_[0, 0])
    if slope <= 0.0:
        rate = float(labels.mean())
        return PlattScale(slope=0.0, intercept=float(np.log(rate / (1.0 - rate))))
    return PlattScale(slope=slope, intercept=float(model.intercept_[0]))


@dataclass(frozen=True, slots=True)
class _Fold:
    train: Ints
    held_out: Ints


def _folds(labels: Labels, groups: Ints, config: TrainingConfig) -> list[_Fold]:
    splitter = StratifiedGroupKFold(n_splits=config.folds, shuffle=True, random_state=config.seed)
    return [_Fold(train, held_out) for train, held_out in splitter.split(labels[:, None], labels, groups)]


def _fit_linear(matrix: Floats, labels: Labels, strength: float) -> LinearLogit:
    standardiser = Standardiser.fit(matrix)
    model = LogisticRegression(C=strength, solver="newton-cholesky").fit(standardiser.apply(matrix), labels)
    return LinearLogit(standardiser, np.asarray(model.coef_[0], dtype=np.float64), float(model.intercept_[0]))


def _best_strength(matrix: Floats, labels: Labels, folds: list[_Fold], config: TrainingConfig) -> tuple[float, Floats]:
    """The strength with the smallest out-of-fold log loss, and the logits it gave; ties go to the stronger one."""
    best: tuple[float, float, Floats] | None = None
    for strength in config.strengths:
        logits = np.empty(len(labels))
        for fold in folds:
            linear = _fit_linear(matrix[fold.train], labels[fold.train], strength)
            logits[fold.held_out] = linear.logits(matrix[fold.held_out])
        loss = _loss(logits, labels)
        if best is None or loss < best[0]:
            best = loss, strength, logits
    assert best is not None, "no strength to choose from"
    return best[1], best[2]


def _best_rounds(
    matrix: Floats, labels: Labels, folds: list[_Fold], strength: float, config: TrainingConfig, start: Floats
) -> tuple[int, Floats]:
    """The number of rounds with the smallest out-of-fold log loss, and the logits it gave; 0 keeps the linear ones."""
    steps = range(0, config.max_rounds + 1, _ROUND_STEP)
    logits = np.repeat(start[:, None], len(steps), axis=1)
    for fold in folds:
        linear = _fit_linear(matrix[fold.train], labels[fold.train], strength)
        booster = _boost(
            matrix[fold.train], labels[fold.train], linear.logits(matrix[fold.train]), config.max_rounds, config
        )
        for column, rounds in enumerate(steps[1:], start=1):
            added = booster.predict(
                matrix[fold.held_out],
                raw_score=True,
                start_iteration=rounds - _ROUND_STEP,
                num_iteration=_ROUND_STEP,
                num_threads=config.num_threads,
            )
            logits[fold.held_out, column] = logits[fold.held_out, column - 1] + added
    losses = [_loss(logits[:, column], labels) for column in range(len(steps))]
    chosen = int(np.argmin(losses))
    return steps[chosen], logits[:, chosen]


def _boost(matrix: Floats, labels: Labels, init_score: Floats, rounds: int, config: TrainingConfig) -> lightgbm.Booster:
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
        init_score=init_score,
        feature_name=list(FEATURES),
        categorical_feature=list(CATEGORICAL_COLUMNS),
        params=parameters,
    )
    return lightgbm.train(parameters, rows, num_boost_round=rounds)


def _loss(logits: Floats, labels: Labels) -> float:
    """Mean log loss of log-odds, without overflow."""
    return float(np.mean(np.logaddexp(0.0, logits) - labels * logits))
