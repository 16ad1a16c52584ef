"""Whether closed periods and their invoices are still what they were closed with."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.domain.chain import GENESIS
from bihuan_attribution.domain.currency import minor_unit_nanos
from bihuan_attribution.domain.proof import MAX_FAULTS, Fault

_Key = tuple[str, str, str, int]
"""Advertiser, campaign, pricing model, adjustment."""

# What the advertiser owes is all of an entry's side that is the advertiser's, estimates apart.
_SUMS = """
SELECT e.advertiser_id, e.campaign_id, e.pricing_model, e.adjustment, e.currency, SUM(p.amount_nanos) AS nanos,
       SUM(CASE WHEN p.account LIKE 'advertiser:prepaid:%' THEN p.amount_nanos ELSE 0 END) AS prepaid,
       COUNT(DISTINCT e.entry_id) AS entries, MAX(CASE WHEN e.kind = 'rounding' THEN e.entry_id ELSE 0 END) AS rounding
FROM entries e JOIN postings p ON p.entry_id = e.entry_id
WHERE e.period = :period AND e.kind <> 'deposit'
  AND p.account LIKE 'advertiser:%' AND p.account NOT LIKE 'advertiser:estimated:%'
GROUP BY e.advertiser_id, e.campaign_id, e.pricing_model, e.adjustment, e.currency, e.kind = 'rounding'
"""
_LATE = "SELECT entry_id FROM entries WHERE period = :period AND entry_id > :last ORDER BY entry_id LIMIT :most"
_SKIPPED = "SELECT MIN(period) FROM entries WHERE period > :after"
_STRAY = """
SELECT advertiser_id, period FROM invoices WHERE period NOT IN (SELECT period FROM periods)
UNION SELECT advertiser_id, period FROM invoice_lines WHERE period NOT IN (SELECT period FROM periods) LIMIT :most
"""


@dataclass(slots=True)
class _Books:
    """What the entries of a period come to for one advertiser."""

    total_nanos: int = 0
    prepaid_nanos: int = 0
    rounded_nanos: int = 0
    rounding_entry_id: int = 0


def period_faults(connection: sa.Connection) -> Iterable[Fault]:
    """Closed periods whose last entry has another hash, and entries that were put into one afterwards."""
    table, last_entry_id, closed = schema.periods, 0, set()
    for row in connection.execute(sa.select(table).order_by(table.c.period)).all():
        closed.add(row.period)
        if _hash_of(connection, row.last_entry_id) != bytes(row.head_hash):
            detail = f"is not what {row.period} was closed with, or something before it is not"
            yield Fault("period_head", row.last_entry_id, detail)
        if row.last_entry_id < last_entry_id:
            yield Fault("period_head", row.last_entry_id, f"{row.period} was closed before the period before it")
        last_entry_id = row.last_entry_id
        late = {"period": row.period, "last": row.last_entry_id, "most": MAX_FAULTS}
        for entry in connection.execute(sa.text(_LATE), late):
            yield Fault("period", entry.entry_id, f"was booked in {row.period} after it was closed")
    period = ""
    while period := connection.execute(sa.text(_SKIPPED), {"after": period}).scalar() or "":
        if period < max(closed, default="") and period not in closed:
            yield Fault("period", 0, f"{period} holds entries and was passed over")


def invoice_faults(connection: sa.Connection) -> Iterable[Fault]:
    """Invoices that are not the sum of their period's entries."""
    for row in connection.execute(sa.text(_STRAY), {"most": MAX_FAULTS}).all():
        yield Fault("invoice", 0, f"{row.advertiser_id}/{row.period} is of a period that was not closed")
    for period in connection.execute(sa.select(schema.periods.c.period)).scalars().all():
        yield from _faults_of(connection, period)


def _faults_of(connection: sa.Connection, period: str) -> Iterable[Fault]:
    lines, books = _from_entries(connection, period)
    held_lines = _held_lines(connection, period)
    for key in sorted(lines.keys() | held_lines.keys()):
        if lines.get(key) != held_lines.get(key):
            name = f"{key[0]}/{period}, {key[1] or 'account'} {key[2]}"
            detail = f"{name}: has (exact, rounded, entries) {held_lines.get(key)}; its entries say {lines.get(key)}"
            yield Fault("invoice", books[key[0]].rounding_entry_id if key[0] in books else 0, detail)
    table = schema.invoices
    held = {row.advertiser_id: row for row in connection.execute(sa.select(table).where(table.c.period == period))}
    for advertiser_id in sorted(books.keys() | held.keys()):
        own, row = books.get(advertiser_id, _Books()), held.get(advertiser_id)
        told = row and (row.total_nanos, row.prepaid_nanos, row.rounding_entry_id)
        if told != (own.total_nanos, own.prepaid_nanos, own.rounding_entry_id) or own.total_nanos != own.rounded_nanos:
            detail = f"{advertiser_id}/{period}: has {told}; its entries come to {own}"
            yield Fault("invoice", own.rounding_entry_id, detail)


def _from_entries(connection: sa.Connection, period: str) -> tuple[dict[_Key, tuple[int, int, int]], dict[str, _Books]]:
    lines: dict[_Key, tuple[int, int, int]] = {}
    books: dict[str, _Books] = {}
    for row in connection.execute(sa.text(_SUMS), {"period": period}):
        own = books.setdefault(row.advertiser_id, _Books())
        own.total_nanos += int(row.nanos)
        own.prepaid_nanos += int(row.prepaid)
        if row.rounding:
            own.rounding_entry_id = row.rounding
            continue
        unit = Decimal(minor_unit_nanos(row.currency))
        units = (Decimal(int(row.nanos)) / unit).quantize(Decimal(1), ROUND_HALF_EVEN)
        own.rounded_nanos += int(units * unit)
        key = (row.advertiser_id, row.campaign_id, row.pricing_model, row.adjustment)
        lines[key] = (int(row.nanos), int(units * unit), row.entries)
    return lines, books


def _held_lines(connection: sa.Connection, period: str) -> dict[_Key, tuple[int, int, int]]:
    table = schema.invoice_lines
    return {
        (row.advertiser_id, row.campaign_id, row.pricing_model, row.adjustment): (
            row.amount_nanos,
            row.rounded_nanos,
            row.entry_count,
        )
        for row in connection.execute(sa.select(table).where(table.c.period == period))
    }


def _hash_of(connection: sa.Connection, entry_id: int) -> bytes:
    table = schema.entries
    found = connection.execute(sa.select(table.c.entry_hash).where(table.c.entry_id == entry_id)).scalar()
    return bytes(found) if found is not None else GENESIS
