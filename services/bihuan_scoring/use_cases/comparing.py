"""Scoring what was scored once more, beside the requests: by a shadow, and by what serves everyone beside a canary."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import structlog

from bihuan_scoring.domain.interest_match import Floats
from bihuan_scoring.domain.rivals import Rival, Timer
from bihuan_scoring.use_cases.ports import Model

_log = structlog.get_logger("bihuan.scoring")

_QUEUE = 32
_ROWS = 2_000
"""Rows of one request that are compared at most; with the queue, this bounds the memory to 40 MiB."""
_RIVALS = 8


@dataclass(frozen=True, slots=True)
class _Comparison:
    stable: Model
    rival: Model
    matrix: Floats


class Comparisons:
    """
    Compares a rival with what serves everyone, on the rows of requests, after they were answered.

    What does not fit into the queue is left out: requests never wait for a comparison. `counted` is told the outcome of
    each one: `compared`, `dropped` or `failed`.
    """

    def __init__(self, counted: Callable[[str], None] = lambda _: None, timer: Timer = time.perf_counter) -> None:
        self._queue: asyncio.Queue[_Comparison] = asyncio.Queue(_QUEUE)
        self._counted = counted
        self._timer = timer
        self._rivals: dict[str, Rival] = {}
        self._failed: dict[str, str] = {}
        self.news = asyncio.Event()
        """Set where a rival has failed."""

    @property
    def rivals(self) -> Mapping[str, Rival]:
        """What was compared, by version."""
        return self._rivals

    def failure(self, model_version: str) -> str:
        """How a version failed to score; empty where it did not."""
        return self._failed.get(model_version, "")

    def forget(self, model_version: str) -> None:
        """Begin anew with a version."""
        self._rivals.pop(model_version, None)
        self._failed.pop(model_version, None)

    def offer(self, stable: Model, rival: Model, matrix: Floats) -> None:
        """Compare later, if there is room."""
        try:
            self._queue.put_nowait(_Comparison(stable, rival, matrix[:_ROWS]))
        except asyncio.QueueFull:
            self._counted("dropped")

    def failed(self, model_version: str, error: Exception) -> None:
        """Note that a version failed to score."""
        _log.error("a model failed to score", model_version=model_version, error=type(error).__name__)
        self._failed[model_version] = f"failure: {type(error).__name__}"
        self._counted("failed")
        self.news.set()

    async def run(self) -> None:
        """Compare what was offered; never ends."""
        while True:
            await self.compare(await self._queue.get())
            self._queue.task_done()

    async def join(self) -> None:
        """Wait until everything offered so far was compared."""
        await self._queue.join()

    async def compare(self, each: _Comparison) -> None:
        """Score the rows by both, one right after the other in a thread, and note what that took."""
        version = each.rival.model_version
        rival = self._rivals.get(version)
        if rival is None:
            while len(self._rivals) >= _RIVALS:
                del self._rivals[next(iter(self._rivals))]
            rival = self._rivals[version] = Rival(version)
        # Who goes second finds warm caches: they take turns.
        first_stable = len(rival.rival_s) % 2 == 0
        try:
            stable_s, rival_s, difference = await asyncio.to_thread(self._both, each, first_stable=first_stable)
        except Exception as error:  # noqa: BLE001  # a rival that cannot score is what comparing is to find
            self.failed(version, error)
            return
        rival.compared(stable_s, rival_s, len(each.matrix), difference)
        self._counted("compared")

    def _both(self, each: _Comparison, *, first_stable: bool) -> tuple[float, float, float]:
        order = (each.stable, each.rival) if first_stable else (each.rival, each.stable)
        took: list[float] = []
        pctrs: list[Floats] = []
        for model in order:
            started_s = self._timer()
            pctrs.append(model.predict(each.matrix).pctr)
            took.append(self._timer() - started_s)
        stable_s, rival_s = took if first_stable else reversed(took)
        return stable_s, rival_s, float(np.abs(pctrs[0] - pctrs[1]).sum())
