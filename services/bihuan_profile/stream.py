"""Reads what attribution has accepted from the streams `st:{events:N}` and takes it in."""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from bihuan.common.v1.common_pb2 import AcceptedEvent
from bihuan_profile import metrics
from bihuan_profile.use_cases.ingesting import Submission, ingest_accepted
from bihuan_profile.use_cases.ports import Backoff, Journal, ProfileStore
from bihuan_profile.wire import accepted_submission
from bihuan_shared.errors import BihuanError, ResourceExhausted, Unavailable
from bihuan_shared.redis import RedisClient
from bihuan_shared.streams import StreamReader

STREAM: Final = "events"
GROUP: Final = "profile"
IDLE_S: Final = 0.02
"""Adds at most this to the freshness of interests, for about 200 cheap commands a second while nothing comes."""
LONGEST_PAUSE_S: Final = 2.0

_log = structlog.get_logger("bihuan.profile.stream")


class AcceptedEvents:
    """
    Takes in batches of accepted events.

    A message that cannot be taken in, whatever the state of the store, is logged without ids, counted and left behind,
    so that one bad message does not hold up the rest of its shard.
    """

    def __init__(self, store: ProfileStore, backoff: Backoff, journal: Journal | None = None) -> None:
        self._store = store
        self._backoff = backoff
        self._journal = journal

    async def handle(self, messages: Sequence[AcceptedEvent]) -> None:
        """Take in a batch. Raises Unavailable, after which the same batch may come again."""
        submissions = [submission for message in messages if (submission := self._read(message)) is not None]
        try:
            await self._take_in(submissions)
        except BihuanError:
            raise
        except Exception:  # noqa: BLE001  # one of the batch is at fault: find out which
            for submission in submissions:
                await self._take_in_alone(submission)

    def _read(self, message: AcceptedEvent) -> Submission | None:
        try:
            submission = accepted_submission(message)
        except (ValueError, OverflowError) as error:
            self._leave_behind(error)
            return None
        if submission is None:
            metrics.STREAM_IGNORED.inc()
        return submission

    async def _take_in(self, submissions: Sequence[Submission]) -> None:
        try:
            results = await ingest_accepted(self._store, self._backoff, submissions, self._journal)
        except ResourceExhausted as error:
            raise Unavailable(error.detail) from error
        metrics.count_results("stream", results)

    async def _take_in_alone(self, submission: Submission) -> None:
        try:
            await self._take_in([submission])
        except BihuanError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, the stream goes on
            self._leave_behind(error)

    def _leave_behind(self, error: Exception) -> None:
        metrics.STREAM_POISONED.inc()
        _log.error("accepted event left behind", error=type(error).__name__)


async def follow(reader: StreamReader[AcceptedEvent], events: AcceptedEvents) -> None:
    """
    Take in what comes until cancelled; while nothing does, look again every `IDLE_S`.

    An engine that does not answer is asked again after a pause. Before Python 3.12 a driver call may swallow a
    cancellation (`asyncio.wait_for` of something just done), so that is checked here after each round.
    """
    task = asyncio.current_task()
    assert task is not None, "runs in a task"
    pause_s = IDLE_S
    while not task.cancelling():
        try:
            count = await reader.poll(events.handle)
        except Unavailable as error:
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            _log.warning("stream paused", detail=error.detail)
            await asyncio.sleep(pause_s)
        else:
            pause_s = IDLE_S
            if not count:
                await asyncio.sleep(IDLE_S)
    raise asyncio.CancelledError


def reader_of(client: RedisClient, consumer: str, shards: int) -> StreamReader[AcceptedEvent]:
    """The reader of every shard, as `consumer` of profile's group."""
    return StreamReader(client, STREAM, AcceptedEvent, group=GROUP, consumer=consumer, shards=shards)
