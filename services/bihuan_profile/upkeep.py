"""What profile does by itself: makes lost profiles anew, removes what is erased and what has expired."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import structlog

from bihuan_profile import metrics
from bihuan_profile.use_cases.rebuilding import Progress, Rebuild
from bihuan_profile.use_cases.removing import Eraser
from bihuan_profile.use_cases.sweeping import Sweep
from bihuan_shared.errors import DeadlineExceeded, ResourceExhausted, Unavailable
from bihuan_shared.redis import is_cancelled

REBUILD_S: Final = 1.0
"""How soon it is noticed that the store has lost its content; costs one cheap command each time."""
ERASE_S: Final = 5.0
SWEEP_S: Final = 60.0

_log = structlog.get_logger("bihuan.profile.upkeep")


def watch_rebuild(progress: Progress) -> None:
    """Show how far a rebuild of this process is."""
    metrics.REBUILD_FILES.labels("done").set(progress.done)
    metrics.REBUILD_FILES.labels("all").set(progress.total)
    if progress.done in (0, progress.total):
        _log.info("profiles are made anew", phase=progress.phase, files=progress.total, done=progress.done)


class Upkeep:
    """The jobs of one process; each runs until cancelled, and again after a pause where an engine does not answer."""

    def __init__(self, rebuild: Rebuild, eraser: Eraser, sweep: Sweep) -> None:
        self._rebuild = rebuild
        self._eraser = eraser
        self._sweep = sweep

    @property
    def tasks(self) -> tuple[tuple[str, Callable[[], Awaitable[None]]], ...]:
        """Names and jobs, for the server's background."""
        return (
            ("rebuild", partial(_repeat, self.rebuild, REBUILD_S)),
            ("erase", partial(_repeat, self.erase, ERASE_S)),
            ("sweep", partial(_repeat, self.sweep, SWEEP_S)),
        )

    async def rebuild(self) -> None:
        """Make profiles anew where the store has lost them."""
        metrics.REBUILD_RUNNING.set(not await self._rebuild.is_done())
        if await self._rebuild.run():
            metrics.REBUILD_RUNNING.set(0)

    async def erase(self) -> None:
        """Remove what the lake holds of erased persons."""
        removed = await self._eraser.work_off()
        metrics.ERASURES_OPEN.set(removed.open)
        metrics.ROWS_ERASED.inc(removed.rows)
        if removed.rows or removed.closed:
            _log.info("erased in the lake", rows=removed.rows, ids_done=removed.closed, ids_open=removed.open)

    async def sweep(self) -> None:
        """Let go of what has expired, where a sweep is due."""
        swept = await self._sweep.sweep()
        if swept is not None:
            metrics.EXPIRED.labels("profile").inc(swept.pruned)
            metrics.EXPIRED.labels("file").inc(swept.files)
            _log.info("swept", profiles=swept.looked_at, pruned=swept.pruned, files=swept.files)


async def _repeat(work: Callable[[], Awaitable[None]], pause_s: float) -> None:
    while not is_cancelled():
        try:
            await work()
        except (Unavailable, ResourceExhausted, DeadlineExceeded) as error:
            _log.warning("upkeep paused", detail=error.detail)
        await asyncio.sleep(pause_s)
    raise asyncio.CancelledError
