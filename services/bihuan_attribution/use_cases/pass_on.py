"""Committed events go on to other parts of the platform: to the streams at once, to the lake in files."""

from bihuan_attribution.use_cases.ports import EventLog, EventSink
from bihuan_shared.failpoints import failpoint

FAN_OUT = "fanout"
LAKE = "lake"
PLANNED = "lake_planned"
FAN_OUT_BATCH = 1_000
LAKE_BATCH = 20_000


class FanOut:
    """The consumer `fanout`: at least once, so readers tell repeated events by their id."""

    def __init__(self, log: EventLog, sink: EventSink, batch: int = FAN_OUT_BATCH) -> None:
        self._log = log
        self._sink = sink
        self._batch = batch

    async def step(self) -> int:
        """Hand over up to a batch; the answer is how many events there were."""
        events = await self._log.read(await self._log.position(FAN_OUT), self._batch)
        if events:
            await self._sink.publish(events)
            failpoint("published")
            await self._log.advance(FAN_OUT, events[-1].position)
        return len(events)


class LakeFeed:
    """
    The consumer `lake`: exactly once, because the range of a file is committed before the file is written.

    After a crash the same range is written under the same name.
    """

    def __init__(self, log: EventLog, sink: EventSink, batch: int = LAKE_BATCH) -> None:
        self._log = log
        self._sink = sink
        self._batch = batch

    async def step(self) -> int:
        """Write up to a batch; the answer is how many events there were."""
        position = await self._log.position(LAKE)
        planned = await self._log.position(PLANNED)
        if planned <= position:
            planned = min(await self._log.head(), position + self._batch)
            if planned == position:
                return 0
            await self._log.advance(PLANNED, planned)
            failpoint("file_planned")
        events = await self._log.read(position, planned - position)
        await self._sink.publish(events)
        failpoint("file_written")
        await self._log.advance(LAKE, planned)
        return len(events)
