"""Sealed bids for days, in SQL."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from datetime import date

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.domain.booking import Booking, BookingDay, DayState
from bihuan_attribution.domain.booking_rules import check_currency, check_new, is_cancelled_now
from bihuan_attribution.domain.terms import TermsBook
from bihuan_attribution.event_log_store import AWARDED_HEAD, chunks

_NAMES = tuple(one.name for one in fields(Booking))
_DAY_NAMES = tuple(one.name for one in fields(BookingDay) if one.name != "state")


def put_bookings(
    connection: sa.Connection, bookings: Sequence[Booking], terms: TermsBook, now_us: int, seq: int
) -> int:
    """
    Take in what is new, numbered after `seq`; how many numbers were used. The caller holds the head of terms.

    A booking that is told again is left as it is, or taken back. Errors as in `domain.booking_rules`.
    """
    table = schema.bookings
    held = {one.booking_id: one for one in read_bookings(connection, {one.booking_id for one in bookings})}
    awarded = last_awarded(connection)
    used = 0
    for index, one in enumerate(bookings):
        known, path = held.get(one.booking_id), f"bookings[{index}]"
        if known is not None and not is_cancelled_now(one, known):
            continue
        used += 1
        if known is not None:
            change = table.update().where(table.c.booking_id == one.booking_id)
            connection.execute(change.values(cancel_time_us=one.cancel_time_us, seq=seq + used))
        else:
            newest = terms.versions(one.campaign_id)
            check_new(one, newest[-1] if newest else None, awarded, now_us, path)
            check_currency(one, _rivals(connection, one), path)
            connection.execute(table.insert(), [asdict(one) | {"seq": seq + used}])
        held[one.booking_id] = one
    return used


def read_bookings(connection: sa.Connection, booking_ids: Iterable[str]) -> list[Booking]:
    """Some bookings, in any order."""
    table = schema.bookings
    found: list[Booking] = []
    for chunk in chunks(booking_ids):
        query = sa.select(table).where(table.c.booking_id.in_(chunk))
        found += [booking_of(row) for row in connection.execute(query)]
    return found


def last_awarded(connection: sa.Connection) -> date:
    """The last date whose days were awarded; the first of all dates where none was."""
    heads = schema.heads
    ordinal = connection.execute(sa.select(heads.c.position).where(heads.c.name == AWARDED_HEAD)).scalar_one()
    return date.fromordinal(max(1, ordinal))


def booking_of(row: "sa.Row[tuple[object, ...]]") -> Booking:
    """A booking from a row of its table."""
    return Booking(**{name: getattr(row, name) for name in _NAMES})


def day_of_row(row: "sa.Row[tuple[object, ...]]") -> BookingDay:
    """A day from a row of its table."""
    return BookingDay(**{name: getattr(row, name) for name in _DAY_NAMES}, state=DayState(row.state))


def _rivals(connection: sa.Connection, booking: Booking) -> list[Booking]:
    """Bids for the same placement in other currencies on some of the same dates."""
    if not booking.placement_id:
        return []
    table = schema.bookings
    query = sa.select(table).where(
        table.c.placement_id == booking.placement_id,
        table.c.currency != booking.currency,
        table.c.start_date <= booking.end_date,
        table.c.end_date >= booking.start_date,
    )
    return [booking_of(row) for row in connection.execute(query)]
