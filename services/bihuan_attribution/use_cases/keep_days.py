"""Booked days: awarded when their bids have closed, charged when they begin."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from bihuan_attribution.domain.booking import BookingDay, DayState

BATCH = 200
"""Most days that are charged in one transaction."""


@dataclass(frozen=True, slots=True)
class DayQuery:
    """Which days to list: `after` is date and booking of the last one before; what is empty matches all."""

    start_date: str
    end_date: str
    advertiser_id: str
    booking_id: str
    states: frozenset[DayState]
    limit: int
    after: tuple[str, ...] = ()


class BookingDays(Protocol):
    """Days, to be listed."""

    async def days(self, query: DayQuery) -> list[BookingDay]:
        """Days by date and booking; those whose bids are open are derived from the bookings."""
        ...


class DayStore(Protocol):
    """Days as committed."""

    async def award_next(self, now_us: int) -> int:
        """Award one more date whose bids have closed; 0 where there is none left."""
        ...

    async def charge_due(self, now_us: int, limit: int) -> list[BookingDay]:
        """Charge won days that have begun, earliest first; the answer is what became of up to `limit` of them."""
        ...

    async def payers(self, now_us: int) -> Collection[str]:
        """Advertisers that were charged for days which go on."""
        ...


class DayKeeper:
    """
    The task `bookings`.

    `now_us` answers None while there is no time to go by; `push_balance` brings an advertiser's balance to the cache.
    """

    def __init__(
        self, days: DayStore, now_us: Callable[[], int | None], push_balance: Callable[[str], Awaitable[None]]
    ) -> None:
        self._days = days
        self._now_us = now_us
        self._push_balance = push_balance
        self._to_push: set[str] | None = None

    async def step(self) -> int:
        """Award and charge what is due, in bounded steps; the answer is how many dates and days there were."""
        now_us = self._now_us()
        if now_us is None:
            return 0
        if self._to_push is None:
            # Whoever ran before may have charged these and not got around to telling.
            self._to_push = set(await self._days.payers(now_us))
        awarded = await self._days.award_next(now_us)
        dealt_with = await self._days.charge_due(now_us, BATCH)
        self._to_push |= {one.advertiser_id for one in dealt_with if one.state is DayState.CHARGED}
        for advertiser_id in sorted(self._to_push):
            await self._push_balance(advertiser_id)
            self._to_push.discard(advertiser_id)
        return awarded + len(dealt_with)
