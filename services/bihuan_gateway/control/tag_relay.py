"""Private tags on their way to profile: at least once in each life of its store, which may lose everything."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol

import structlog

from bihuan_gateway.control.tags import TagSet
from bihuan_shared.errors import BihuanError, DeadlineExceeded, NotYet, ResourceExhausted, Unavailable

_log = structlog.stdlib.get_logger(__name__)
BATCH = 100
# A profile that does not know private tags yet is one that is being replaced.
_TRANSIENT = (Unavailable, DeadlineExceeded, ResourceExhausted, NotYet)


class TagOutbox(Protocol):
    """Private tags that profile is to be told."""

    async def untold(self, epoch: str, after: str, limit: int) -> list[TagSet]:
        """Return at most `limit` sets that profile was not told in this life of its store, by advertiser."""
        ...

    async def note_told(self, told: TagSet, epoch: str) -> None:
        """Note that profile took a set; one that was changed meanwhile is told again."""
        ...


class TagSink(Protocol):
    """Profile, as it takes in private tags."""

    async def store_epoch(self) -> str:
        """Name the life of its store: another one once that has lost what it held. Unavailable where it cannot."""
        ...

    async def put_tags(self, tags: TagSet) -> None:
        """Hand over all tags of an advertiser; older than what is known there, they change nothing."""
        ...


class TagRelay:
    """
    Pushes what profile was not told in this life of its store.

    The life is asked for before anything is pushed: what is lost in between is pushed again. `push_soon` waits up to
    `wait_s`; `run` keeps pushing in the background and slows down, up to 30 s, while profile does not answer.
    `on_pending` learns after each round how many sets were refused or not reached.
    """

    def __init__(
        self,
        outbox: TagOutbox,
        sink: TagSink,
        *,
        wait_s: float,
        on_pending: Callable[[int], None] = lambda _: None,
        idle_s: float = 5.0,
        first_retry_s: float = 0.2,
        slowest_retry_s: float = 30.0,
    ) -> None:
        self._outbox = outbox
        self._sink = sink
        self._wait_s = wait_s
        self._on_pending = on_pending
        self._idle_s = idle_s
        self._first_retry_s = first_retry_s
        self._slowest_retry_s = slowest_retry_s
        self._lock = asyncio.Lock()

    async def push_soon(self) -> None:
        """Push now and wait a little; what does not get through is left to the background. Raises nothing."""
        with contextlib.suppress(TimeoutError, BihuanError):
            async with asyncio.timeout(self._wait_s):
                await self.push()

    async def push(self) -> int:
        """Push everything and return how many sets profile refused; raises what profile's absence raises."""
        async with self._lock:
            epoch = await self._sink.store_epoch()
            refused, after = 0, ""
            while pending := await self._outbox.untold(epoch, after, BATCH):
                for one in pending:
                    refused += not await self._hand_over(one, epoch)
                after = pending[-1].advertiser_id
            return refused

    async def _hand_over(self, tags: TagSet, epoch: str) -> bool:
        try:
            await self._sink.put_tags(tags)
        except _TRANSIENT:
            raise
        except BihuanError as error:
            _log.error("profile refuses private tags", advertiser_id=tags.advertiser_id, reason=error.reason)
            return False
        await self._outbox.note_told(tags, epoch)
        return True

    async def run(self) -> None:
        """Push for ever."""
        delay_s = 0.0
        while True:
            done = False
            with contextlib.suppress(BihuanError):
                refused = await self.push()
                self._on_pending(refused)
                done = not refused
            delay_s = 0.0 if done else min(max(delay_s * 2, self._first_retry_s), self._slowest_retry_s)
            await asyncio.sleep(self._idle_s if done else delay_s)
