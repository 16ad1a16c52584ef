"""
Training: labelled feature rows into a calibrated response model.

A regularised logistic regression on standardised columns gives a logit; LightGBM adds what is not linear on top of it
(`init_score`), as many rounds as cross-validation inside the training rows finds useful, which may be none. Folds never
split a person. Calibration is fitted on the out-of-fold logits.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from bihuan_scoring.domain.calibration import ISOTONIC, PLATT, Calibration
from bihuan_scoring.domain.interest_match import Floats, Ints
from bihuan_scoring.domain.linear import LinearLogit
from bihuan_scoring.fitting import Labels, TrainingConfig, boost, fit_calibration, fit_linear

__all__ = ["Labels", "TrainingConfig"]

_ROUND_STEP = 5
"""Numbers of rounds are compared in steps of so many."""


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Feature rows (rows, FEATURES), labels in {0, 1}, a group (person) a row; weights where they differ from 1."""

    matrix: Floats
    labels: Labels
    groups: Ints
    weights: Floats | None = None

    def taken(self, rows: Ints) -> "TrainingSet":
        """Some of the rows."""
        weights = None if self.weights is None else self.weights[rows]
        return TrainingSet(self.matrix[rows], self.labels[rows], self.groups[rows], weights)


@dataclass(frozen=True, slots=True)
class Choice:
    """What cross-validation chose, and the out-of-fold logits that it gave: of the linear model, and of all."""

    strength: float
    rounds: int
    linear_logits: Floats
    logits: Floats


@dataclass(frozen=True, slots=True)
class ResponseModel:
    """
    A trained model: linear logit, trees on top (LightGBM's text; None: none helped), calibration, figures.

    `evaluation` holds curves and the like as JSON values.
    """

    linear: LinearLogit
    trees: str | None
    calibration: Calibration
    metrics: dict[str, float]
    evaluation: Mapping[str, object] = field(default_factory=dict)


def enough_to_train(labels: Labels, config: TrainingConfig) -> bool:
    """True where both outcomes were seen often enough."""
    positives = int(labels.sum())
    return min(positives, len(labels) - positives) >= config.min_positives


def train_response(matrix: Floats, labels: Labels, groups: Ints, config: TrainingConfig) -> ResponseModel:
    """Train on rows whose outcomes are all known, with Platt's calibration. Expects `enough_to_train`."""
    rows = TrainingSet(matrix, labels, groups)
    return trained(rows, choose(rows, config), PLATT, config)


def choose(rows: TrainingSet, config: TrainingConfig) -> Choice:
    """Choose strength and rounds by out-of-fold log loss."""
    folds = _folds(rows, config)
    strength, linear_logits = _best_strength(rows, folds, config)
    rounds, logits = _best_rounds(rows, folds, strength, config, linear_logits)
    return Choice(strength, rounds, linear_logits, logits)


def trained(rows: TrainingSet, choice: Choice, calibration_kind: str, config: TrainingConfig) -> ResponseModel:
    """
    The model that a choice makes of all rows.

    Metrics: `cv_auc` and `cv_logloss` of the calibrated out-of-fold predictions, `rows`, `positives`, `rounds`,
    `linear_cv_auc`, `strength`, and `isotonic`, which is 1 where that is the calibration.
    """
    calibration = fit_calibration(calibration_kind, choice.logits, rows.labels, rows.weights)
    linear, trees = fit_both(rows, choice.strength, choice.rounds, config)
    probabilities = calibration.probabilities(choice.logits)
    weights = rows.weights
    metrics = {
        "cv_auc": float(roc_auc_score(rows.labels, choice.logits, sample_weight=weights)),
        "cv_logloss": float(log_loss(rows.labels, probabilities, sample_weight=weights)),
        "linear_cv_auc": float(roc_auc_score(rows.labels, choice.linear_logits, sample_weight=weights)),
        "rows": float(len(rows.labels)),
        "positives": float(rows.labels.sum()),
        "rounds": float(choice.rounds),
        "strength": choice.strength,
        "isotonic": float(calibration_kind == ISOTONIC),
    }
    return ResponseModel(linear, trees, calibration, metrics)


def fit_both(rows: TrainingSet, strength: float, rounds: int, config: TrainingConfig) -> tuple[LinearLogit, str | None]:
    """The linear logit, and the trees on top of it where there are any rounds."""
    linear = fit_linear(rows.matrix, rows.labels, strength, rows.weights)
    if not rounds:
        return linear, None
    booster = boost(rows.matrix, rows.labels, linear.logits(rows.matrix), rounds, config, rows.weights)
    return linear, booster.model_to_string()


@dataclass(frozen=True, slots=True)
class _Fold:
    train: Ints
    held_out: Ints


def _folds(rows: TrainingSet, config: TrainingConfig) -> list[_Fold]:
    splitter = StratifiedGroupKFold(n_splits=config.folds, shuffle=True, random_state=config.seed)
    found = splitter.split(rows.labels[:, None], rows.labels, rows.groups)
    return [_Fold(train, held_out) for train, held_out in found]


def _best_strength(rows: TrainingSet, folds: list[_Fold], config: TrainingConfig) -> tuple[float, Floats]:
    """The strength with the smallest out-of-fold log loss, and the logits it gave; ties go to the stronger one."""
    best: tuple[float, float, Floats] | None = None
    for strength in config.strengths:
        logits = np.empty(len(rows.labels))
        for fold in folds:
            train = rows.taken(fold.train)
            linear = fit_linear(train.matrix, train.labels, strength, train.weights)
            logits[fold.held_out] = linear.logits(rows.matrix[fold.held_out])
        loss = _loss(logits, rows)
        if best is None or loss < best[0]:
            best = loss, strength, logits
    assert best is not None, "no strength to choose from"
    return best[1], best[2]


def _best_rounds(
    rows: TrainingSet, folds: list[_Fold], strength: float, config: TrainingConfig, start: Floats
) -> tuple[int, Floats]:
    """The number of rounds with the smallest out-of-fold log loss, and the logits it gave; 0 keeps the linear ones."""
    if not config.max_rounds:
        return 0, start
    steps = range(0, config.max_rounds + 1, _ROUND_STEP)
    logits = np.repeat(start[:, None], len(steps), axis=1)
    for fold in folds:
        train = rows.taken(fold.train)
        linear = fit_linear(train.matrix, train.labels, strength, train.weights)
        scores = linear.logits(train.matrix)
        booster = boost(train.matrix, train.labels, scores, config.max_rounds, config, train.weights)
        for column, rounds in enumerate(steps[1:], start=1):
            added = booster.predict(
                rows.matrix[fold.held_out],
                raw_score=True,
                start_iteration=rounds - _ROUND_STEP,
                num_iteration=_ROUND_STEP,
                num_threads=config.num_threads,
            )
            logits[fold.held_out, column] = logits[fold.held_out, column - 1] + added
    losses = [_loss(logits[:, column], rows) for column in range(len(steps))]
    chosen = int(np.argmin(losses))
    return steps[chosen], logits[:, chosen]


def _loss(logits: Floats, rows: TrainingSet) -> float:
    """Mean log loss of log-odds, without overflow."""
    return float(np.average(np.logaddexp(0.0, logits) - rows.labels * logits, weights=rows.weights))
