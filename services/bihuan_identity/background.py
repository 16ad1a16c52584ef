"""What a server does beside answering: follow, publish, sweep. Each goes on for ever and survives a lost store."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from bihuan_identity.use_cases.committing import Graph, follow_changes
from bihuan_identity.use_cases.ports import ChangeStream
from bihuan_identity.use_cases.publishing import publish_changes
from bihuan_identity.use_cases.sweeping import PAGE, lapse, retire
from bihuan_shared.clock import SECOND_US, Clock
from bihuan_shared.errors import BihuanError
from bihuan_shared.redis import is_cancelled

_FOLLOW_PERIOD_S = 1.0
_PUBLISH_PERIOD_S = 0.1
# An idle server asks no store ten times a second; a stream that was lost is found empty within this many rounds.
_PUBLISH_ROUNDS = 10
_FIRST_PAUSE_S = 60.0
# One page a time: other writers wait for a sweep no longer than that.
_SWEEP_PAUSE_S = 0.5
_log = structlog.get_logger(__name__)


class RequestLog(Protocol):
    """Where requests are recorded. Raises Unavailable."""

    async def forget_requests(self, before_s: int, limit: int) -> int:
        """Forget up to `limit` requests older than a time; returns how many."""


async def keep_following(graph: Graph) -> None:
    """Learn of what other processes changed, within a second."""
    await _repeat("changes_not_followed", _FOLLOW_PERIOD_S, lambda: follow_changes(graph))


async def keep_publishing(graph: Graph, stream: ChangeStream) -> None:
    """Publish changes within a tenth of a second of hearing of them; the stream itself is looked at once a second."""
    published, rounds = -1, 0

    async def publish() -> None:
        nonlocal published, rounds
        rounds += 1
        known = graph.standing.last_change_id
        if known != published or rounds % _PUBLISH_ROUNDS == 0:
            await publish_changes(graph.store, stream)
            published = known

    await _repeat("changes_not_published", _PUBLISH_PERIOD_S, publish)


async def keep_lapsing(graph: Graph, clock: Clock, period_s: float) -> None:
    """Strip lapsed ties, going through all evidence once a period."""

    async def sweep() -> None:
        after: int | None = 0
        while after is not None:
            after, lapsed = await lapse(graph, after, clock.now_us() // SECOND_US)
            if lapsed:
                _log.info("ties_lapsed", pieces=lapsed, page=PAGE)
            await asyncio.sleep(_SWEEP_PAUSE_S)

    await _repeat("sweep_interrupted", period_s, sweep)


async def keep_retiring(graph: Graph, clock: Clock, before_epoch: int, period_s: float) -> None:
    """Forget identifiers that were last seen under a pepper before an epoch, going through all once a period."""

    async def sweep() -> None:
        after: bytes | None = b""
        while after is not None:
            after, retired = await retire(graph, after, before_epoch, clock.now_us() // SECOND_US)
            if retired:
                _log.info("identifiers_retired", identifiers=retired, page=PAGE)
            await asyncio.sleep(_SWEEP_PAUSE_S)

    await _repeat("sweep_interrupted", period_s, sweep)


async def keep_forgetting_requests(store: RequestLog, clock: Clock, retention_s: int, period_s: float) -> None:
    """Forget requests that nobody repeats any more; what they did stays."""

    async def sweep() -> None:
        while await store.forget_requests(clock.now_us() // SECOND_US - retention_s, PAGE) == PAGE:
            await asyncio.sleep(_SWEEP_PAUSE_S)

    await _repeat("sweep_interrupted", period_s, sweep)


async def _repeat(failure: str, period_s: float, work: Callable[[], Awaitable[object]]) -> None:
    # Not long after the start, so that a server that is often restarted still gets there.
    await asyncio.sleep(min(period_s, _FIRST_PAUSE_S))
    while True:
        try:
            await work()
        except BihuanError as error:
            # Readiness reports a lost store; what was missed is done once it is back.
            _log.warning(failure, detail=error.detail)
        if is_cancelled():
            raise asyncio.CancelledError
        await asyncio.sleep(period_s)
