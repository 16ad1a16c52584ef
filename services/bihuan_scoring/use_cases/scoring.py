"""Scores, and which model gives them."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import structlog

from bihuan_scoring.domain.facts import Candidate, ScoreItem
from bihuan_scoring.domain.features import build_matrix
from bihuan_scoring.domain.interest_match import Floats
from bihuan_scoring.domain.models import PRIOR_PCTR, PRIOR_PCVR, PRIOR_VERSION, ModelInfo
from bihuan_scoring.domain.rollout import Serving
from bihuan_scoring.use_cases.ports import Model, ModelRegistry, Probabilities
from bihuan_shared.errors import FailedPrecondition, InvalidArgument, NotFound

_log = structlog.get_logger("bihuan.scoring")

_INLINE_ROWS = 256
"""Fewer rows take less time than handing them to a thread and back."""
_CHUNK_ROWS = 20_000
"""Rows whose features are in memory at once."""


class PriorModel:
    """What is said while no model is published."""

    model_version = PRIOR_VERSION

    def predict(self, matrix: Floats) -> Probabilities:
        """The priors, one a row."""
        return Probabilities(np.full(len(matrix), PRIOR_PCTR), np.full(len(matrix), PRIOR_PCVR))


@dataclass(frozen=True, slots=True)
class Scored:
    """Probabilities in the order of the items and their candidate indexes, and what gave them."""

    probabilities: Probabilities
    model_version: str


class ServingModel:
    """The model that serves. Replaced as one reference, so that each request is scored by one version."""

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry
        self._changing = asyncio.Lock()
        self.current: Model = PriorModel()

    async def load(self) -> None:
        """
        Take up what the registry says serves.

        A version that is gone or may not be loaded leaves the prior: a request without a score is worth more than none.
        """
        serving = await asyncio.to_thread(self._registry.serving)
        if serving.model_version:
            try:
                self.current = await asyncio.to_thread(self._registry.load, serving.model_version)
            except (NotFound, FailedPrecondition) as error:
                _log.error("the model may not serve", model_version=serving.model_version, detail=error.detail)

    async def publish(self, model_version: str) -> ModelInfo:
        """
        Serve `model_version` from now on; serving it already changes nothing.

        Raises NotFound for an unknown version, FailedPrecondition for one that is damaged or of other features.
        """
        async with self._changing:
            serving = await asyncio.to_thread(self._registry.serving)
            return await self._serve(serving.published(model_version))

    async def roll_back(self, from_model_version: str) -> ModelInfo:
        """
        Serve what served before `from_model_version`; a repeat changes nothing.

        Raises FailedPrecondition where nothing served before, or where `from_model_version` neither serves nor was
        rolled back from.
        """
        async with self._changing:
            serving = await asyncio.to_thread(self._registry.serving)
            if serving.model_version != from_model_version:
                if from_model_version in serving.withdrawn:
                    return await self._info(serving.model_version)
                raise FailedPrecondition(f"{from_model_version} does not serve")
            before = serving.rolled_back()
            if before is None:
                raise FailedPrecondition("no version served before this one")
            return await self._serve(before)

    async def versions(self) -> tuple[Sequence[ModelInfo], str]:
        """Every version, newest first, and the one that serves."""
        return await asyncio.to_thread(self._registry.versions), self.current.model_version

    async def _serve(self, serving: Serving) -> ModelInfo:
        model = self.current
        if model.model_version != serving.model_version:
            model = await asyncio.to_thread(self._registry.load, serving.model_version)
        info = await self._info(serving.model_version)
        await asyncio.to_thread(self._registry.set_serving, serving)
        self.current = model
        return info

    async def _info(self, model_version: str) -> ModelInfo:
        for info in await asyncio.to_thread(self._registry.versions):
            if info.model_version == model_version:
                return info
        raise NotFound(f"no model version {model_version}")


async def batch_score(model: Model, items: Sequence[ScoreItem], candidates: Sequence[Candidate]) -> Scored:
    """
    Probabilities of every item against its candidates.

    Raises InvalidArgument for a candidate index beyond the candidates. Many rows are scored beside the event loop.
    """
    rows = 0
    for position, item in enumerate(items):
        rows += len(item.candidate_indexes)
        if max(item.candidate_indexes, default=0) >= len(candidates):
            index = next(k for k, each in enumerate(item.candidate_indexes) if each >= len(candidates))
            raise InvalidArgument.of(f"items[{position}].candidate_indexes[{index}]", "names no candidate")
    if rows <= _INLINE_ROWS:
        return score_rows(model, items, candidates)
    return await asyncio.to_thread(score_rows, model, items, candidates)


def score_rows(model: Model, items: Sequence[ScoreItem], candidates: Sequence[Candidate]) -> Scored:
    """As `batch_score`, here and now, for indexes that are known to be good."""
    parts = [model.predict(build_matrix(chunk, candidates)) for chunk in _chunks(items)]
    pctr = np.concatenate([part.pctr for part in parts])
    pcvr = np.concatenate([part.pcvr for part in parts])
    return Scored(Probabilities(pctr, pcvr), model.model_version)


def _chunks(items: Sequence[ScoreItem]) -> Iterator[Sequence[ScoreItem]]:
    first, rows = 0, 0
    for position, item in enumerate(items):
        if position > first and rows + len(item.candidate_indexes) > _CHUNK_ROWS:
            yield items[first:position]
            first, rows = position, 0
        rows += len(item.candidate_indexes)
    yield items[first:]
