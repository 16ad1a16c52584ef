"""Bookings on their way from the outbox to attribution: at least once, each until it is taken or refused."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from bihuan_gateway.control.bookings import Booking, BookingBook
from bihuan_shared.errors import BihuanError, DeadlineExceeded, Internal, NotYet, ResourceExhausted, Unavailable

_log = structlog.stdlib.get_logger(__name__)
BATCH = 500
# An attribution that does not know bookings yet is one that is being replaced.
_TRANSIENT = (Unavailable, DeadlineExceeded, ResourceExhausted, Internal, NotYet)


class BookingOutbox(Protocol):
    """Bookings that attribution is to be told."""

    async def untold(self, limit: int) -> list[Booking]:
        """Return at most `limit` bookings, oldest first."""
        ...

    async def count_untold(self) -> int:
        """Return how many there are."""
        ...

    async def note_told(self, bookings: Sequence[Booking]) -> None:
        """Note what attribution took."""
        ...

    async def note_refused(self, booking_id: str, refusal: str) -> None:
        """Note why attribution does not take a booking."""
        ...


class BookingRelay:
    """
    Pushes what the outbox holds, and notes what was taken and what was refused for good.

    `push_soon` waits up to `wait_s`; `run` keeps pushing in the background and slows down, up to 30 s, while
    attribution does not answer. `on_pending` learns after each round in the background how many bookings still wait.
    """

    def __init__(
        self,
        outbox: BookingOutbox,
        book: BookingBook,
        *,
        wait_s: float,
        on_pending: Callable[[int], None] = lambda _: None,
        idle_s: float = 5.0,
        first_retry_s: float = 0.2,
        slowest_retry_s: float = 30.0,
    ) -> None:
        self._outbox = outbox
        self._book = book
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

    async def push(self) -> None:
        """Push everything; raises what attribution's absence raises."""
        async with self._lock:
            while pending := await self._outbox.untold(BATCH):
                await self._hand_over(pending)
                if len(pending) < BATCH:
                    break

    async def _hand_over(self, pending: list[Booking]) -> None:
        try:
            await self._book.put_bookings(pending)
        except _TRANSIENT:
            raise
        except BihuanError:
            # One refused booking must not hold up the others.
            for one in pending:
                await self._hand_over_alone(one)
        else:
            await self._outbox.note_told(pending)

    async def _hand_over_alone(self, booking: Booking) -> None:
        try:
            await self._book.put_bookings([booking])
        except _TRANSIENT:
            raise
        except BihuanError as error:
            _log.warning("attribution refuses a booking", booking_id=booking.id, reason=error.reason)
            told = error.violations[0].description if error.violations else error.detail
            await self._outbox.note_refused(booking.id, told)
        else:
            await self._outbox.note_told([booking])

    async def run(self) -> None:
        """Push for ever."""
        delay_s = 0.0
        while True:
            done = False
            with contextlib.suppress(BihuanError):
                await self.push()
                done = True
            with contextlib.suppress(BihuanError):
                self._on_pending(await self._outbox.count_untold())
            delay_s = 0.0 if done else min(max(delay_s * 2, self._first_retry_s), self._slowest_retry_s)
            await asyncio.sleep(self._idle_s if done else delay_s)
