"""
The figures of reports recomputed from what they are figures of: touches, orders, ledger, booked days, what was free.

It shares no rule with the posting path, which adds differences batch by batch: everything is counted and summed here
by SQL over the state that came of it. The traffic source of a placement is left out of the comparison, as terms that
arrive with an earlier time may tell it otherwise than it was known when an event was billed.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.domain.report import FIGURE_NAMES
from bihuan_attribution.event_log_store import consumer_position
from bihuan_attribution.person_history import read_history
from bihuan_attribution.terms_store import read_terms
from bihuan_attribution.use_cases.figure_audit import FigureAudit, FigureDifference
from bihuan_shared.sql import Database

MAX_DIFFERENCES: Final = 100
KEY_NAMES: Final = (
    "advertiser_id", "campaign_id", "ad_group_id", "creative_id", "audience_id", "placement_id", "promoter_id",
    "pricing_model", "currency", "hour_us",
)  # fmt: skip
Rows = dict[tuple[object, ...], dict[str, int]]
"""Figures by the values of `KEY_NAMES`."""
_FIGURES: Final = """
WITH charged (entry_id, position) AS (
  SELECT entry_id, position FROM entries WHERE kind = 'charge' AND cause_type = 'event'
  UNION ALL
  SELECT n.entry_id, c.position FROM entries n JOIN entries c ON c.entry_id = n.corrects_entry_id
  WHERE c.kind = 'charge' AND c.cause_type = 'event'
),
parts (position, figure, amount) AS (
  SELECT position, CASE WHEN invalid <> '' OR excess <> '' THEN 'invalid_events' WHEN event_type = 1 THEN 'impressions'
                        WHEN event_type = 2 THEN 'viewables' WHEN event_type = 3 THEN 'clicks' ELSE 'landings' END, 1
  FROM touches
  UNION ALL
  SELECT t.position, 'person_impressions', 1 FROM touches t JOIN events e ON e.position = t.position
  WHERE t.event_type = 1 AND t.invalid = '' AND e.person_id > 0
  UNION ALL
  SELECT c.position, 'spend_nanos', p.amount_nanos FROM charged c
  JOIN postings p ON p.entry_id = c.entry_id AND p.account LIKE 'advertiser:%'
  UNION ALL
  SELECT position, 'overrun_nanos', amount_nanos FROM unbilled WHERE reason IN ('over_budget', 'over_balance')
)
SELECT t.advertiser_id, t.campaign_id, t.ad_group_id, t.creative_id, t.audience_id, t.placement_id, t.promoter_id,
       t.pricing_model, t.currency, t.bill_time_us - t.bill_time_us % 3600000000 AS hour_us,
       parts.figure AS figure, SUM(parts.amount) AS amount
FROM parts JOIN touches t ON t.position = parts.position
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
"""
_ORDERS: Final = """
WITH parts (advertiser_id, order_id, token_id, pricing_model, figure, amount) AS (
  SELECT o.advertiser_id, o.order_id, o.commission_token_id, 'cps', 'spend_nanos', p.amount_nanos
  FROM entries n JOIN postings p ON p.entry_id = n.entry_id AND p.account LIKE 'advertiser:%'
  JOIN orders o ON o.advertiser_id = n.advertiser_id AND o.order_id = n.order_id
  WHERE n.order_id <> ''
  UNION ALL
  SELECT advertiser_id, order_id, last_click_id, '',
         CASE outcome WHEN 5 THEN 'engagements' WHEN 6 THEN 'leads' ELSE 'orders' END, 1
  FROM orders WHERE paid AND NOT cancelled
  UNION ALL
  SELECT o.advertiser_id, o.order_id, o.last_click_id, '', 'order_value_micros', i.paid_micros - i.refunded_micros
  FROM orders o JOIN order_items i ON i.advertiser_id = o.advertiser_id AND i.order_id = o.order_id
  WHERE o.paid AND NOT o.cancelled
)
SELECT t.advertiser_id, t.campaign_id, t.ad_group_id, t.creative_id, t.audience_id, t.placement_id, t.promoter_id,
       CASE parts.pricing_model WHEN '' THEN t.pricing_model ELSE parts.pricing_model END AS pricing_model,
       o.currency, o.order_time_us - o.order_time_us % 3600000000 AS hour_us,
       parts.figure AS figure, SUM(parts.amount) AS amount
FROM parts JOIN orders o ON o.advertiser_id = parts.advertiser_id AND o.order_id = parts.order_id
JOIN touches t ON t.token_id = parts.token_id AND t.event_type = 3
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
"""
_DAYS: Final = """
SELECT advertiser_id, campaign_id, '' AS ad_group_id, '' AS creative_id, '' AS audience_id, placement_id,
       '' AS promoter_id, 'cpd' AS pricing_model, currency, start_time_us - start_time_us % 3600000000 AS hour_us,
       'spend_nanos' AS figure, SUM(day_rate_micros * 1000) AS amount
FROM booking_days WHERE state = 4
GROUP BY 1, 2, 6, 9, 10
"""
_ITEMS: Final = """
SELECT t.advertiser_id, t.campaign_id, t.ad_group_id, t.creative_id, t.audience_id, t.placement_id, t.promoter_id,
       t.pricing_model, o.currency, o.order_time_us - o.order_time_us % 3600000000 AS hour_us,
       t.touch_time_us AS touch_us, o.order_id AS order_id, i.item_id AS item_id
FROM orders o JOIN order_items i ON i.advertiser_id = o.advertiser_id AND i.order_id = o.order_id
JOIN touches t ON t.token_id = o.last_click_id AND t.event_type = 3
WHERE o.paid AND NOT o.cancelled AND o.outcome = 7
  AND EXISTS (SELECT 1 FROM terms w WHERE w.campaign_id = t.campaign_id AND w.item_ids NOT IN ('', '[]'))
"""
_TOLD: Final = """
SELECT t.advertiser_id, t.campaign_id, t.ad_group_id, t.creative_id, t.audience_id, t.placement_id, t.promoter_id,
       t.pricing_model, t.currency, t.bill_time_us - t.bill_time_us % 3600000000 AS hour_us,
       t.position AS position, e.person_id AS person_id, e.sighting_id AS sighting_id
FROM touches t JOIN events e ON e.position = t.position
WHERE t.event_type = 1 AND t.invalid = '' AND e.person_id > 0
"""


@dataclass(frozen=True, slots=True)
class SqlFigureAudit:
    """The comparison over one database."""

    database: Database

    async def compare(self) -> FigureAudit:
        """Compare what billing has seen with the rollups, all on one snapshot."""
        return await self.database.read(_compare)


def _compare(connection: sa.Connection) -> FigureAudit:
    held, recomputed = held_figures(connection), recompute(connection)
    differences = [
        FigureDifference(_names(key), name, held.get(key, {}).get(name, 0), recomputed.get(key, {}).get(name, 0))
        for key in sorted({*held, *recomputed}, key=lambda key: tuple(map(str, key)))
        for name in FIGURE_NAMES
        if held.get(key, {}).get(name, 0) != recomputed.get(key, {}).get(name, 0)
    ]
    position = consumer_position(connection, "billing")
    return FigureAudit(len({*held, *recomputed}), position, tuple(differences[:MAX_DIFFERENCES]))


def _names(key: tuple[object, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((name.removesuffix("_id"), str(value)) for name, value in zip(KEY_NAMES, key, strict=True) if value)


def held_figures(connection: sa.Connection) -> Rows:
    """What the rollups hold, over all hours of booking."""
    table = schema.figures
    columns = [table.c[name] for name in KEY_NAMES]
    sums = [sa.func.sum(table.c[name]).label(name) for name in FIGURE_NAMES]
    found: Rows = {}
    for row in connection.execute(sa.select(*columns, *sums).group_by(*columns)):
        figures = {name: int(value) for name, value in zip(FIGURE_NAMES, row[len(KEY_NAMES) :], strict=True) if value}
        if figures:
            found[tuple(row[: len(KEY_NAMES)])] = figures
    return found


def recompute(connection: sa.Connection) -> Rows:
    """The figures as they follow from touches, orders, ledger entries and what was not billed."""
    found: Rows = defaultdict(lambda: defaultdict(int))
    for query in (_FIGURES, _ORDERS, _DAYS):
        for row in connection.execute(sa.text(query)):
            found[tuple(row[: len(KEY_NAMES)])][row.figure] += int(row.amount)
    _add_direct_orders(connection, found)
    _take_off_erased(connection, found)
    return {key: figures for key, figures in found.items() if any(figures.values())}


def _add_direct_orders(connection: sa.Connection, found: Rows) -> None:
    """Count the orders of an item that the campaign of their last click advertised when it was clicked."""
    rows = connection.execute(sa.text(_ITEMS)).all()
    terms = read_terms(connection, {row.campaign_id for row in rows})
    direct: dict[tuple[str, str], tuple[object, ...]] = {}
    for row in rows:
        held = terms.at(row.campaign_id, row.touch_us)
        if held is not None and row.item_id in held.item_ids:
            direct[row.advertiser_id, row.order_id] = tuple(row[: len(KEY_NAMES)])
    for key in direct.values():
        found[key]["direct_orders"] += 1


def _take_off_erased(connection: sa.Connection, found: Rows) -> None:
    """Take off the impressions of persons who were erased before these were billed."""
    history = read_history(connection)
    if not history.changed:
        return
    for row in connection.execute(sa.text(_TOLD)):
        if row.person_id in history.changed and history.erased((row.person_id, row.sighting_id), row.position):
            found[tuple(row[: len(KEY_NAMES)])]["person_impressions"] -= 1
