"""Sealed bids for days (CPD), and who wins a day."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import IntEnum

from bihuan_attribution.domain.booking_day import close_time_us, day_bounds_us, parse_date

MAX_DAYS = 366


class DayState(IntEnum):
    """What became of a date of a booking; the numbers are those of the wire."""

    OPEN = 1
    WON = 2
    OUTBID = 3
    CHARGED = 4
    UNFUNDED = 5
    CANCELLED = 6


@dataclass(frozen=True, slots=True)
class Booking:
    """
    A sealed bid for every date from `start_date` to `end_date`, both included.

    Either placement or keyword is empty. The rate is in micros of the currency a day; days are those of the time zone.
    `cancel_time_us` is 0 while the bid stands.
    """

    booking_id: str
    campaign_id: str
    advertiser_id: str
    placement_id: str
    keyword: str
    start_date: str
    end_date: str
    day_rate_micros: int
    currency: str
    time_zone: str
    create_time_us: int
    cancel_time_us: int = 0

    @property
    def market(self) -> tuple[str, str, str]:
        """
        Where it competes: placement, keyword, currency.

        A placement is sold in one currency. A keyword is one market a currency: an advertisement is only ever shown on
        placements of its own currency, so that the markets do not meet.
        """
        return self.placement_id, self.keyword, self.currency

    def dates(self) -> Iterator[date]:
        """The dates, in their order; AssertionError where they were not checked."""
        first, last = parse_date(self.start_date), parse_date(self.end_date)
        assert first is not None
        assert last is not None
        for days in range((last - first).days + 1):
            yield first + timedelta(days=days)

    def bids_for(self, day: date) -> bool:
        """Whether it stands for a date: not taken back before its bids closed, and the date exists in its zone."""
        start_us, end_us = day_bounds_us(day, self.time_zone)
        return start_us < end_us and not 0 < self.cancel_time_us < close_time_us(day)


@dataclass(frozen=True, slots=True)
class BookingDay:
    """One date of one booking; bounds in microseconds, the rate in micros of the currency."""

    date: str
    booking_id: str
    campaign_id: str
    advertiser_id: str
    placement_id: str
    keyword: str
    start_time_us: int
    end_time_us: int
    day_rate_micros: int
    currency: str
    state: DayState

    @property
    def cause_id(self) -> str:
        """What names it in the ledger, for ever."""
        return f"{self.booking_id}/{self.date}"


def winner(bids: Iterable[Booking]) -> Booking | None:
    """The highest day rate; of equal ones the booking that was made first, then the lowest id. None without bids."""
    return min(bids, key=lambda one: (-one.day_rate_micros, one.create_time_us, one.booking_id), default=None)


def award(bookings: Iterable[Booking], day: date) -> list[BookingDay]:
    """
    What becomes of a date of every booking that covers it, by booking id; the order they come in does not matter.

    In each market the winner gets the day at its own rate, and the others nothing.
    """
    covering = {one.booking_id: one for one in bookings}
    markets: dict[tuple[str, str, str], list[Booking]] = {}
    for one in covering.values():
        if one.bids_for(day):
            markets.setdefault(one.market, []).append(one)
    winners = {best.booking_id for bids in markets.values() if (best := winner(bids)) is not None}
    states = {one.booking_id: DayState.OUTBID for bids in markets.values() for one in bids}
    states |= dict.fromkeys(winners, DayState.WON)
    return [day_of(covering[name], day, states.get(name, DayState.CANCELLED)) for name in sorted(covering)]


def open_day(booking: Booking, day: date) -> BookingDay:
    """A date of a booking that was not awarded yet."""
    return day_of(booking, day, DayState.OPEN if booking.bids_for(day) else DayState.CANCELLED)


def day_of(booking: Booking, day: date, state: DayState) -> BookingDay:
    """A date of a booking in a state."""
    start_us, end_us = day_bounds_us(day, booking.time_zone)
    return BookingDay(
        date=day.isoformat(),
        booking_id=booking.booking_id,
        campaign_id=booking.campaign_id,
        advertiser_id=booking.advertiser_id,
        placement_id=booking.placement_id,
        keyword=booking.keyword,
        start_time_us=start_us,
        end_time_us=end_us,
        day_rate_micros=booking.day_rate_micros,
        currency=booking.currency,
        state=state,
    )
