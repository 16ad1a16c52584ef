"""What an auditor finds in the database beside the server: lost events, double bills, overspending."""

from collections.abc import Iterable

import sqlalchemy as sa
from attribution_visits import BUDGETS_MICROS, CAP, Seen

_LOGGED = "SELECT event_type, event_id FROM events"
_CHARGED = """
SELECT n.campaign_id, n.cause_id, SUM(p.amount_nanos) AS nanos, MAX(e.price_micros) AS price,
       MAX(e.pricing_model) AS model
FROM entries n JOIN postings p ON p.entry_id = n.entry_id AND p.account LIKE 'advertiser:%'
LEFT JOIN events e ON n.cause_id
  = CASE e.event_type WHEN 1 THEN 'impression/' WHEN 3 THEN 'click/' ELSE '-' END || e.event_id
WHERE n.kind IN ('charge', 'ivt_credit') GROUP BY n.campaign_id, n.cause_id
"""
_COMMISSIONS = """
SELECT n.order_id, SUM(p.amount_nanos) AS nanos
FROM entries n JOIN postings p ON p.entry_id = n.entry_id AND p.account LIKE 'advertiser:%'
WHERE n.order_id <> '' GROUP BY n.order_id
"""
_DUE = """
SELECT balance_nanos FROM accounts WHERE account IN ('advertiser:receivable:poor', 'advertiser:prepaid:poor')
AND balance_nanos > 0
"""
COMMISSION_NANOS = 123_457_000
"""What a completed order of one unit costs at most, in nanos."""


def audit(engine: sa.Engine, seen: Seen) -> dict[str, int]:
    """Count what must not be."""
    with engine.connect() as connection:
        logged = {(row.event_type, row.event_id) for row in connection.execute(sa.text(_LOGGED))}
        charged = connection.execute(sa.text(_CHARGED)).all()
        commissions = connection.execute(sa.text(_COMMISSIONS)).all()
        overdrawn = sum(int(row.balance_nanos) for row in connection.execute(sa.text(_DUE)))
    return {
        "acknowledged_lost": len(seen.acknowledged - logged),
        "double_billed": sum(int(row.nanos) > _price_nanos(row) for row in charged)
        + sum(int(row.nanos) > COMMISSION_NANOS for row in commissions),
        "overspend_nanos": _overspend(charged) + overdrawn,
        "cap_excess": sum(max(0, count - CAP) for count in seen.shown.values()),
        "charged_events": len(charged),
    }


def _price_nanos(row: "sa.Row[tuple[object, ...]]") -> int:
    return int(row.price) * (1000 if row.model == "cpc" else 1)


def _overspend(charged: "Iterable[sa.Row[tuple[object, ...]]]") -> int:
    """By campaign: everything happens within one day, so the daily budget is the total one."""
    spent: dict[str, int] = {}
    for row in charged:
        spent[row.campaign_id] = spent.get(row.campaign_id, 0) + int(row.nanos)
    return sum(max(0, spent.get(name, 0) - micros * 1000) for name, micros in BUDGETS_MICROS.items())
