"""Letting go of what is older than its retention, in the store and in what was kept."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from bihuan_profile.domain.community import EDGE_RETENTION_US
from bihuan_profile.domain.record import EMPTY, Record
from bihuan_profile.domain.retention import Retention, expired
from bihuan_profile.use_cases.ports import Answer, Ask, Backoff, Change, Jobs, ProfileStore, Rows
from bihuan_profile.use_cases.updating import update
from bihuan_shared.clock import DAY_US

JOB: Final = "sweep"
BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Swept:
    """Profiles that were looked at, those that held something too old, and files that were removed."""

    looked_at: int = 0
    pruned: int = 0
    files: int = 0


class Sweep:
    """
    One process at a time looks through every profile, once an interval.

    The lease of a sweep is kept for the interval after it, so that it also says when the next one is due.
    """

    def __init__(
        self,
        store: ProfileStore,
        backoff: Backoff,
        rows: Rows,
        jobs: Jobs,
        retention: Retention,
        now_us: Callable[[], int],
        holder: str,
        interval_s: float,
    ) -> None:
        """`store` is one that tells what it holds, however old."""
        self._store = store
        self._backoff = backoff
        self._rows = rows
        self._jobs = jobs
        self._retention = retention
        self._now_us = now_us
        self._holder = holder
        self._interval_s = interval_s
        self._sweeps = 0

    async def sweep(self) -> Swept | None:
        """
        Sweep where one is due; None where none is. Raises Unavailable and ResourceExhausted.

        Files whose rows are all older than the longest retention go, with a day to spare; of relations, than theirs.
        """
        self._sweeps += 1
        if not await self._jobs.lease(JOB, f"{self._holder}:{self._sweeps}", self._interval_s):
            return None
        looked_at = pruned = 0
        async for batch in self._store.scan(BATCH):
            looked_at += len(batch)
            pruned += await self._prune(batch)
        now_us, longest_us = self._now_us(), self._retention.longest_us
        files = await self._rows.remove_edges_before(now_us - EDGE_RETENTION_US - DAY_US)
        if longest_us:
            files += await self._rows.remove_before(now_us - longest_us - DAY_US)
        return Swept(looked_at, pruned, files)

    async def _prune(self, batch: list[tuple[int, Record]]) -> int:
        now_us = self._now_us()
        old = [one for one, record in batch if expired(record, now_us, self._retention) is not record]
        pruned: set[int] = set()

        def decide(ask: Ask, answer: Answer) -> Change | None:
            held = answer.held
            record = expired(held.record, now_us, self._retention)
            if held.erased or held.moved_to or record is held.record:
                return None
            pruned.add(ask.person_id)
            bare = replace(record, reference_us=0) == EMPTY
            return Change(ask.person_id, held.revision, record, forget=bare)

        await update(self._store, self._backoff, [Ask(one) for one in old], decide)
        return len(pruned)
