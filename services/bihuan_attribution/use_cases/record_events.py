"""Recording: tokens are opened, times are checked, and what is new is committed together with whatever else waits."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from bihuan_attribution.domain.event import IncomingEvent, Outcome, PreparedEvent, Result
from bihuan_attribution.domain.intake import prepare
from bihuan_attribution.use_cases.ports import EventLog
from bihuan_shared.clock import Clock
from bihuan_shared.failpoints import failpoint
from bihuan_shared.group_commit import GroupCommit
from bihuan_shared.tokens import KeyRing

MAX_GROUP = 4_000
MAX_QUEUE = 20_000


class Recorder:
    """Takes events in. `committed` is called after every commit, to wake the consumers."""

    def __init__(self, log: EventLog, keys: KeyRing, clock: Clock, committed: Callable[[], None]) -> None:
        self._log = log
        self._keys = keys
        self._clock = clock
        self._committed = committed
        self._group: GroupCommit[PreparedEvent, Result] = GroupCommit(
            self._commit, max_items=MAX_GROUP, max_queue=MAX_QUEUE
        )

    async def record(self, events: Sequence[IncomingEvent]) -> list[Result]:
        """One result an event, in order. What is ACCEPTED is a committed row; errors are those of the log."""
        now_us = self._clock.now_us()
        prepared = [prepare(event, self._keys, now_us) for event in events]
        rejected = [one for one in prepared if isinstance(one, Result)]
        if rejected:
            await self._log.count_rejections(_by_reason(rejected, now_us))
        valid = [one for one in prepared if isinstance(one, PreparedEvent)]
        committed = iter(await self._group.submit(valid)) if valid else iter(())
        return [one if isinstance(one, Result) else next(committed) for one in prepared]

    async def _commit(self, events: Sequence[PreparedEvent]) -> Sequence[Result]:
        results = await self._log.append(events)
        failpoint("before_acknowledging")
        if any(result.outcome is Outcome.ACCEPTED for result in results):
            self._committed()
        return results

    async def close(self) -> None:
        """Finish what was submitted."""
        await self._group.close()


def _by_reason(rejected: Sequence[Result], now_us: int) -> dict[tuple[str, str], int]:
    day = datetime.fromtimestamp(now_us // 1_000_000, UTC).date().isoformat()
    counts: dict[tuple[str, str], int] = {}
    for one in rejected:
        counts[one.reason, day] = counts.get((one.reason, day), 0) + 1
    return counts
