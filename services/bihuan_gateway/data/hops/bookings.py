"""Sold days, asked of attribution regularly and kept in memory, so that a decision needs no call for them."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import structlog

from bihuan.attribution.v1 import booking_pb2
from bihuan_gateway.data.domain.booked import BookedDay, BookedDays
from bihuan_shared.clock import DAY_US, HOUR_US, Clock, to_us
from bihuan_shared.errors import BihuanError

if TYPE_CHECKING:  # this class exists for type checkers only
    from bihuan.attribution.v1.attribution_pb2_grpc import AttributionServiceAsyncStub

_log = structlog.stdlib.get_logger(__name__)
PAGE_SIZE: Final = 1_000
MAX_PAGES: Final = 100
_CALL_TIMEOUT_S: Final = 5.0
_CLOSED_AHEAD_US: Final = 14 * HOUR_US
_SHOWN: Final = (booking_pb2.BOOKING_DAY_STATE_WON, booking_pb2.BOOKING_DAY_STATE_CHARGED)


class PolledDays:
    """
    Implements `BookedSource`.

    Days that are won are shown from their begin on, also where attribution has not come to charge them yet: an outage
    takes nobody's day. One that turns out to be unfunded is dropped with the next answer. An attribution that does not
    answer leaves what is known in place; every day in it ends by itself.
    """

    def __init__(self, stub: "AttributionServiceAsyncStub", clock: Clock, *, poll_s: float) -> None:
        self._stub = stub
        self._clock = clock
        self._poll_s = poll_s
        self._days = BookedDays()

    def current(self) -> BookedDays:
        """Return what is known."""
        return self._days

    async def refresh(self) -> None:
        """Ask for the days that go on anywhere, or begin within a day (Unavailable)."""
        self._days = BookedDays.of(await self._ask())

    async def run(self) -> None:
        """Refresh for ever."""
        while True:
            try:
                await self.refresh()
            except BihuanError as error:
                _log.warning("sold days are not fresh", reason=error.reason)
            await asyncio.sleep(self._poll_s)

    async def _ask(self) -> list[BookedDay]:
        now_us = self._clock.now_us()
        request = booking_pb2.ListBookingDaysRequest(
            # A date goes on until noon UTC of the day after it in the last zone; its bids close 14 hours ahead of it.
            start_date=_utc_date(now_us - 2 * DAY_US),
            end_date=_utc_date(now_us + _CLOSED_AHEAD_US),
            states=_SHOWN,
            page_size=PAGE_SIZE,
        )
        found: list[BookedDay] = []
        for _ in range(MAX_PAGES):
            answer = await self._stub.ListBookingDays(request, timeout=_CALL_TIMEOUT_S)
            found += [_day(one) for one in answer.days]
            request.page_token = answer.next_page_token
            if not request.page_token:
                return found
        _log.warning("there are more sold days than are kept", kept=len(found))
        return found


def _utc_date(at_us: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)).date().isoformat()


def _day(message: booking_pb2.BookingDay) -> BookedDay:
    return BookedDay(
        campaign_id=message.campaign_id,
        placement_id=message.placement_id,
        keyword=message.keyword,
        start_time_us=to_us(message.start_time),
        end_time_us=to_us(message.end_time),
    )
