"""
A look-alike job: draw, drop what leaks, train, judge, score everybody, take the best.

Everything that took long is kept in the job's folder: the model with its evidence once trained, and the scores of each
partition. A job that is begun again with the same order goes on from there; with another order it starts over.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar, cast
from uuid import uuid4

from bihuan_scoring.lookalike.curve import Judged, curve, label_frequency, lifts, size_for_precision
from bihuan_scoring.lookalike.evidence import Evidence, explain
from bihuan_scoring.lookalike.gathering import Gathered, drawing, gather
from bihuan_scoring.lookalike.model import LookAlikeModel
from bihuan_scoring.lookalike.model_file import model_from_json, model_to_json
from bihuan_scoring.lookalike.order import LEAST_SEEDS, LookAlikeOrder, Unwatched, Watch
from bihuan_scoring.lookalike.partitions import Partition, partitions_of
from bihuan_scoring.lookalike.sampling import Ids, plan_sample
from bihuan_scoring.lookalike.scoring import score_file, scoring
from bihuan_scoring.lookalike.selection import take_best
from bihuan_scoring.lookalike.training import Trained, train
from bihuan_scoring.lookalike.workers import Workers
from bihuan_shared.errors import BihuanError, FailedPrecondition

Item = TypeVar("Item")
Result = TypeVar("Result")

_TRAINED: Final = "trained.json"
_DRAWN: Final = 0.2
_FITTED: Final = 0.4
_SCORED: Final = 0.95


class Stopped(Exception):  # noqa: N818  # it is no error
    """Nobody waits for the job any more; what was done is kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Package:
    """Who is alike, ascending, and the evidence."""

    person_ids: Ids
    evidence: Evidence
    model: LookAlikeModel


def expand(order: LookAlikeOrder, workers: Workers, folder: Path, watch: Watch | None = None) -> Package:
    """
    Find those who are like the seeds. Blocks.

    `folder` belongs to this job; with workers elsewhere, they see it, and the snapshot, under the same path. Raises
    FailedPrecondition for fewer than LEAST_SEEDS seeds, for a snapshot that cannot be read, and where every feature
    gives the seed away; Stopped where the watch says so.
    """
    if len(order.seed_ids) < LEAST_SEEDS:
        raise FailedPrecondition(f"a look-alike audience needs {LEAST_SEEDS} seeds")
    watch = watch or Unwatched()
    partitions = partitions_of(order.paths)
    fingerprint = order.fingerprint()
    kept = _kept(folder, fingerprint)
    if kept is None:
        model, evidence = fit(order, workers, partitions, watch)
        _keep(folder, fingerprint, model, evidence)
    else:
        model, evidence = kept
    watch.progress(_FITTED)
    score_all(model, order, workers, partitions, folder, watch)
    size = order.target_size or size_for_precision(evidence.curve, order.least_precision)
    paths = [score_file(folder, partition) for partition in partitions]
    person_ids = take_best(paths, size, order.config.seed)
    watch.progress(1.0)
    return Package(person_ids, evidence.sized(len(person_ids)), model)


def fit(
    order: LookAlikeOrder, workers: Workers, partitions: Sequence[Partition], watch: Watch
) -> tuple[LookAlikeModel, Evidence]:
    """Draw, drop, train and judge. Blocks."""
    rows = sum(partition.rows for partition in partitions)
    plan = plan_sample(order.seed_ids, rows, order.most_seeds, order.most_others, order.config.seed)
    drawn = list(_each(workers, drawing(plan), partitions, watch, (0.0, _DRAWN)))
    gathered = gather(drawn, order)
    trained = train(gathered.rows, order.config, workers.grow)
    return trained.model, judge(trained, gathered, order)


def judge(trained: Trained, gathered: Gathered, order: LookAlikeOrder) -> Evidence:
    """The evidence of a model, from the rows that it had not seen."""
    rows, judged_at = gathered.rows, trained.judged
    judged = Judged(trained.logits, rows.is_seed[judged_at], gathered.pool_seeds, gathered.pool_others)
    frequency = label_frequency(judged)
    points = curve(judged, frequency)
    size = order.target_size or size_for_precision(points, order.least_precision)
    share = min(1.0, max(1, size) / max(1, gathered.pool_others))
    return Evidence(
        pool_size=gathered.pool_others + gathered.pool_seeds,
        seed_size=gathered.pool_seeds,
        package_size=0,
        label_frequency=round(frequency, 4),
        lifts=lifts(judged, order.config.seed),
        curve=points,
        dropped=gathered.dropped,
        reasons=explain(trained.model, rows.matrix[~rows.is_seed], share),
        figures={name: round(value, 4) for name, value in trained.model.figures.items()},
    )


def score_all(
    model: LookAlikeModel,
    order: LookAlikeOrder,
    workers: Workers,
    partitions: Sequence[Partition],
    folder: Path,
    watch: Watch,
) -> int:
    """Score every partition into the folder; how many persons that were. Blocks."""
    folder.mkdir(parents=True, exist_ok=True)
    return sum(_each(workers, scoring(model, order.seed_ids, folder), partitions, watch, (_FITTED, _SCORED)))


def _each(
    workers: Workers,
    function: Callable[[Item], Result],
    items: Sequence[Item],
    watch: Watch,
    span: tuple[float, float],
) -> Iterator[Result]:
    begin, end = span
    with closing(cast("Iterator[Result]", workers.map(function, items))) as results:  # type: ignore[type-var]
        for done, result in enumerate(results, start=1):
            if watch.stopped():
                raise Stopped
            watch.progress(begin + (end - begin) * done / len(items))
            yield result


def _kept(folder: Path, fingerprint: str) -> tuple[LookAlikeModel, Evidence] | None:
    """What an earlier run of the same order left; what one of another order left is cleared away."""
    try:
        found = json.loads((folder / _TRAINED).read_text())
        if found["fingerprint"] == fingerprint:
            return model_from_json(found["model"]), Evidence.from_json(found["evidence"])
    except (OSError, ValueError, KeyError, TypeError, BihuanError):
        pass
    for path in (folder / _TRAINED, *folder.glob("scores-*.npy"), *folder.glob(".scores-*")):
        path.unlink(missing_ok=True)
    return None


def _keep(folder: Path, fingerprint: str, model: LookAlikeModel, evidence: Evidence) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{_TRAINED}.{uuid4().hex}"
    draft.write_text(
        json.dumps({"fingerprint": fingerprint, "model": model_to_json(model), "evidence": evidence.to_json()})
    )
    draft.replace(folder / _TRAINED)
