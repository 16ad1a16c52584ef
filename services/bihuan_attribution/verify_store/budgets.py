"""Whether budgets say what was charged, by campaign and by day."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.domain.budget_day import QUARTER_US, budget_day
from bihuan_attribution.domain.proof import END_OF_TIME_US, MAX_FAULTS, Fault
from bihuan_attribution.domain.terms import TermsBook
from bihuan_attribution.terms_store import read_terms

# A credit goes back to the day that was charged.
_CHARGED = """
SELECT e.campaign_id AS campaign_id, COALESCE(c.entry_time_us, e.entry_time_us) / :quarter AS quarter,
       SUM(p.amount_nanos) AS nanos
FROM entries e
JOIN postings p ON p.entry_id = e.entry_id
 AND (p.account LIKE 'advertiser:prepaid:%' OR p.account LIKE 'advertiser:receivable:%')
LEFT JOIN entries c ON c.entry_id = e.corrects_entry_id AND e.kind = 'ivt_credit'
WHERE e.kind IN ('charge', 'ivt_credit')
GROUP BY 1, 2 ORDER BY 1, 2
"""
_ABOVE = "SELECT * FROM budgets WHERE charged_nanos > budget_nanos ORDER BY campaign_id, day LIMIT :most"
_UNCHARGED = """
SELECT * FROM budgets WHERE charged_nanos <> 0
AND campaign_id NOT IN (SELECT DISTINCT campaign_id FROM entries WHERE kind = 'charge')
ORDER BY campaign_id, day LIMIT :most
"""


def budget_faults(connection: sa.Connection) -> Iterable[Fault]:
    """
    Budgets that are exceeded, or are not the sum of their entries.

    Days are compared where the campaign has always had one time zone: the day of an entry is that of the terms that
    were known when it was billed, and terms may come later and hold from before.
    """
    most = {"most": MAX_FAULTS}
    for row in connection.execute(sa.text(_ABOVE), most):
        yield Fault("budget", 0, f"{_named(row.campaign_id, row.day)}: {row.charged_nanos} of {row.budget_nanos}")
    for row in connection.execute(sa.text(_UNCHARGED), most):
        yield Fault("budget", 0, f"{_named(row.campaign_id, row.day)}: {row.charged_nanos}, and no entry")
    quarter, paged = {"quarter": QUARTER_US}, {"yield_per": 1_000}
    with connection.execute(sa.text(_CHARGED), quarter, execution_options=paged) as charged:
        for campaign_id, rows in groupby(charged, attrgetter("campaign_id")):
            yield from _campaign_faults(connection, campaign_id, [(row.quarter, int(row.nanos)) for row in rows])


def _campaign_faults(connection: sa.Connection, campaign_id: str, charged: list[tuple[int, int]]) -> Iterable[Fault]:
    table = schema.budgets
    rows = connection.execute(sa.select(table).where(table.c.campaign_id == campaign_id))
    held = {row.day: row.charged_nanos for row in rows}
    summed: dict[str, int] = defaultdict(int)
    zone = _only_time_zone(read_terms(connection, [campaign_id]), campaign_id)
    for quarter, nanos in charged:
        summed[""] += nanos
        if zone and 0 <= quarter * QUARTER_US < END_OF_TIME_US:
            summed[budget_day(quarter * QUARTER_US, zone)] += nanos
    if not zone:
        by_days = sum(nanos for day, nanos in held.items() if day)
        held = {"": held.get("", 0)}
        if by_days != summed[""]:
            yield Fault("budget", 0, f"{campaign_id}: its days sum to {by_days}; its entries to {summed['']}")
    for day in sorted(held.keys() | summed.keys()):
        if held.get(day, 0) != summed[day]:
            detail = f"{_named(campaign_id, day)}: {held.get(day, 0)}; its entries sum to {summed[day]}"
            yield Fault("budget", 0, detail)


def _only_time_zone(terms: TermsBook, campaign_id: str) -> str:
    zones = {one.time_zone for one in terms.versions(campaign_id)}
    return zones.pop() if len(zones) == 1 else ""


def _named(campaign_id: str, day: str) -> str:
    return f"{campaign_id} on {day}" if day else f"{campaign_id} in all"
