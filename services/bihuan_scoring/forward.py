"""
Evaluation forward in time: what the same recipe, run at earlier instants, would have said of what came next.

At each split the model learns from rows that started before it, with the outcomes that had come by then, and is judged
on the rows up to the next split. Strength and rounds are those of the final model; calibration is fitted on
out-of-fold logits of the earlier rows alone. Judged rows carry the outcomes that are known at the cut-off.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import lightgbm
import numpy as np
from sklearn.metrics import log_loss, roc_auc_score

from bihuan_scoring.domain.calibration import ISOTONIC, PLATT
from bihuan_scoring.domain.delay import Outcomes
from bihuan_scoring.domain.features import FEATURES, LINEAR_COLUMNS
from bihuan_scoring.domain.interest_match import Floats, Ints
from bihuan_scoring.domain.reliability import (
    auc_interval,
    expected_calibration_error,
    gains_curve,
    histogram,
    lift_at,
    reliability,
    roc_curve,
)
from bihuan_scoring.fitting import Labels, TrainingConfig, fit_calibration
from bihuan_scoring.late_outcomes import with_late_outcomes
from bihuan_scoring.training import (
    Choice,
    ResponseModel,
    TrainingSet,
    choose,
    enough_to_train,
    fit_both,
    trained,
)

KINDS = (PLATT, ISOTONIC)


@dataclass(frozen=True, slots=True)
class Judged:
    """Rows beyond a split: their labels, and their probabilities under each kind of calibration."""

    labels: Labels
    probabilities: dict[str, Floats]

    def loss(self, kind: str) -> float:
        """Log loss under a kind of calibration."""
        return float(log_loss(self.labels, self.probabilities[kind], labels=[0, 1]))


def train_forward(matrix: Floats, outcomes: Outcomes, groups: Ints, config: TrainingConfig) -> ResponseModel:
    """
    Train on all rows, outcomes that are still to come included, and evaluate forward in time.

    Calibration is isotonic where that had the smaller log loss forward in time, else Platt's. Besides those of
    `trained` there are the metrics `time_auc` (and its interval, `_low` and `_high`), `time_logloss`, `time_ece`,
    `time_lift` (top tenth), `time_rows` and `time_positives` where there was enough to split, and `expected_late`, the
    outcomes expected still to come.
    """
    weighted = with_late_outcomes(matrix, outcomes, outcomes.known_until_us)
    rows = TrainingSet(matrix[weighted.rows], weighted.labels, groups[weighted.rows], weighted.weights)
    choice = choose(rows, config)
    judged = _judged(matrix, outcomes, groups, choice, config)
    kind = PLATT if judged is None else min(KINDS, key=judged.loss)
    model = trained(rows, choice, kind, config)
    seen = outcomes.seen_before(outcomes.known_until_us)
    metrics = model.metrics | {
        "rows": float(len(matrix)),
        "positives": float(seen.sum()),
        "expected_late": weighted.expected_late,
    }
    evaluation: dict[str, object] = {"importance": _importance(model, matrix)}
    if judged is not None:
        metrics |= _figures(judged.probabilities[kind], judged.labels)
        losses = {each: judged.loss(each) for each in KINDS}
        evaluation |= {"forward": curves(judged.probabilities[kind], judged.labels), "calibration_logloss": losses}
    return replace(model, metrics=metrics, evaluation=evaluation)


def curves(probabilities: Floats, labels: Labels) -> dict[str, object]:
    """Reliability, ROC, gains and the distribution of probabilities, as JSON values."""
    edges, counts = histogram(probabilities)
    return {
        "reliability": [asdict(one) for one in reliability(probabilities, labels)],
        "roc": roc_curve(probabilities, labels),
        "gains": gains_curve(probabilities, labels),
        "histogram": {"edges": edges, "counts": counts},
    }


def _figures(probabilities: Floats, labels: Labels) -> dict[str, float]:
    auc, positives = float(roc_auc_score(labels, probabilities)), int(labels.sum())
    low, high = auc_interval(auc, positives, len(labels) - positives)
    return {
        "time_auc": auc,
        "time_auc_low": low,
        "time_auc_high": high,
        "time_logloss": float(log_loss(labels, probabilities)),
        "time_ece": expected_calibration_error(probabilities, labels),
        "time_lift": lift_at(probabilities, labels, 0.1),
        "time_rows": float(len(labels)),
        "time_positives": float(labels.sum()),
    }


def _judged(matrix: Floats, outcomes: Outcomes, groups: Ints, choice: Choice, config: TrainingConfig) -> Judged | None:
    """None where no split has enough on both sides."""
    labels = outcomes.seen_before(outcomes.known_until_us).astype(np.int64)
    found_labels: list[Labels] = []
    found: dict[str, list[Floats]] = {kind: [] for kind in KINDS}
    for first_us, last_us in _splits(outcomes.start_us, config):
        before = outcomes.start_us < first_us
        if not enough_to_train(outcomes.taken(before).seen_before(first_us).astype(np.int64), config):
            continue
        weighted = with_late_outcomes(matrix, outcomes, first_us)
        rows = TrainingSet(matrix[weighted.rows], weighted.labels, groups[weighted.rows], weighted.weights)
        fixed = replace(config, strengths=(choice.strength,), max_rounds=choice.rounds)
        # Out-of-fold logits of the earlier rows; fewer rounds may be chosen than are fixed, which the next fit follows.
        again = choose(rows, fixed)
        beyond = (outcomes.start_us >= first_us) & (outcomes.start_us < last_us)
        logits = _logits(rows, again, config, matrix[beyond])
        found_labels.append(labels[beyond])
        for kind in KINDS:
            calibration = fit_calibration(kind, again.logits, rows.labels, rows.weights)
            found[kind].append(calibration.probabilities(logits))
    joined = np.concatenate(found_labels) if found_labels else np.empty(0, dtype=np.int64)
    if not 0 < joined.sum() < len(joined):
        return None
    return Judged(joined, {kind: np.concatenate(parts) for kind, parts in found.items()})


def _splits(start_us: Ints, config: TrainingConfig) -> Iterator[tuple[int, int]]:
    """Instants from which and up to which rows are judged."""
    ordered = np.sort(start_us)
    instants = sorted({int(ordered[int(share * len(ordered))]) for share in config.forward_shares})
    yield from zip(instants, [*instants[1:], int(ordered[-1]) + 1], strict=True)


def _logits(rows: TrainingSet, choice: Choice, config: TrainingConfig, matrix: Floats) -> Floats:
    linear, trees = fit_both(rows, choice.strength, choice.rounds, config)
    logits = linear.logits(matrix)
    if trees is not None:
        booster = lightgbm.Booster(model_str=trees)
        logits = logits + np.asarray(booster.predict(matrix, raw_score=True, num_threads=config.num_threads))
    return logits


def _importance(model: ResponseModel, matrix: Floats) -> list[dict[str, object]]:
    """
    What each column does, the linear ones first by weight: `weight` is the change of log-odds by one standard deviation
    (None: not a linear column), `gain` the share of the trees' gain, `missing` the share of rows without a value.
    """
    weights: list[float | None] = [None] * len(FEATURES)
    scales = model.linear.standardiser.inverse_scales
    for position, column in enumerate(LINEAR_COLUMNS):
        weights[column] = float(model.linear.weights[position]) if scales[position] else 0.0
    gains = np.zeros(len(FEATURES))
    if model.trees is not None:
        gains = lightgbm.Booster(model_str=model.trees).feature_importance("gain").astype(np.float64)
        gains /= max(float(gains.sum()), 1e-12)
    missing = np.isnan(matrix).mean(axis=0)
    strongest = sorted(range(len(FEATURES)), key=lambda k: (-abs(weights[k] or 0.0), -gains[k]))
    return [
        {"feature": FEATURES[k], "weight": weights[k], "gain": float(gains[k]), "missing": float(missing[k])}
        for k in strongest
    ]
