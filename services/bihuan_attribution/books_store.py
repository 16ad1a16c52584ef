"""What billing needs to know for a batch, read from SQL."""

from collections.abc import Sequence

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.account_store import read_placements
from bihuan_attribution.domain.books import Books, Spending, SpendingKey
from bihuan_attribution.domain.event import EventType, LoggedEvent
from bihuan_attribution.domain.invalid_traffic import Impression, TrafficLimits
from bihuan_attribution.domain.order import OrderKey, OrderState
from bihuan_attribution.event_log_store import chunks, read_positions
from bihuan_attribution.ledger_store import read_purses
from bihuan_attribution.order_store import of_keys, read_orders
from bihuan_attribution.person_store import as_now
from bihuan_attribution.rank_store import read_ranks
from bihuan_attribution.terms_store import read_terms
from bihuan_attribution.touch_store import read_touches


def read_books(connection: sa.Connection, events: Sequence[LoggedEvent], limits: TrafficLimits) -> Books:
    """Everything that billing some events may ask for."""
    tokens = {event.ad.token_id for event in events if event.ad is not None}
    pending = _read_pending(connection, tokens)
    orders, parked = _read_orders(connection, events, pending)
    buyers = [*orders.values(), *_buyers(events)]
    clicks = read_touches(connection, buyers, [EventType.CLICK])
    ads = [event.ad for event in events if event.ad is not None]
    ads += [touch.ad for touch in clicks]
    campaigns = {ad.campaign_id for ad in ads}
    campaigns |= {one.commission.campaign_id for one in orders.values() if one.commission.campaign_id}
    ranks, rivals, charged = read_ranks(connection, events, pending, limits)
    ads += [touch.ad for touch in rivals.values()]
    campaigns |= {touch.ad.campaign_id for touch in rivals.values()}
    advertisers = {ad.advertiser_id for ad in ads} | {event.advertiser_id for event in events}
    advertisers |= {advertiser_id for advertiser_id, _ in orders}
    return Books(
        terms=read_terms(connection, campaigns),
        placements=read_placements(connection, {ad.placement_id for ad in ads}),
        ranks=ranks,
        rivals=rivals,
        charged=charged,
        impressions=_read_impressions(connection, tokens),
        pending=pending,
        orders=orders,
        parked=parked,
        clicks=clicks,
        purses=read_purses(connection, advertisers),
        spendings=read_spendings(connection, campaigns),
    )


def _buyers(events: Sequence[LoggedEvent]) -> list[OrderState]:
    """Orders that the batch may open, as far as joining needs them."""
    reports = [(event, event.order or event.action) for event in events]
    return [
        OrderState(report.advertiser_id, "", "", 0, 0, event.person_id, report.click_id, 0)
        for event, report in reports
        if report is not None
    ]


def _read_orders(
    connection: sa.Connection, events: Sequence[LoggedEvent], pending: dict[str, list[LoggedEvent]]
) -> tuple[dict[OrderKey, OrderState], dict[OrderKey, list[LoggedEvent]]]:
    """Orders that the batch reports on or whose click it may bring, and what is parked for them."""
    keys = {(one.order.advertiser_id, one.order.order_id) for one in events if one.order is not None}
    waiting = [event for held in pending.values() for event in held]
    clicks = [one for one in (*events, *waiting) if one.event_type is EventType.CLICK and one.ad is not None]
    not_before_us = min((one.event_time_us for one in clicks), default=0)
    orders = read_orders(
        connection,
        keys,
        {one.ad.token_id for one in clicks if one.ad is not None},
        {one.person_id for one in clicks if one.person_id},
        not_before_us,
    )
    return orders, _read_parked(connection, keys)


def _read_parked(connection: sa.Connection, keys: set[OrderKey]) -> dict[OrderKey, list[LoggedEvent]]:
    table = schema.parked
    positions: list[int] = []
    for chunk in chunks(keys):
        query = sa.select(table.c.position).where(of_keys(table, chunk))
        positions += connection.execute(query).scalars()
    parked: dict[OrderKey, list[LoggedEvent]] = {}
    for event in as_now(connection, read_positions(connection, positions)):
        if event.order is not None:
            parked.setdefault((event.order.advertiser_id, event.order.order_id), []).append(event)
    return parked


def _read_pending(connection: sa.Connection, tokens: set[str]) -> dict[str, list[LoggedEvent]]:
    table = schema.pending
    positions: list[int] = []
    for chunk in chunks(tokens):
        positions += connection.execute(sa.select(table.c.position).where(table.c.token_id.in_(chunk))).scalars()
    pending: dict[str, list[LoggedEvent]] = {}
    for event in as_now(connection, read_positions(connection, positions)):
        if event.ad is not None:
            pending.setdefault(event.ad.token_id, []).append(event)
    return pending


def _read_impressions(connection: sa.Connection, tokens: set[str]) -> dict[str, Impression]:
    """What the tokens began with: their impressions, or the clicks of promoters' links."""
    table = schema.touches
    found: dict[str, Impression] = {}
    begins = sa.case((table.c.promoter_id != "", int(EventType.CLICK)), else_=int(EventType.IMPRESSION))
    for chunk in chunks(tokens):
        query = sa.select(table.c.token_id, table.c.bill_time_us, table.c.invalid)
        for row in connection.execute(query.where(table.c.token_id.in_(chunk), table.c.event_type == begins)):
            found[row.token_id] = Impression(row.bill_time_us, row.invalid)
    return found


def read_spendings(connection: sa.Connection, campaigns: set[str]) -> dict[SpendingKey, Spending]:
    """What campaigns were charged, ever and by budget day."""
    table = schema.budgets
    found: dict[SpendingKey, Spending] = {}
    for chunk in chunks(campaigns):
        for row in connection.execute(sa.select(table).where(table.c.campaign_id.in_(chunk))):
            found[row.campaign_id, row.day] = Spending(charged_nanos=row.charged_nanos)
    return found
