"""Entries as rows: how they are written, read back, and summed as of a time."""

from collections.abc import Iterable

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.domain.ledger import Entry, Posting
from bihuan_attribution.event_log_store import chunks
from bihuan_attribution.use_cases.ports import BookedEntry


def entry_row(booked: BookedEntry) -> dict[str, object]:
    """The row of an entry."""
    entry = booked.entry
    return {
        "entry_id": booked.entry_id,
        "kind": entry.kind,
        "cause_type": entry.cause_type,
        "cause_id": entry.cause_id,
        "campaign_id": entry.campaign_id,
        "advertiser_id": entry.advertiser_id,
        "currency": entry.currency,
        "entry_time_us": entry.entry_time_us,
        "decision_id": entry.decision_id,
        "corrects_entry_id": booked.corrects_entry_id,
        "book_time_us": booked.book_time_us,
        "period": booked.period,
        "adjustment": int(booked.adjustment),
        "order_id": entry.order_id,
        "position": entry.position,
        "entry_hash": booked.entry_hash,
        "pricing_model": entry.pricing_model,
    }


def booked_entries(connection: sa.Connection, query: "sa.Select[tuple[object, ...]]") -> list[BookedEntry]:
    """Entries that a query over their table finds, with their postings."""
    rows = connection.execute(query).all()
    sides: dict[int, list[Posting]] = {row.entry_id: [] for row in rows}
    table = schema.postings
    for chunk in chunks(sides):
        found = sa.select(table).where(table.c.entry_id.in_(chunk)).order_by(table.c.entry_id, table.c.account)
        for row in connection.execute(found):
            sides[row.entry_id].append(Posting(row.account, row.amount_nanos))
    return [_booked_entry(row, tuple(sides[row.entry_id])) for row in rows]


def _booked_entry(row: "sa.Row[tuple[object, ...]]", postings: tuple[Posting, ...]) -> BookedEntry:
    entry = Entry(
        kind=row.kind,
        cause_type=row.cause_type,
        cause_id=row.cause_id,
        advertiser_id=row.advertiser_id,
        campaign_id=row.campaign_id,
        currency=row.currency,
        entry_time_us=row.entry_time_us,
        decision_id=row.decision_id,
        postings=postings,
        order_id=row.order_id,
        position=row.position,
        pricing_model=row.pricing_model,
    )
    return BookedEntry(
        row.entry_id,
        row.corrects_entry_id,
        entry,
        row.book_time_us,
        row.period,
        bool(row.adjustment),
        bytes(row.entry_hash),
    )


def balances_then(
    accounts: Iterable[str], as_of_us: int, *, advertiser_id: str = ""
) -> "sa.Select[tuple[object, ...]]":
    """
    The query for what accounts held, as (account, currency, balance_nanos) by account.

    What was booked later is left out, whenever it happened; an account without postings by then has no row. Accounts of
    an advertiser are found by its entries, others by all postings.
    """
    entries, postings = schema.entries, schema.postings
    balance = sa.cast(sa.func.sum(postings.c.amount_nanos), sa.BigInteger).label("balance_nanos")
    query = (
        sa.select(postings.c.account, entries.c.currency, balance)
        .join(postings, postings.c.entry_id == entries.c.entry_id)
        .where(entries.c.book_time_us <= as_of_us, postings.c.account.in_(list(accounts)))
        .group_by(postings.c.account, entries.c.currency)
        .order_by(postings.c.account, entries.c.currency)
    )
    return query.where(entries.c.advertiser_id == advertiser_id) if advertiser_id else query
