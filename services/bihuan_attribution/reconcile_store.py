"""
The independent fold: what should have been charged, from the events and the terms alone.

It shares no rule with the posting path on purpose: money is summed by SQL over the log, and orders are folded here
with exact fractions. Only what ran over a budget is taken from where billing recorded it, because it depends on the
order in which budgets were met.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

import sqlalchemy as sa

from bihuan.attribution.v1 import event_pb2
from bihuan_attribution import schema
from bihuan_attribution.person_history import PersonHistory, read_history
from bihuan_attribution.use_cases.ports import CurrencyFold, Reconciliation
from bihuan_shared.sql import Database

_WEEK_US = 7 * 24 * 3_600_000_000
_PAID, _CANCELLED = frozenset({2, 3}), 4
_ORDER, _UPDATE, _REFUND = 7, 8, 9
_UNBILLED = ("over_budget", "over_balance", "no_terms", "currency_mismatch")

_CHARGED = """
SELECT e.currency AS currency,
       SUM(CASE WHEN e.pricing_model = 'cpc' THEN e.price_micros * 1000 ELSE e.price_micros END) AS nanos
FROM events e
WHERE e.position <= :upto
  AND (
    (e.pricing_model = 'cpc' AND e.event_type = 3)
    OR (e.pricing_model = 'cpm' AND e.event_type = CASE WHEN COALESCE(
          (SELECT CASE WHEN t.bills_viewable THEN 1 ELSE 0 END FROM terms t
           WHERE t.campaign_id = e.campaign_id AND t.version <= e.terms_version ORDER BY t.version DESC LIMIT 1),
          (SELECT CASE WHEN t.bills_viewable THEN 1 ELSE 0 END FROM terms t
           WHERE t.campaign_id = e.campaign_id ORDER BY t.version LIMIT 1), 0) = 1 THEN 2 ELSE 1 END)
  )
  AND (e.event_type = 1 OR EXISTS (
    SELECT 1 FROM events i WHERE i.event_type = 1 AND i.event_id = e.event_id AND i.position <= :upto
      AND i.receive_time_us - e.receive_time_us <= :week))
  AND NOT EXISTS (SELECT 1 FROM unbilled u WHERE u.position = e.position
      AND (u.reason IN ('over_budget', 'over_balance', 'no_terms', 'currency_mismatch') OR u.reason LIKE 'ivt_%'))
GROUP BY e.currency
"""
_DAYS = "SELECT currency, SUM(day_rate_micros * 1000) AS nanos FROM booking_days WHERE state = 4 GROUP BY currency"
_LEDGER = """
SELECT n.currency AS currency,
       SUM(CASE WHEN p.amount_nanos > 0 THEN p.amount_nanos ELSE 0 END) AS debit,
       SUM(CASE WHEN p.amount_nanos < 0 THEN -p.amount_nanos ELSE 0 END) AS credit,
       SUM(CASE WHEN n.kind NOT IN ('deposit', 'rounding') AND p.account LIKE 'advertiser:%'
           THEN p.amount_nanos ELSE 0 END) AS charged
FROM entries n JOIN postings p ON p.entry_id = n.entry_id
GROUP BY n.currency
"""
_CPS_CLICKS = """
SELECT e.event_id, e.person_id, e.sighting_id, e.advertiser_id, e.campaign_id, e.event_time_us,
       CASE WHEN i.position > e.position THEN i.position ELSE e.position END AS counted
FROM events e JOIN events i ON i.event_type = 1 AND i.event_id = e.event_id AND i.position <= :upto
     AND i.receive_time_us - e.receive_time_us <= :week
WHERE e.event_type = 3 AND e.pricing_model = 'cps' AND e.position <= :upto
"""
_PENDING = """
SELECT CASE WHEN p.receive_time_us + :week < (SELECT COALESCE(MAX(receive_time_us), 0) FROM events)
            THEN 'expired_impression' ELSE 'pending_impression' END AS reason, COUNT(*) AS waiting
FROM pending p GROUP BY 1
"""


@dataclass(slots=True)
class _OrderFold:
    """One order of the log."""

    position: int
    advertiser_id: str
    currency: str
    order_time_us: int
    told: tuple[int, int]
    click_id: str
    paid_micros: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    back_micros: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    statuses: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Click:
    """One CPS click of the log."""

    event_id: str
    advertiser_id: str
    campaign_id: str
    at_us: int
    counted: int
    told: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Rate:
    """One version of a campaign's terms."""

    effective_us: int
    window_us: int
    rate_ppm: int
    currency: str


@dataclass(frozen=True, slots=True)
class SqlAuditor:
    """The fold over one database."""

    database: Database

    async def reconcile(self) -> Reconciliation:
        """Fold what billing has seen and compare it with the ledger, all on one snapshot."""
        return await self.database.read(_reconcile)


def _reconcile(connection: sa.Connection) -> Reconciliation:
    consumers = {row.consumer: row.position for row in connection.execute(sa.select(schema.consumers))}
    upto = consumers.get("billing", 0)
    folded: dict[str, int] = defaultdict(int)
    for row in connection.execute(sa.text(_CHARGED), {"upto": upto, "week": _WEEK_US}):
        folded[row.currency] += int(row.nanos)
    for row in connection.execute(sa.text(_DAYS)):
        folded[row.currency] += int(row.nanos)
    unmatched = _fold_commissions(connection, upto, folded)
    ledger = {row.currency: row for row in connection.execute(sa.text(_LEDGER))}
    currencies = sorted(set(ledger) | set(folded))
    heads = schema.heads
    head = connection.execute(sa.select(heads.c.position).where(heads.c.name == "log")).scalar_one()
    return Reconciliation(
        currencies=tuple(
            CurrencyFold(
                currency=currency,
                debit_nanos=int(ledger[currency].debit) if currency in ledger else 0,
                credit_nanos=int(ledger[currency].credit) if currency in ledger else 0,
                ledger_charged_nanos=int(ledger[currency].charged) if currency in ledger else 0,
                fold_charged_nanos=folded[currency],
            )
            for currency in currencies
        ),
        unbilled=tuple(sorted(_unbilled(connection, upto, unmatched).items())),
        head_position=head,
        consumers=tuple(sorted((name, at) for name, at in consumers.items() if not name.endswith("_planned"))),
    )


def _unbilled(connection: sa.Connection, upto: int, unmatched: int) -> dict[str, int]:
    counts: dict[str, int] = {}
    table = schema.unbilled
    query = sa.select(table.c.reason, sa.func.count().label("events")).group_by(table.c.reason)
    counts |= {row.reason: row.events for row in connection.execute(query)}
    for row in connection.execute(sa.text(_PENDING), {"week": _WEEK_US}):
        counts[row.reason] = row.waiting
    parked = connection.execute(sa.select(sa.func.count()).select_from(schema.parked)).scalar_one()
    rejected = connection.execute(
        sa.select(schema.rejections.c.reason, sa.func.sum(schema.rejections.c["count"])).group_by(
            schema.rejections.c.reason
        )
    )
    counts |= {f"rejected_{reason.lower()}": int(count) for reason, count in rejected}
    events = schema.events
    tokens = sa.select(sa.func.count()).where(events.c.position <= upto, events.c.token_id != "")
    charges = sa.select(sa.func.count()).where(
        schema.entries.c.kind == "charge", schema.entries.c.cause_type == "event"
    )
    kept_out = [name for name in counts if name in _UNBILLED or name.startswith("ivt_")]
    waiting = sum(counts.get(name, 0) for name in (*kept_out, "pending_impression", "expired_impression"))
    others = connection.execute(tokens).scalar_one() - connection.execute(charges).scalar_one() - waiting
    counts |= {"not_billable": others, "unmatched": unmatched, "parked": parked}
    return {reason: count for reason, count in counts.items() if count}


def _fold_commissions(connection: sa.Connection, upto: int, folded: dict[str, int]) -> int:
    """Add the commissions of orders to `folded`; the answer is how many paid orders had no click to pay for."""
    orders = _orders(connection, upto)
    history = read_history(connection)
    by_click, by_person = _clicks(connection, upto, history)
    terms = _terms(connection)
    unmatched = 0
    for order in orders.values():
        if not order.statuses & _PAID:
            continue
        circle = by_person.get(history.circle(order.told[0]), ()) if order.told[0] else ()
        met = [one for one in circle if history.same(one.told, order.told, max(one.counted, order.position))]
        clicks = (*by_click.get(order.click_id, ()), *met)
        paying = _paying(order, clicks, terms)
        if paying is None:
            unmatched += 1
        elif paying.currency == order.currency and _CANCELLED not in order.statuses:
            folded[order.currency] += sum(
                round(Fraction((paid - min(paid, order.back_micros[item])) * paying.rate_ppm, 1000))
                for item, paid in order.paid_micros.items()
            )
    return unmatched


def _paying(order: _OrderFold, clicks: Iterable[_Click], terms: dict[str, list[_Rate]]) -> _Rate | None:
    """The rate of the last click in its window."""
    found: list[tuple[int, str, _Rate]] = []
    for click in clicks:
        versions = terms.get(click.campaign_id, [])
        begun = [one for one in versions if one.effective_us <= click.at_us]
        held = (begun[-1:] or versions[:1]) if click.advertiser_id == order.advertiser_id else []
        if held and 0 <= order.order_time_us - click.at_us < held[0].window_us:
            found.append((click.at_us, click.event_id, held[0]))
    return max(found, key=lambda one: one[:2])[2] if found else None


def _orders(connection: sa.Connection, upto: int) -> dict[tuple[str, str], _OrderFold]:
    events = schema.events
    query = sa.select(events).where(events.c.event_type.in_([_ORDER, _UPDATE, _REFUND]), events.c.position <= upto)
    rows = connection.execute(query.order_by(events.c.position)).all()
    orders: dict[tuple[str, str], _OrderFold] = {}
    for row in rows:
        key = (row.advertiser_id, row.order_id)
        if row.event_type != _ORDER or key in orders:
            continue
        message = event_pb2.Event.FromString(row.body).order
        fold = _OrderFold(
            row.position,
            row.advertiser_id,
            message.currency,
            row.event_time_us,
            (row.person_id, row.sighting_id),
            message.click_id,
        )
        for item in message.items:
            fold.paid_micros[item.item_id] += item.paid_micros
        orders[key] = fold
    for row in rows:
        fold_of_row = orders.get((row.advertiser_id, row.order_id))
        message = event_pb2.Event.FromString(row.body).order
        if fold_of_row is None or message.currency != fold_of_row.currency:
            continue
        if row.event_type == _REFUND:
            for back in message.refund_items:
                fold_of_row.back_micros[back.item_id] += back.refund_micros
        else:
            fold_of_row.statuses.add(message.status)
    return orders


def _clicks(
    connection: sa.Connection, upto: int, history: PersonHistory
) -> tuple[dict[str, list[_Click]], dict[int, list[_Click]]]:
    by_click: dict[str, list[_Click]] = defaultdict(list)
    by_person: dict[int, list[_Click]] = defaultdict(list)
    for row in connection.execute(sa.text(_CPS_CLICKS), {"upto": upto, "week": _WEEK_US}):
        told = (row.person_id, row.sighting_id)
        click = _Click(row.event_id, row.advertiser_id, row.campaign_id, row.event_time_us, row.counted, told)
        by_click[click.event_id].append(click)
        if row.person_id:
            by_person[history.circle(row.person_id)].append(click)
    return by_click, by_person


def _terms(connection: sa.Connection) -> dict[str, list[_Rate]]:
    """By campaign, by version."""
    found: dict[str, list[_Rate]] = defaultdict(list)
    for row in connection.execute(sa.select(schema.terms).order_by(schema.terms.c.version)):
        rate = _Rate(row.effective_time_us, row.click_window_us, row.commission_rate_ppm, row.currency)
        found[row.campaign_id].append(rate)
    return found
