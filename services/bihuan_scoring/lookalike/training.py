"""
Seed against pool: the choice of the model by cross-validation, and scores of rows that the model had not seen.

Small data: a regularised linear logit, with as many rounds of small trees on top of it (`init_score`) as help, which
may be none; strength and rounds are those with the best out-of-fold AUC, and the final model is trained on all rows.
Large data: trees alone, on four fifths; the other fifth judges.
"""

from dataclasses import dataclass
from itertools import product
from typing import Final, Protocol

import lightgbm
import numpy as np
from sklearn.metrics import roc_auc_score

from bihuan_scoring.lookalike.boosting import LARGE, SMALL, TreeOrder
from bihuan_scoring.lookalike.features import Matrix
from bihuan_scoring.lookalike.layout import Layout
from bihuan_scoring.lookalike.linear import Floats, Logit, Penalty, fit_logit
from bihuan_scoring.lookalike.model import LookAlikeModel
from bihuan_scoring.lookalike.sampling import Flags, Ids, fold_of

_ROUND_STEP: Final = 10
_EQUAL_AUC: Final = 1e-6
_BETTER_BY: Final = 0.002
"""AUC by which more trees must be better: less is noise of the folds."""


@dataclass(frozen=True, slots=True)
class LookAlikeConfig:
    """How to train."""

    seed: int = 7
    folds: int = 5
    small_rows: int = 20_000
    """Up to so many rows count as small data."""
    strengths: tuple[float, ...] = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
    """Inverse penalties of the logit, from strongest."""
    tag_shares: tuple[float, ...] = (0.0, 0.3, 1.0)
    """How much the weights of tags may count, from least."""
    small_rounds: int = 60
    large_rounds: int = 80


class Trees(Protocol):
    """Grows trees, in this process or elsewhere."""

    def __call__(self, order: TreeOrder, seed: int, /) -> str:
        """LightGBM's text."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Sampled rows in the order of a hash of their persons."""

    person_ids: Ids
    matrix: Matrix
    is_seed: Flags
    layout: Layout


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """The model, and scores of the rows at `judged` by models that had not seen them."""

    model: LookAlikeModel
    judged: Ids
    logits: Floats


def train(rows: Rows, config: LookAlikeConfig, trees: Trees) -> Trained:
    """Train on rows of both kinds; the more seeds the better, 100 at the least."""
    folds = fold_of(rows.person_ids, config.folds, config.seed)
    return (
        _small(rows, folds, config, trees)
        if len(rows.is_seed) <= config.small_rows
        else _large(rows, folds, config, trees)
    )


def _large(rows: Rows, folds: Ids, config: LookAlikeConfig, trees: Trees) -> Trained:
    learnt, judged = folds != 0, np.flatnonzero(folds == 0)
    text = trees(_order(rows, learnt, None, config.large_rounds, LARGE), config.seed)
    model = LookAlikeModel(rows.layout, None, text)
    logits = model.raw(rows.matrix[judged])
    model.figures.update(_figures(rows.is_seed[judged], logits, rows, float(config.large_rounds)))
    return Trained(model, judged, logits)


def _small(rows: Rows, folds: Ids, config: LookAlikeConfig, trees: Trees) -> Trained:
    penalty, linear = _best_penalty(rows, folds, config)
    rounds, logits = _best_rounds(rows, folds, penalty, linear, config, trees)
    everyone = np.ones(len(folds), dtype=bool)
    logit = _logit(rows, everyone, penalty)
    text = trees(_order(rows, everyone, logit.logits(rows.matrix), rounds, SMALL), config.seed) if rounds else None
    model = LookAlikeModel(rows.layout, logit, text)
    model.figures.update(_figures(rows.is_seed, logits, rows, float(rounds)))
    model.figures.update(
        strength=penalty.strength, tag_share=penalty.tag_share, linear_auc=float(roc_auc_score(rows.is_seed, linear))
    )
    return Trained(model, np.arange(len(folds)), logits)


def _best_penalty(rows: Rows, folds: Ids, config: LookAlikeConfig) -> tuple[Penalty, Floats]:
    best: tuple[float, Penalty, Floats] | None = None
    for penalty in (Penalty(*each) for each in product(config.strengths, config.tag_shares)):
        logits = np.empty(len(folds))
        for fold in np.unique(folds):
            logits[folds == fold] = _logit(rows, folds != fold, penalty).logits(rows.matrix[folds == fold])
        auc = _auc_by_fold(rows.is_seed, logits, folds)
        # Of equals the stronger penalty, which stands first.
        if best is None or auc > best[0] + _EQUAL_AUC:
            best = auc, penalty, logits
    assert best is not None, "no penalty to choose from"
    return best[1], best[2]


def _logit(rows: Rows, seen: Flags, penalty: Penalty) -> Logit:
    layout = rows.layout
    return fit_logit(rows.matrix[seen], rows.is_seed[seen], layout.categorical, layout.tag_columns, penalty)


def _best_rounds(
    rows: Rows, folds: Ids, penalty: Penalty, linear: Floats, config: LookAlikeConfig, trees: Trees
) -> tuple[int, Floats]:
    steps = range(0, config.small_rounds + 1, _ROUND_STEP)
    logits = np.repeat(linear[:, None], len(steps), axis=1)
    for fold in np.unique(folds):
        seen, held_out = folds != fold, folds == fold
        start = _logit(rows, seen, penalty)
        order = _order(rows, seen, start.logits(rows.matrix[seen]), config.small_rounds, SMALL)
        booster = lightgbm.Booster(model_str=trees(order, config.seed))
        for column, rounds in enumerate(steps[1:], start=1):
            added = booster.predict(rows.matrix[held_out], raw_score=True, num_iteration=rounds, num_threads=1)
            logits[held_out, column] += added
    aucs = [_auc_by_fold(rows.is_seed, logits[:, column], folds) for column in range(len(steps))]
    chosen = int(np.argmax(aucs))
    if aucs[chosen] < aucs[0] + _BETTER_BY:
        chosen = 0
    return steps[chosen], logits[:, chosen]


def _auc_by_fold(is_seed: Flags, logits: Floats, folds: Ids) -> float:
    """Mean over the folds: scores of different models need not be of one scale."""
    found = [
        roc_auc_score(is_seed[folds == fold], logits[folds == fold])
        for fold in np.unique(folds)
        if 0 < int(is_seed[folds == fold].sum()) < int((folds == fold).sum())
    ]
    return float(np.mean(found)) if found else 0.5


def _order(rows: Rows, seen: Flags, start: Floats | None, rounds: int, parameters: dict[str, object]) -> TreeOrder:
    return TreeOrder(
        rows.matrix[seen],
        rows.is_seed[seen],
        start,
        rows.layout.names,
        rows.layout.categorical,
        rounds,
        parameters,
    )


def _figures(is_seed: Flags, logits: Floats, rows: Rows, rounds: float) -> dict[str, float]:
    return {
        "auc": float(roc_auc_score(is_seed, logits)),
        "rows": float(len(rows.is_seed)),
        "seeds": float(rows.is_seed.sum()),
        "rounds": rounds,
    }
