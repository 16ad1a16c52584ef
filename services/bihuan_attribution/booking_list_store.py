"""Days of bookings, to be listed: awarded ones from their rows, open ones derived from the bookings."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.booking_store import booking_of, day_of_row, last_awarded
from bihuan_attribution.domain.booking import BookingDay, DayState, open_day
from bihuan_attribution.use_cases.keep_days import DayQuery
from bihuan_shared.sql import Database


@dataclass(frozen=True, slots=True)
class SqlBookingList:
    """Implements `BookingDays`."""

    database: Database

    async def days(self, query: DayQuery) -> list[BookingDay]:
        """Up to a page of days by date and booking, all of one snapshot."""
        return await self.database.read(lambda c: list(islice(_days(c, query), query.limit)))


def _days(connection: sa.Connection, query: DayQuery) -> Iterator[BookingDay]:
    # Every date up to this one is in rows, and none after it is.
    awarded = last_awarded(connection)
    yield from _awarded(connection, query)
    if query.states and not query.states & {DayState.OPEN, DayState.CANCELLED}:
        return
    first = max(date.fromisoformat(query.start_date), awarded + timedelta(days=1))
    if query.after:
        first = max(first, date.fromisoformat(query.after[0]))
    for days in range((date.fromisoformat(query.end_date) - first).days + 1):
        for one in _open(connection, query, first + timedelta(days=days)):
            if not query.states or one.state in query.states:
                yield one


def _awarded(connection: sa.Connection, query: DayQuery) -> Iterator[BookingDay]:
    table = schema.booking_days
    statement = sa.select(table).where(table.c.date >= query.start_date, table.c.date <= query.end_date)
    if query.states:
        statement = statement.where(table.c.state.in_([int(one) for one in query.states]))
    if query.advertiser_id:
        statement = statement.where(table.c.advertiser_id == query.advertiser_id)
    if query.booking_id:
        statement = statement.where(table.c.booking_id == query.booking_id)
    if query.after:
        statement = statement.where(sa.tuple_(table.c.date, table.c.booking_id) > sa.tuple_(*query.after))
    for row in connection.execute(statement.order_by(table.c.date, table.c.booking_id).limit(query.limit)):
        yield day_of_row(row)


def _open(connection: sa.Connection, query: DayQuery, day: date) -> Iterator[BookingDay]:
    table = schema.bookings
    text = day.isoformat()
    statement = sa.select(table).where(table.c.start_date <= text, table.c.end_date >= text)
    if query.advertiser_id:
        statement = statement.where(table.c.advertiser_id == query.advertiser_id)
    if query.booking_id:
        statement = statement.where(table.c.booking_id == query.booking_id)
    if query.after and query.after[0] == text:
        statement = statement.where(table.c.booking_id > query.after[1])
    if not query.states:
        statement = statement.limit(query.limit)
    for row in connection.execute(statement.order_by(table.c.booking_id)):
        yield open_day(booking_of(row), day)
