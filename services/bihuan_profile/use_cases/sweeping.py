"""Letting go of what is older than its retention, in the store and in what was kept."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from bihuan_profile.domain.community import EDGE_RETENTION_US
from bihuan_profile.domain.record import EMPTY, Record
from bihuan_profile.domain.retention import Retention, expired
from bihuan_profile.use_cases.ports import Answer, Ask, Backoff, Change, Jobs, Kept, ProfileStore, Rows
from bihuan_profile.use_cases.private_retention import PrivateRetention
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
        retention: PrivateRetention,
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
        longest_us = dict.fromkeys((Kept.EVENTS, Kept.FACTS), self._retention.platform.longest_us)
        longest_us[Kept.EDGES] = EDGE_RETENTION_US
        looked_at = pruned = 0
        async for batch in self._store.scan(BATCH):
            retention = await self._retention.of(record for _, record in batch)
            looked_at += len(batch)
            pruned += await self._prune(batch, retention)
            # Private tags may be kept longer than anything of the platform; 0 is for ever.
            spans_us = longest_us[Kept.FACTS], retention.longest_us
            longest_us[Kept.FACTS] = max(spans_us) if all(spans_us) else 0
        files = 0
        for kind, span_us in longest_us.items():
            if span_us:
                files += await self._rows.remove_before(kind, self._now_us() - span_us - DAY_US)
        return Swept(looked_at, pruned, files)

    async def _prune(self, batch: list[tuple[int, Record]], retention: Retention) -> int:
        now_us = self._now_us()
        old = [one for one, record in batch if expired(record, now_us, retention) is not record]
        pruned: set[int] = set()

        def decide(ask: Ask, answer: Answer) -> Change | None:
            held = answer.held
            record = expired(held.record, now_us, retention)
            if held.erased or held.moved_to or record is held.record:
                return None
            pruned.add(ask.person_id)
            bare = replace(record, reference_us=0) == EMPTY
            return Change(ask.person_id, held.revision, record, forget=bare)

        await update(self._store, self._backoff, [Ask(one) for one in old], decide)
        return len(pruned)
