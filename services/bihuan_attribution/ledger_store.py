"""The ledger in SQL: entries are added, never changed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.account_store import read_advertisers
from bihuan_attribution.bulk import insert_rows
from bihuan_attribution.domain.chain import GENESIS, entry_hash
from bihuan_attribution.domain.ledger import (
    PREPAID,
    UNLIMITED_NANOS,
    Entry,
    Purse,
    account_sums,
    deposit_postings,
    estimated_account,
    prepaid_account,
    receivable_account,
)
from bihuan_attribution.domain.period import booked_in
from bihuan_attribution.entry_store import balances_then, booked_entries, entry_row
from bihuan_attribution.event_log_store import LEDGER_HEAD, chunks, lock_head, move_head
from bihuan_attribution.journal_store import Operation, note_operations
from bihuan_attribution.use_cases.ports import BookedEntry
from bihuan_shared.errors import AlreadyExists, FailedPrecondition, FieldViolation, InvalidArgument
from bihuan_shared.sql import Database, insert_ignore

_MAX_BALANCE_NANOS = 2**62


def write_entries(
    connection: sa.Connection,
    dialect: str,
    entries: Sequence[Entry],
    *,
    book_time_us: int,
    purses: Iterable[Purse] = (),
) -> int:
    """
    Add entries with their postings and move the balances, in a transaction of the caller; the id of the first one.

    `purses` are the accounts that the entries were made with; they say how much may be owed afterwards.
    """
    if not entries:
        return 0
    head = lock_head(connection, LEDGER_HEAD)
    ids = {(entry.cause_id, entry.kind): head + index for index, entry in enumerate(entries, 1)}
    corrected = _entry_ids(connection, {one.corrects_cause_id for one in entries if one.corrects_cause_id}) | ids
    last_closed, before = _last_closed(connection), _hash_of(connection, head)
    rows: list[dict[str, object]] = []
    for index, entry in enumerate(entries, 1):
        corrects_id = corrected.get((entry.corrects_cause_id, entry.corrects_kind), 0) if entry.corrects_cause_id else 0
        period, adjustment = booked_in(entry.entry_time_us, last_closed)
        before = entry_hash(before, head + index, entry, corrects_id, book_time_us, (period, adjustment))
        booked = BookedEntry(head + index, corrects_id, entry, book_time_us, period, adjustment, before)
        rows.append(entry_row(booked))
    insert_rows(connection, schema.entries, rows)
    sides = [
        {"entry_id": head + index, "account": posting.account, "amount_nanos": posting.amount_nanos}
        for index, entry in enumerate(entries, 1)
        for posting in entry.postings
    ]
    insert_rows(connection, schema.postings, sides)
    move_head(connection, LEDGER_HEAD, head + len(entries))
    _move_balances(connection, dialect, account_sums(entries), purses)
    return head + 1


def _last_closed(connection: sa.Connection) -> str:
    return connection.execute(sa.select(sa.func.max(schema.periods.c.period))).scalar() or ""


def _hash_of(connection: sa.Connection, entry_id: int) -> bytes:
    table = schema.entries
    found = connection.execute(sa.select(table.c.entry_hash).where(table.c.entry_id == entry_id)).scalar()
    return bytes(found) if found is not None else GENESIS


def read_purses(connection: sa.Connection, advertisers: set[str]) -> dict[tuple[str, str], Purse]:
    """What the accounts of advertisers hold and may owe, by (advertiser, currency)."""
    names = {prepaid_account(one): (one, True) for one in advertisers}
    names |= {receivable_account(one): (one, False) for one in advertisers}
    purses: dict[tuple[str, str], Purse] = {}
    table = schema.accounts
    for chunk in chunks(names):
        for row in connection.execute(sa.select(table).where(table.c.account.in_(chunk))):
            advertiser_id, is_prepaid = names[row.account]
            purse = purses.setdefault((advertiser_id, row.currency), Purse(advertiser_id, 0, 0))
            if is_prepaid:
                purse.prepaid_nanos = -row.balance_nanos
            else:
                purse.receivable_nanos = purse.opening_nanos = row.balance_nanos
    for advertiser_id, held in read_advertisers(connection, advertisers).items():
        newest = held[-1]
        purse = purses.setdefault((advertiser_id, newest.currency), Purse(advertiser_id, 0, 0))
        purse.credit_nanos = newest.credit_limit_nanos
    return purses


@dataclass(frozen=True, slots=True)
class SqlLedger:
    """The ledger of one database."""

    database: Database

    async def deposit(self, advertiser_id: str, deposit_id: str, currency: str, nanos: int, at_us: int) -> BookedEntry:
        """
        Book a deposit, once by its id.

        Raises AlreadyExists where the id stands for another deposit and FailedPrecondition where the advertiser's
        account has another currency.
        """
        entry = Entry(
            kind="deposit",
            cause_type="deposit",
            cause_id=deposit_id,
            advertiser_id=advertiser_id,
            campaign_id="",
            currency=currency,
            entry_time_us=at_us,
            decision_id="",
            postings=deposit_postings(advertiser_id, nanos),
        )
        return await self.database.write(lambda c: self._deposit(c, entry))

    def _deposit(self, connection: sa.Connection, entry: Entry) -> BookedEntry:
        lock_head(connection, LEDGER_HEAD)
        table = schema.entries
        same = (table.c.cause_id == entry.cause_id) & (table.c.cause_type == "deposit") & (table.c.kind == "deposit")
        held = booked_entries(connection, sa.select(table).where(same))
        if held:
            booked = held[0].entry
            if (booked.advertiser_id, booked.currency, booked.postings) != (
                entry.advertiser_id,
                entry.currency,
                tuple(sorted(entry.postings, key=lambda one: one.account)),
            ):
                raise AlreadyExists(f"deposit {entry.cause_id} was made with another content")
            return held[0]
        self._check(connection, entry)
        write_entries(connection, self.database.dialect, [entry], book_time_us=entry.entry_time_us)
        note_operations(connection, [Operation("deposit", entry.cause_id, entry.entry_time_us, _deposit_body(entry))])
        return booked_entries(connection, sa.select(table).where(same))[0]

    def _check(self, connection: sa.Connection, entry: Entry) -> None:
        terms = schema.terms
        query = sa.select(terms.c.currency).where(terms.c.advertiser_id == entry.advertiser_id).limit(1)
        currencies = set(connection.execute(query).scalars())
        currencies |= {currency for _, currency in read_purses(connection, {entry.advertiser_id})}
        if currencies - {entry.currency}:
            raise FailedPrecondition(
                "an account has one currency", FieldViolation("amount.currency", f"must be {currencies.pop()}")
            )
        table = schema.accounts
        query_sum = sa.select(sa.func.max(sa.func.abs(table.c.balance_nanos))).where(table.c.currency == entry.currency)
        highest = connection.execute(query_sum).scalar() or 0
        if highest + max(posting.amount_nanos for posting in entry.postings) > _MAX_BALANCE_NANOS:
            raise InvalidArgument.of("amount.micros", "more than an account can hold")

    async def entries(
        self,
        advertiser_id: str,
        campaign_id: str,
        after: int,
        limit: int,
        *,
        order_id: str = "",
        as_of_us: int | None = None,
    ) -> list[BookedEntry]:
        """Entries above a number, oldest first; none that was booked after `as_of_us`."""
        table = schema.entries
        query = sa.select(table).where(table.c.entry_id > after).order_by(table.c.entry_id).limit(limit)
        if advertiser_id:
            query = query.where(table.c.advertiser_id == advertiser_id)
        if campaign_id:
            query = query.where(table.c.campaign_id == campaign_id)
        if order_id:
            query = query.where(table.c.order_id == order_id)
        if as_of_us is not None:
            query = query.where(table.c.book_time_us <= as_of_us)
        return await self.database.read(lambda c: booked_entries(c, query))

    async def balances(self, advertiser_id: str, as_of_us: int | None = None) -> list[tuple[str, str, int]]:
        """
        (account, currency, balance) of an advertiser; positive where it is owed (prepaid) or owes (the others).

        With `as_of_us`, the balance that was believed then: of what was booked by that time.
        """
        names = {prepaid_account(advertiser_id): -1, receivable_account(advertiser_id): 1}
        names[estimated_account(advertiser_id)] = 1
        table = schema.accounts
        query = sa.select(table).where(table.c.account.in_(names)).order_by(table.c.account, table.c.currency)
        if as_of_us is not None:
            query = balances_then(names, as_of_us, advertiser_id=advertiser_id)
        rows = await self.database.read(lambda c: c.execute(query).all())
        return [(row.account, row.currency, names[row.account] * row.balance_nanos) for row in rows]


def _deposit_body(entry: Entry) -> dict[str, object]:
    amount_nanos = max(posting.amount_nanos for posting in entry.postings)
    return {"advertiser_id": entry.advertiser_id, "currency": entry.currency, "amount_nanos": amount_nanos}


def _entry_ids(connection: sa.Connection, causes: set[str]) -> dict[tuple[str, str], int]:
    """The entries that can be corrected, by cause and kind."""
    table = schema.entries
    found: dict[tuple[str, str], int] = {}
    for chunk in chunks(causes):
        query = sa.select(table.c.cause_id, table.c.kind, table.c.entry_id).where(
            table.c.cause_id.in_(chunk), table.c.kind.in_(["commission_estimated", "charge"])
        )
        found |= {(row.cause_id, row.kind): row.entry_id for row in connection.execute(query)}
    return found


def _move_balances(
    connection: sa.Connection, dialect: str, sums: dict[tuple[str, str], int], purses: Iterable[Purse]
) -> None:
    table = schema.accounts
    names = [
        {
            "account": account,
            "currency": currency,
            "balance_nanos": 0,
            "limit_nanos": 0 if account.startswith(PREPAID) else UNLIMITED_NANOS,
        }
        for account, currency in sorted(sums)
    ]
    connection.execute(insert_ignore(dialect, table), names)
    where = (table.c.account == sa.bindparam("a")) & (table.c.currency == sa.bindparam("c"))
    limits = {receivable_account(purse.advertiser_id): purse.ceiling_nanos for purse in purses}
    ceilings = [{"a": key[0], "c": key[1], "n": limits[key[0]]} for key in sorted(sums) if key[0] in limits]
    if ceilings:
        # Not below what is owed already: a lowered credit line stops charges and breaks nothing.
        balance, asked = table.c.balance_nanos, sa.bindparam("n", type_=sa.BigInteger)
        limit = sa.case((balance > asked, balance), else_=asked)
        connection.execute(table.update().where(where).values(limit_nanos=limit), ceilings)
    add = table.update().where(where).values(balance_nanos=table.c.balance_nanos + sa.bindparam("n"))
    connection.execute(add, [{"a": key[0], "c": key[1], "n": total} for key, total in sorted(sums.items())])
