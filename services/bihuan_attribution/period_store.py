"""Accounting periods in SQL: closed once, together with their invoices."""

from collections.abc import Callable

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.billing_store import BILLING
from bihuan_attribution.domain.booking import DayState
from bihuan_attribution.domain.chain import GENESIS
from bihuan_attribution.domain.invoice import Invoice
from bihuan_attribution.domain.period import FIRST_PERIOD, Period, period_end_us, period_of
from bihuan_attribution.event_log_store import LEDGER_HEAD, LOG_HEAD, consumer_position, lock_head, move_head
from bihuan_attribution.invoice_store import make_invoices, read_invoices
from bihuan_shared.errors import FailedPrecondition, FieldViolation, Unavailable
from bihuan_shared.sql import Database

MAX_ANSWERED = 1_000
"""Invoices that a close answers with; the rest of a larger number is listed."""


class SqlPeriods:
    """
    The periods of one database.

    `checkpoint` is called with the name of each step inside the transaction, so that tests can break off there.
    """

    def __init__(self, database: Database, checkpoint: Callable[[str], None] = lambda _: None) -> None:
        self._database = database
        self._checkpoint = checkpoint

    async def log_head(self) -> int:
        """The last position of the event log."""
        query = sa.select(schema.heads.c.position).where(schema.heads.c.name == LOG_HEAD)
        return await self._database.read(lambda c: int(c.execute(query).scalar_one()))

    async def billed_position(self) -> int:
        """The last position that was billed."""
        return await self._database.read(lambda c: consumer_position(c, BILLING))

    async def close(self, period: str, billed_to: int, now_us: int) -> tuple[Period, list[Invoice]]:
        """
        Close a period with its invoices in one transaction, once; a closed one answers again what was made.

        Raises FailedPrecondition where it is not over, or months before it are open, or later ones are closed;
        Unavailable where billing has not come to `billed_to`. Whatever is raised, nothing has happened.
        """
        return await self._database.write(lambda c: self._close(c, period, billed_to, now_us))

    def _close(
        self, connection: sa.Connection, period: str, billed_to: int, now_us: int
    ) -> tuple[Period, list[Invoice]]:
        lock_head(connection, LEDGER_HEAD)
        held = next((one for one in _closed(connection) if one.period == period), None)
        if held is not None:
            return held, read_invoices(connection, period=period, limit=MAX_ANSWERED)
        _check(connection, period, now_us)
        _check_booked(connection, period, billed_to)
        self._checkpoint("checked")
        invoices = make_invoices(connection, self._database.dialect, period, now_us, self._checkpoint)
        last_entry_id = lock_head(connection, LEDGER_HEAD)
        closed = Period(period, True, now_us, last_entry_id, _hash_of(connection, last_entry_id))
        row = {
            "period": period,
            "close_time_us": now_us,
            "last_entry_id": last_entry_id,
            "head_hash": closed.head_hash,
        }
        connection.execute(schema.periods.insert(), [row])
        # Moved even where nothing was rounded: whoever began to post before must begin anew and see the close.
        move_head(connection, LEDGER_HEAD, last_entry_id)
        self._checkpoint("closed")
        return closed, invoices[:MAX_ANSWERED]

    async def list_periods(self) -> list[Period]:
        """All periods that hold entries or were closed, oldest first."""
        return await self._database.read(_list_periods)

    async def list_invoices(
        self, advertiser_id: str, period: str, after: tuple[str, str] | None, limit: int
    ) -> list[Invoice]:
        """Invoices by advertiser and period, above (advertiser, period); empty filters match all."""
        return await self._database.read(
            lambda c: read_invoices(c, advertiser_id=advertiser_id, period=period, after=after, limit=limit)
        )


def _check(connection: sa.Connection, period: str, now_us: int) -> None:
    if period < FIRST_PERIOD:
        raise FailedPrecondition(
            "there is no such month", FieldViolation("period", f"must not be before {FIRST_PERIOD}")
        )
    if period >= period_of(now_us):
        raise FailedPrecondition("the month is not over", FieldViolation("period", "is not over"))
    last_closed = max((one.period for one in _closed(connection)), default="")
    if period < last_closed:
        detail = f"{last_closed} is closed, and takes nothing more from before it"
        raise FailedPrecondition(detail, FieldViolation("period", f"must come after {last_closed}"))
    earlier = _next_period(connection, last_closed)
    if earlier and earlier < period:
        detail = f"{earlier} holds entries and is to be closed first"
        raise FailedPrecondition(detail, FieldViolation("period", f"must not come before {earlier} is closed"))


def _check_booked(connection: sa.Connection, period: str, billed_to: int) -> None:
    """Refuse while something waits to be booked that is there already: events, or booked days of the period."""
    behind = billed_to - consumer_position(connection, BILLING)
    if behind > 0:
        raise Unavailable(f"billing is {behind} events behind; a period is closed once they are booked")
    days = schema.booking_days
    begun = (days.c.state == int(DayState.WON)) & (days.c.start_time_us < period_end_us(period))
    waiting = connection.execute(sa.select(sa.func.count()).select_from(days).where(begun)).scalar_one()
    if waiting:
        raise Unavailable(f"{waiting} booked days are not charged yet; a period is closed once they are")


def _closed(connection: sa.Connection) -> list[Period]:
    """Closed periods, one a month at most, oldest first."""
    rows = connection.execute(sa.select(schema.periods).order_by(schema.periods.c.period))
    return [Period(row.period, True, row.close_time_us, row.last_entry_id, bytes(row.head_hash)) for row in rows]


def _next_period(connection: sa.Connection, after: str) -> str:
    """The first period above one that holds entries; empty for none."""
    table = schema.entries
    return connection.execute(sa.select(sa.func.min(table.c.period)).where(table.c.period > after)).scalar() or ""


def _list_periods(connection: sa.Connection) -> list[Period]:
    found = {one.period: one for one in _closed(connection)}
    # From month to month by the index, because all entries would have to be read for their different months.
    period = _next_period(connection, "")
    while period:
        found.setdefault(period, Period(period))
        period = _next_period(connection, period)
    return [found[name] for name in sorted(found)]


def _hash_of(connection: sa.Connection, entry_id: int) -> bytes:
    table = schema.entries
    found = connection.execute(sa.select(table.c.entry_hash).where(table.c.entry_id == entry_id)).scalar()
    return bytes(found) if found is not None else GENESIS
