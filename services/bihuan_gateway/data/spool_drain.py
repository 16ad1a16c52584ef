"""Hands over to attribution what the spool kept, in order, until nothing is left."""

import asyncio

import structlog

from bihuan_gateway.data import metrics
from bihuan_gateway.data.ports import EventLog
from bihuan_gateway.data.spool import Spool, SpoolBatch
from bihuan_shared.errors import BihuanError, InvalidArgument
from bihuan_shared.rpc.deadline import deadline_scope

BATCH = 500
_log = structlog.stdlib.get_logger(__name__)


class SpoolDrain:
    """
    Drains a spool. Attribution knows repeats by their token, so a batch may be handed over twice.

    An event that attribution refuses as malformed would hold up all others for ever: it is counted, logged without its
    content, and given up.
    """

    def __init__(self, spool: Spool, events: EventLog, *, pause_s: float = 0.5, timeout_s: float = 5.0) -> None:
        self._spool = spool
        self._events = events
        self._pause_s = pause_s
        self._timeout_s = timeout_s

    async def run(self) -> None:
        """Drain for ever; while attribution does not answer, try again after a pause."""
        while True:
            try:
                await self.drain()
            except BihuanError as error:
                _log.warning("the spool waits for attribution", reason=error.reason, bytes=self._spool.pending_bytes)
            except OSError:
                _log.exception("the spool cannot be read")
            metrics.SPOOL_BYTES.set(self._spool.pending_bytes)
            await asyncio.sleep(self._pause_s)

    async def drain(self) -> int:
        """Hand over everything that is spooled and return how many events that was (Unavailable, …)."""
        count = 0
        while (batch := await self._spool.peek(BATCH)) is not None:
            with deadline_scope(self._timeout_s):
                await self._hand_over(batch)
            await self._spool.take(batch)
            count += len(batch.records)
        return count

    async def _hand_over(self, batch: SpoolBatch) -> None:
        try:
            outcomes = [result.outcome.value for result in await self._events.record_encoded(batch.records)]
        except InvalidArgument:
            outcomes = [await self._one(record) for record in batch.records]
        for outcome in outcomes:
            metrics.SPOOL_DRAINED.labels(outcome).inc()

    async def _one(self, record: bytes) -> str:
        try:
            return (await self._events.record_encoded([record]))[0].outcome.value
        except InvalidArgument as error:
            _log.error("a spooled event was refused", reason=error.reason)
            return "malformed"
