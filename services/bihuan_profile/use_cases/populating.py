"""One process builds generations of the population, every process reads them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from bihuan_profile.domain.lifetime import RECENT_SHARE
from bihuan_profile.domain.population import Population
from bihuan_profile.use_cases.ports import ProfileStore
from bihuan_profile.use_cases.surveying import Survey
from bihuan_shared.clock import Clock, background_time_us
from bihuan_shared.errors import Unavailable

SCAN_BATCH: Final = 100
SCAN_SHARE: Final = 0.2
"""Of the time of a process, the most that a scan takes from those who read: it rests after every batch."""
MAX_PERSONS: Final = 5_000_000
"""Persons looked at for one generation. Scans come in the order of hashes, so what is beyond is left out at random."""
REFRESH_S: Final = 5.0
"""How old the generation that a process goes by may be, beside the newest one that is published."""

_log = structlog.get_logger("bihuan.profile.population")


class PopulationStore(Protocol):
    """Where generations are published. Every method raises Unavailable when the store does not answer in time."""

    async def claim(self, holder: str, ttl_s: float) -> bool:
        """Take the right to build; False while anybody has it, `holder` included."""
        ...

    async def renew(self, holder: str, ttl_s: float) -> bool:
        """Keep the right for `ttl_s` from now; False where it is not the holder's any more."""
        ...

    async def publish(self, holder: str, population: Population) -> bool:
        """Replace the generation that is read, whole; False, and nothing done, without the right to build."""
        ...

    async def mark(self) -> bytes:
        """What changes with every other generation that is published; empty where there is none."""
        ...

    async def read(self) -> Population | None:
        """The newest generation; None where there is none that this version understands."""
        ...


@dataclass(frozen=True, slots=True)
class PopulationRules:
    """How often a generation is built, at most, and how much recent spend weighs in what is expected."""

    interval_s: float = 300.0
    recent_share: float = RECENT_SHARE


class PopulationKeeper:
    """
    Holds the newest generation in `current`, and builds the next one where nobody else does.

    The right to build lasts for one interval and is not given back, so that whoever gets it next builds the next
    generation then; a builder that dies is followed after an interval. One that was too slow publishes nothing.
    """

    def __init__(
        self,
        store: ProfileStore,
        populations: PopulationStore,
        clock: Clock,
        holder: str,
        rules: PopulationRules = PopulationRules(),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        measure: Callable[[Population], object] = lambda _population: None,
    ) -> None:
        self._store = store
        self._populations = populations
        self._clock = clock
        self._holder = holder
        self._rules = rules
        self._sleep = sleep
        self._measure = measure
        self._mark = b""
        self.current: Population | None = None

    async def refresh(self) -> None:
        """Bring `current` up to what is published, and measure it. Raises Unavailable."""
        mark = await self._populations.mark()
        if mark != self._mark:
            self.current = await self._populations.read()
            self._mark = mark
            if self.current is not None:
                self._measure(self.current)

    async def build(self) -> bool:
        """
        Build and publish a generation, where it is time for one and nobody else builds it; whether that was done.

        Raises Unavailable.
        """
        now_us = background_time_us(self._clock)
        if now_us is None or not await self._populations.claim(self._holder, self._rules.interval_s):
            return False
        survey, seen, renewed_s = Survey(now_us), 0, time.monotonic()
        started_s = renewed_s
        async for batch in self._store.scan(SCAN_BATCH):
            survey.add(batch)
            seen += len(batch)
            now_s = time.monotonic()
            if seen >= MAX_PERSONS:
                break
            await self._sleep((now_s - started_s) * (1 / SCAN_SHARE - 1))
            started_s = time.monotonic()
            if started_s - renewed_s > self._rules.interval_s / 4:
                renewed_s = started_s
                if not await self._populations.renew(self._holder, self._rules.interval_s):
                    return False
        # Fitting is arithmetic of seconds that would hold up every call.
        population = await asyncio.to_thread(survey.population, self._rules.recent_share)
        return await self._populations.publish(self._holder, population)

    async def run(self) -> None:
        """Build and refresh until cancelled; whatever goes wrong is logged and tried again."""
        task = asyncio.current_task()
        assert task is not None, "runs in a task"
        while not task.cancelling():
            try:
                if await self.build():
                    _log.info("population published")
                await self.refresh()
            except Unavailable as error:
                _log.warning("population not refreshed", detail=error.detail)
            except Exception as error:  # noqa: BLE001  # a record that cannot be read is no reason to serve nobody
                _log.error("population not built", error=type(error).__name__)
            await self._sleep(min(REFRESH_S, self._rules.interval_s / 2))
        raise asyncio.CancelledError
