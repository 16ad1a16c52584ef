"""Booked days in SQL: awarded under the head of terms, charged under those of billing and of the ledger."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import date, timedelta

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.account_store import read_placements
from bihuan_attribution.billing_store import add_figures, write_spendings
from bihuan_attribution.booking_store import booking_of, day_of_row, last_awarded
from bihuan_attribution.books_store import read_spendings
from bihuan_attribution.bulk import insert_rows
from bihuan_attribution.domain.booking import BookingDay, DayState, award
from bihuan_attribution.domain.booking_charge import ChargedDay, DayTill
from bihuan_attribution.domain.booking_day import last_closed
from bihuan_attribution.domain.books import Books
from bihuan_attribution.event_log_store import (
    AWARDED_HEAD,
    BILLING_HEAD,
    LEDGER_HEAD,
    TERMS_HEAD,
    lock_head,
    move_head,
)
from bihuan_attribution.journal_store import Operation, note_operations
from bihuan_attribution.ledger_store import read_purses, write_entries
from bihuan_attribution.terms_store import read_terms
from bihuan_shared.sql import Database

_table = schema.booking_days


class SqlBookingDays:
    """
    Implements `DayStore`.

    `checkpoint` is called with the name of each step inside the transactions, so that tests can break off there.
    """

    def __init__(self, database: Database, checkpoint: Callable[[str], None] = lambda _: None) -> None:
        self._database = database
        self._checkpoint = checkpoint

    async def award_next(self, now_us: int) -> int:
        """
        Award the earliest date whose bids have closed and that was not awarded yet; 0 where there is none.

        No booking for it is taken in any more: both happen under the head of terms, and a date is awarded once, even
        where the clock goes back.
        """
        upto = last_closed(now_us)
        if await self._database.read(last_awarded) >= upto:
            return 0
        return await self._database.write(lambda c: self._award_next(c, upto))

    def _award_next(self, connection: sa.Connection, upto: date) -> int:
        _take_turn(connection, TERMS_HEAD)
        done = last_awarded(connection)
        if done >= upto:
            return 0
        table = schema.bookings
        begins = sa.select(sa.func.min(table.c.start_date)).where(table.c.end_date > done.isoformat())
        first = connection.execute(begins).scalar()
        day = max(done + timedelta(days=1), date.fromisoformat(first)) if first else None
        if day is not None and day <= upto:
            covers = (table.c.start_date <= day.isoformat()) & (table.c.end_date >= day.isoformat())
            bookings = [booking_of(row) for row in connection.execute(sa.select(table).where(covers))]
            rows = [asdict(one) | {"state": int(one.state)} for one in award(bookings, day)]
            insert_rows(connection, _table, rows)
            self._checkpoint("awarded")
        reached = day if day is not None and day <= upto else upto
        move_head(connection, AWARDED_HEAD, reached.toordinal())
        self._checkpoint("award_positioned")
        return int(reached == day)

    async def charge_due(self, now_us: int, limit: int) -> list[BookingDay]:
        """Charge won days that have begun, earliest first, in one transaction; what became of up to `limit` of them."""
        if not await self._database.read(lambda c: c.execute(_due(now_us, 1)).all()):
            return []
        return await self._database.write(lambda c: self._charge_due(c, now_us, limit))

    def _charge_due(self, connection: sa.Connection, now_us: int, limit: int) -> list[BookingDay]:
        _take_turn(connection, BILLING_HEAD)
        lock_head(connection, LEDGER_HEAD)
        due = [day_of_row(row) for row in connection.execute(_due(now_us, limit))]
        till = DayTill(_read_books(connection, due), _highest(connection))
        settled = [replace(one, state=till.charge(one)) for one in due]
        self._checkpoint("folded")
        _write_states(connection, settled)
        self._checkpoint("states")
        dialect, purses = self._database.dialect, list(till.books.purses.values())
        write_entries(connection, dialect, till.effects.entries, book_time_us=now_us, purses=purses)
        self._checkpoint("entries")
        note_operations(connection, map(_operation, till.charged))
        self._checkpoint("journal")
        write_spendings(connection, dialect, till.books.spendings)
        add_figures(connection, dialect, till.effects, now_us)
        self._checkpoint("figures")
        return settled

    async def payers(self, now_us: int) -> list[str]:
        """Advertisers that were charged for days which go on."""
        is_on = (_table.c.state == int(DayState.CHARGED)) & (_table.c.end_time_us > now_us)
        query = sa.select(_table.c.advertiser_id).where(is_on).distinct()
        return await self._database.read(lambda c: list(c.execute(query).scalars()))


def _take_turn(connection: sa.Connection, name: str) -> None:
    """Lock a head, and write it, so that of two who do the same work the second begins anew."""
    move_head(connection, name, lock_head(connection, name))


def _due(now_us: int, limit: int) -> "sa.Select[tuple[object, ...]]":
    is_due = (_table.c.state == int(DayState.WON)) & (_table.c.start_time_us <= now_us)
    return sa.select(_table).where(is_due).order_by(_table.c.start_time_us, _table.c.booking_id).limit(limit)


def _read_books(connection: sa.Connection, days: Sequence[BookingDay]) -> Books:
    campaigns = {one.campaign_id for one in days}
    return Books(
        terms=read_terms(connection, campaigns),
        placements=read_placements(connection, {one.placement_id for one in days}),
        purses=read_purses(connection, {one.advertiser_id for one in days}),
        spendings=read_spendings(connection, campaigns),
    )


def _highest(connection: sa.Connection) -> dict[str, int]:
    table = schema.accounts
    query = sa.select(table.c.currency, sa.func.max(sa.func.abs(table.c.balance_nanos))).group_by(table.c.currency)
    return {currency: int(highest) for currency, highest in connection.execute(query)}


def _write_states(connection: sa.Connection, days: Sequence[BookingDay]) -> None:
    where = (_table.c.date == sa.bindparam("d")) & (_table.c.booking_id == sa.bindparam("b"))
    rows = [{"d": one.date, "b": one.booking_id, "s": int(one.state)} for one in days]
    if rows:
        connection.execute(_table.update().where(where).values(state=sa.bindparam("s")), rows)


def _operation(one: ChargedDay) -> Operation:
    """What the books can be rebuilt from."""
    day = one.day
    body = {
        "booking_id": day.booking_id,
        "date": day.date,
        "campaign_id": day.campaign_id,
        "advertiser_id": day.advertiser_id,
        "placement_id": day.placement_id,
        "keyword": day.keyword,
        "currency": day.currency,
        "amount_nanos": one.amount_nanos,
        "payee": one.payee.account,
        "share_nanos": one.payee.share_nanos,
    }
    return Operation("booking_day", day.cause_id, day.start_time_us, body)
