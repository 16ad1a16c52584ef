"""Scores of persons in contexts against candidates."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bihuan_scoring.domain.facts import Candidate, ScoreItem
from bihuan_scoring.domain.features import build_matrix
from bihuan_scoring.domain.interest_match import Floats
from bihuan_scoring.domain.rollout import in_canary
from bihuan_scoring.use_cases.comparing import Comparisons
from bihuan_scoring.use_cases.ports import Model, Probabilities
from bihuan_scoring.use_cases.serving import Routes
from bihuan_shared.errors import InvalidArgument

_INLINE_ROWS = 256
"""Fewer rows take less time than handing them to a thread and back."""
_CHUNK_ROWS = 20_000
"""Rows whose features are in memory at once."""


@dataclass(frozen=True, slots=True)
class Scored:
    """
    Probabilities in the order of the items and their candidate indexes, and what gave them.

    `canaried` are the positions of the items that `canary_version` scored; every other one is `model_version`'s.
    """

    probabilities: Probabilities
    model_version: str
    canary_version: str = ""
    canaried: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class _Part:
    """The rows of some items and the probabilities of both models; `to_canary` marks the rows of the canary."""

    matrix: Floats
    to_canary: npt.NDArray[np.bool_] | None
    probabilities: Probabilities
    failure: Exception | None = None


async def batch_score(
    routes: Routes, items: Sequence[ScoreItem], candidates: Sequence[Candidate], comparisons: Comparisons | None = None
) -> Scored:
    """
    Probabilities of every item against its candidates, each item by the one version that its person is served by.

    Where a canary fails, what serves everyone answers in its place. Raises InvalidArgument for a candidate index beyond
    the candidates. Many rows are scored beside the event loop.
    """
    rows = 0
    for position, item in enumerate(items):
        rows += len(item.candidate_indexes)
        if max(item.candidate_indexes, default=0) >= len(candidates):
            index = next(k for k, each in enumerate(item.candidate_indexes) if each >= len(candidates))
            raise InvalidArgument.of(f"items[{position}].candidate_indexes[{index}]", "names no candidate")
    chosen = _chosen(routes, items)
    if rows <= _INLINE_ROWS:
        parts = _score_parts(routes, items, candidates, chosen)
    else:
        parts = await asyncio.to_thread(_score_parts, routes, items, candidates, chosen)
    failure = next((part.failure for part in parts if part.failure is not None), None)
    if failure is not None:
        # Its answers to the other parts of the request are no better founded: one version an item, for all of them.
        parts = await asyncio.to_thread(_score_parts, Routes(routes.stable), items, candidates, frozenset())
    if comparisons is not None:
        _tell(comparisons, routes, parts, failure)
    canaried = frozenset() if failure is not None else chosen
    return Scored(
        Probabilities(
            np.concatenate([part.probabilities.pctr for part in parts]),
            np.concatenate([part.probabilities.pcvr for part in parts]),
        ),
        routes.stable.model_version,
        routes.canary.model_version if routes.canary is not None else "",
        canaried,
    )


def _chosen(routes: Routes, items: Sequence[ScoreItem]) -> frozenset[int]:
    canary = routes.canary
    if canary is None:
        return frozenset()
    return frozenset(k for k, item in enumerate(items) if in_canary(canary.model_version, routes.share, item))


def _tell(comparisons: Comparisons, routes: Routes, parts: Sequence[_Part], failure: Exception | None) -> None:
    if failure is not None and routes.canary is not None:
        comparisons.failed(routes.canary.model_version, failure)
    for part in parts:
        if routes.canary is not None and part.to_canary is not None:
            comparisons.offer(routes.stable, routes.canary, part.matrix[part.to_canary])
        if routes.shadow is not None:
            comparisons.offer(routes.stable, routes.shadow, part.matrix)


def _score_parts(
    routes: Routes, items: Sequence[ScoreItem], candidates: Sequence[Candidate], chosen: frozenset[int]
) -> list[_Part]:
    parts: list[_Part] = []
    first = 0
    for chunk in _chunks(items):
        matrix = build_matrix(chunk, candidates)
        flags = [first + k in chosen for k in range(len(chunk))] if chosen else []
        parts.append(_score_part(routes, chunk, matrix, flags))
        first += len(chunk)
    return parts


def _score_part(routes: Routes, items: Sequence[ScoreItem], matrix: Floats, flags: Sequence[bool]) -> _Part:
    if routes.canary is None or not any(flags):
        return _Part(matrix, None, routes.stable.predict(matrix))
    to_canary = np.repeat(np.array(flags), [len(item.candidate_indexes) for item in items])
    pctr, pcvr = np.empty(len(matrix)), np.empty(len(matrix))
    try:
        _fill(routes.canary, matrix, to_canary, pctr, pcvr)
    except Exception as error:  # noqa: BLE001  # a request is never lost to a model on trial
        return _Part(matrix, to_canary, Probabilities(pctr, pcvr), error)
    _fill(routes.stable, matrix, ~to_canary, pctr, pcvr)
    return _Part(matrix, to_canary, Probabilities(pctr, pcvr))


def _fill(model: Model, matrix: Floats, rows: npt.NDArray[np.bool_], pctr: Floats, pcvr: Floats) -> None:
    if rows.any():
        found = model.predict(matrix[rows])
        pctr[rows], pcvr[rows] = found.pctr, found.pcvr


def _chunks(items: Sequence[ScoreItem]) -> Iterator[Sequence[ScoreItem]]:
    first, rows = 0, 0
    for position, item in enumerate(items):
        if position > first and rows + len(item.candidate_indexes) > _CHUNK_ROWS:
            yield items[first:position]
            first, rows = position, 0
        rows += len(item.candidate_indexes)
    yield items[first:]
