"""Payouts in SQL."""

from collections.abc import Callable

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.domain.ledger import Entry
from bihuan_attribution.domain.payout import PAYOUT, payout_entry
from bihuan_attribution.entry_store import booked_entries
from bihuan_attribution.event_log_store import LEDGER_HEAD, lock_head
from bihuan_attribution.journal_store import Operation, note_operations
from bihuan_attribution.ledger_store import write_entries
from bihuan_attribution.use_cases.ports import BookedEntry
from bihuan_shared.errors import AlreadyExists, FailedPrecondition, FieldViolation
from bihuan_shared.sql import Database


class SqlPayouts:
    """
    The payouts of one database.

    `checkpoint` is called with the name of each step inside the transaction, so that tests can break off there.
    """

    def __init__(self, database: Database, checkpoint: Callable[[str], None] = lambda _: None) -> None:
        self._database = database
        self._checkpoint = checkpoint

    async def pay_out(self, payout_id: str, account: str, currency: str, nanos: int, at_us: int) -> BookedEntry:
        """
        Pay what is payable to a promoter or a publisher, once by the id.

        Raises AlreadyExists where the id stands for another payout, and FailedPrecondition where less is payable in
        this currency.
        """
        entry = payout_entry(payout_id, account, currency, nanos, at_us)
        return await self._database.write(lambda c: self._pay_out(c, entry, account, nanos))

    def _pay_out(self, connection: sa.Connection, entry: Entry, account: str, nanos: int) -> BookedEntry:
        lock_head(connection, LEDGER_HEAD)
        table = schema.entries
        same = (table.c.cause_id == entry.cause_id) & (table.c.cause_type == PAYOUT) & (table.c.kind == PAYOUT)
        held = booked_entries(connection, sa.select(table).where(same))
        if held:
            booked = held[0].entry
            sides = tuple(sorted(entry.postings, key=lambda one: one.account))
            if (booked.currency, booked.postings) != (entry.currency, sides):
                raise AlreadyExists(f"payout {entry.cause_id} was made with another content")
            return held[0]
        payable_nanos = _payable_nanos(connection, account, entry.currency)
        if nanos > payable_nanos:
            payable = f"no more than {max(0, payable_nanos) // 1000} micros of {entry.currency} are payable"
            raise FailedPrecondition(payable, FieldViolation("amount.micros", payable))
        write_entries(connection, self._database.dialect, [entry], book_time_us=entry.entry_time_us)
        self._checkpoint("entries")
        body = {"account": account, "currency": entry.currency, "amount_nanos": nanos}
        note_operations(connection, [Operation(PAYOUT, entry.cause_id, entry.entry_time_us, body)])
        self._checkpoint("noted")
        return booked_entries(connection, sa.select(table).where(same))[0]


def _payable_nanos(connection: sa.Connection, account: str, currency: str) -> int:
    table = schema.accounts
    query = sa.select(table.c.balance_nanos).where(table.c.account == account, table.c.currency == currency)
    return -int(connection.execute(query).scalar() or 0)
