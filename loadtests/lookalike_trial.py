"""
A trial of look-alike on persons whose truth is known: outer folds that no choice has seen.

Each outer fold is scored once, by a model that the product's own code trained on the other folds: columns, leakage
checks, strength and rounds are chosen there, by cross-validation inside. Figures are over all outer folds together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from bihuan_scoring.domain.facts import PersonFacts
from bihuan_scoring.lookalike.evidence import Reason, explain
from bihuan_scoring.lookalike.features import feature_rows
from bihuan_scoring.lookalike.gathering import gather
from bihuan_scoring.lookalike.leakage import Definition, Dropped
from bihuan_scoring.lookalike.model import LookAlikeModel
from bihuan_scoring.lookalike.order import LookAlikeOrder
from bihuan_scoring.lookalike.sampling import Sample, fold_of
from bihuan_scoring.lookalike.snapshot import snapshot_rows
from bihuan_scoring.lookalike.training import train
from bihuan_scoring.lookalike.workers import ThreadWorkers

OUTER_FOLDS = 5
OUTER_SALT = 1_000
SHARES = (0.01, 0.05, 0.10, 0.20)
BOOTSTRAPS = 1_000

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """Percentile of every person among its outer fold, whether it is a seed, and what was dropped in some fold."""

    ranks: Floats
    is_seed: Flags
    activity_ranks: Floats
    dropped: Sequence[Dropped]
    reasons: Sequence[Reason]


def fitted(
    persons: Sequence[PersonFacts], seed_ids: frozenset[int], as_of_us: int, definition: Definition
) -> tuple[LookAlikeModel, list[Dropped]]:
    """A model of these persons, and what was dropped on the way."""
    batch = snapshot_rows(persons)
    is_seed = np.array([person.person_id in seed_ids for person in persons], dtype=bool)
    ids = np.array(sorted(seed_ids), dtype=np.int64)
    order = LookAlikeOrder((), ids, as_of_us, definition=definition)
    gathered = gather([Sample(batch, is_seed, len(persons), int(is_seed.sum()))], order)
    return train(gathered.rows, order.config, ThreadWorkers().grow).model, gathered.dropped


def run_trial(
    persons: Sequence[PersonFacts],
    seed_ids: frozenset[int],
    as_of_us: int,
    activity: Floats,
    definition: Definition | None = None,
) -> Trial:
    """Score every person once; `activity` is the baseline's score, one a person."""
    person_ids = np.array([person.person_id for person in persons], dtype=np.int64)
    folds = fold_of(person_ids, OUTER_FOLDS, OUTER_SALT)
    is_seed = np.array([person.person_id in seed_ids for person in persons], dtype=bool)
    ranks, activity_ranks = np.empty(len(persons)), np.empty(len(persons))
    dropped: dict[str, Dropped] = {}
    reasons: list[Reason] = []
    for fold in range(OUTER_FOLDS):
        known = [person for person, each in zip(persons, folds, strict=True) if each != fold]
        held_out = np.flatnonzero(folds == fold)
        model, left_out = fitted(known, seed_ids, as_of_us, definition or Definition())
        dropped |= {each.feature: each for each in left_out}
        matrix = feature_rows(snapshot_rows([persons[k] for k in held_out]), model.layout)
        ranks[held_out] = percentiles(model.raw(matrix))
        activity_ranks[held_out] = percentiles(activity[held_out])
        if fold == 0:
            reasons = explain(model, matrix, 0.1)
    return Trial(ranks, is_seed, activity_ranks, list(dropped.values()), reasons)


def percentiles(scores: Floats) -> Floats:
    """Rank of each score among these, in (0, 1); the best is next to 1. Ties share their mean rank."""
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2.0
    ranks: Floats = (middle[places] - 0.5) / len(scores)
    return ranks


def lift_at(share: float, ranks: Floats, is_seed: Flags) -> float:
    """Seeds among the best share, as a multiple of chance; persons at one score count in proportion."""
    best = round(share * len(ranks))
    order = np.argsort(-ranks, kind="stable")
    edge = ranks[order[best - 1]]
    above, at = ranks > edge, ranks == edge
    found = is_seed[above].sum() + is_seed[at].mean() * (best - above.sum())
    return float(found / best / is_seed.mean())


def figures(ranks: Floats, is_seed: Flags, seed: int = 7) -> dict[str, object]:
    """AUC and lifts with 95 % bootstrap intervals over persons."""
    random = np.random.default_rng(seed)
    drawn = [random.integers(0, len(ranks), len(ranks)) for _ in range(BOOTSTRAPS)]
    found: dict[str, object] = {"persons": len(ranks), "seeds": int(is_seed.sum())}
    found["auc"] = round(float(roc_auc_score(is_seed, ranks)), 4)
    found["auc_interval"] = _interval([float(roc_auc_score(is_seed[k], ranks[k])) for k in drawn])
    for share in SHARES:
        name = f"lift_{share:.0%}".replace("%", "")
        found[name] = round(lift_at(share, ranks, is_seed), 3)
        found[f"{name}_interval"] = _interval([lift_at(share, ranks[k], is_seed[k]) for k in drawn])
    return found


def _interval(values: Sequence[float]) -> list[float]:
    return [round(float(value), 3) for value in np.percentile(values, (2.5, 97.5))]
