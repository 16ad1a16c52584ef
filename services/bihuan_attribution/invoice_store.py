"""Invoices in SQL: made with the close of a period, never changed."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.bulk import insert_rows
from bihuan_attribution.domain.invoice import (
    NOT_INVOICED,
    Invoice,
    InvoiceLine,
    LineSum,
    book_rounding,
    draw_up,
)
from bihuan_attribution.domain.ledger import Purse, prepaid_account, receivable_account
from bihuan_attribution.event_log_store import chunks
from bihuan_attribution.journal_store import Operation, note_operations
from bihuan_attribution.ledger_store import read_purses, write_entries

_LINE = ("campaign_id", "pricing_model", "adjustment", "amount_nanos", "rounded_nanos", "entry_count")


def make_invoices(
    connection: sa.Connection, dialect: str, period: str, now_us: int, checkpoint: Callable[[str], None]
) -> list[Invoice]:
    """
    Draw up the invoices of a period and book their rounding into it, in a transaction of the caller.

    The caller holds the ledger's head, and closes the period afterwards.
    """
    drafts = draw_up(read_line_sums(connection, period), period, now_us)
    purses = read_purses(connection, {one.advertiser_id for one in drafts})
    rounded = [
        book_rounding(one, purses.setdefault((one.advertiser_id, one.currency), Purse(one.advertiser_id, 0, 0)))
        for one in drafts
    ]
    checkpoint("rounded")
    entries = [entry for _, entry in rounded if entry is not None]
    ids = iter(range(write_entries(connection, dialect, entries, book_time_us=now_us, purses=purses.values()), 2**63))
    invoices = [
        invoice if entry is None else replace(invoice, rounding_entry_id=next(ids)) for invoice, entry in rounded
    ]
    checkpoint("entries")
    _write_invoices(connection, invoices)
    note_operations(connection, map(_operation, invoices))
    checkpoint("invoices")
    return invoices


def read_line_sums(connection: sa.Connection, period: str) -> list[LineSum]:
    """What the entries of a period come to by advertiser and line."""
    entries, postings = schema.entries, schema.postings
    prepaid = sa.literal(prepaid_account("")) + entries.c.advertiser_id
    receivable = sa.literal(receivable_account("")) + entries.c.advertiser_id
    names = ("advertiser_id", "currency", "campaign_id", "pricing_model", "adjustment")
    keys = [entries.c[name] for name in names]
    amount = postings.c.amount_nanos
    query = (
        sa.select(
            *keys,
            sa.func.sum(amount).label("amount_nanos"),
            sa.func.sum(sa.case((postings.c.account == prepaid, amount), else_=0)).label("prepaid_nanos"),
            sa.func.count(sa.distinct(entries.c.entry_id)).label("entry_count"),
        )
        .join(postings, postings.c.entry_id == entries.c.entry_id)
        .where(
            entries.c.period == period,
            entries.c.kind.not_in(NOT_INVOICED),
            (postings.c.account == prepaid) | (postings.c.account == receivable),
        )
        .group_by(*keys)
    )
    return [
        LineSum(
            *row[:4],
            adjustment=bool(row.adjustment),
            amount_nanos=int(row.amount_nanos),
            prepaid_nanos=int(row.prepaid_nanos),
            entry_count=row.entry_count,
        )
        for row in connection.execute(query)
    ]


def read_invoices(
    connection: sa.Connection,
    *,
    advertiser_id: str = "",
    period: str = "",
    after: tuple[str, str] | None = None,
    limit: int,
) -> list[Invoice]:
    """Up to `limit` invoices by advertiser and period, above (advertiser, period); empty filters match all."""
    table = schema.invoices
    query = sa.select(table).order_by(table.c.advertiser_id, table.c.period).limit(limit)
    if advertiser_id:
        query = query.where(table.c.advertiser_id == advertiser_id)
    if period:
        query = query.where(table.c.period == period)
    if after is not None:
        query = query.where(sa.tuple_(table.c.advertiser_id, table.c.period) > sa.tuple_(*after))
    rows = connection.execute(query).all()
    lines = _read_lines(connection, {(row.advertiser_id, row.period) for row in rows})
    return [
        Invoice(
            advertiser_id=row.advertiser_id,
            period=row.period,
            currency=row.currency,
            lines=tuple(lines.get((row.advertiser_id, row.period), ())),
            total_nanos=row.total_nanos,
            prepaid_nanos=row.prepaid_nanos,
            issue_time_us=row.issue_time_us,
            rounding_entry_id=row.rounding_entry_id,
        )
        for row in rows
    ]


def _read_lines(connection: sa.Connection, keys: set[tuple[str, str]]) -> dict[tuple[str, str], list[InvoiceLine]]:
    table = schema.invoice_lines
    order = (table.c.campaign_id, table.c.pricing_model, table.c.adjustment)
    found: dict[tuple[str, str], list[InvoiceLine]] = {}
    for chunk in chunks(keys):
        advertisers, periods = {key[0] for key in chunk}, {key[1] for key in chunk}
        query = sa.select(table).where(table.c.advertiser_id.in_(advertisers), table.c.period.in_(periods))
        for row in connection.execute(query.order_by(*order)):
            line = InvoiceLine(
                row.campaign_id,
                row.pricing_model,
                bool(row.adjustment),
                row.amount_nanos,
                row.rounded_nanos,
                row.entry_count,
            )
            found.setdefault((row.advertiser_id, row.period), []).append(line)
    return found


def _write_invoices(connection: sa.Connection, invoices: Sequence[Invoice]) -> None:
    names = ("advertiser_id", "period", "currency", "total_nanos", "prepaid_nanos", "issue_time_us")
    rows = [
        {name: getattr(one, name) for name in names} | {"rounding_entry_id": one.rounding_entry_id} for one in invoices
    ]
    insert_rows(connection, schema.invoices, rows)
    lines = [
        {"advertiser_id": one.advertiser_id, "period": one.period}
        | {name: getattr(line, name) for name in _LINE}
        | {"adjustment": int(line.adjustment)}
        for one in invoices
        for line in one.lines
    ]
    insert_rows(connection, schema.invoice_lines, lines)


def _operation(invoice: Invoice) -> Operation:
    names = ("advertiser_id", "period", "currency", "total_nanos")
    body = {name: getattr(invoice, name) for name in names} | {"amount_nanos": invoice.residue_nanos}
    return Operation("invoice", invoice.invoice_id, invoice.issue_time_us, body)
