"""How long decisions are kept: as long as a caller may still repeat its request."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from bihuan_gateway.data import metrics
from bihuan_shared.clock import Clock
from bihuan_shared.errors import BihuanError

BATCH = 500
PAUSE_S = 0.1
IDLE_S = 60.0


class Prunable(Protocol):
    """Decisions that can be forgotten."""

    async def prune(self, before_us: int, limit: int) -> int:
        """Delete at most `limit` decisions made before an instant, the oldest first; return how many there were."""
        ...


@dataclass(frozen=True, slots=True)
class Retention:
    """Forgets decisions once they are `keep_us` old by the clock, in batches that hold no other write up for long."""

    decisions: Prunable
    clock: Clock
    keep_us: int
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def run(self) -> None:
        """Prune for ever; a database that does not answer is tried again."""
        while True:
            gone = 0
            with suppress(BihuanError):
                gone = await self.decisions.prune(self.clock.now_us() - self.keep_us, BATCH)
            metrics.DECISIONS_PRUNED.inc(gone)
            await self.sleep(PAUSE_S if gone == BATCH else IDLE_S)
