"""Billing in SQL: reads what a batch touches; writes its effects and the consumer's position in one transaction."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, astuple

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.bulk import insert_rows
from bihuan_attribution.domain.billing import Billing
from bihuan_attribution.domain.books import Books, Effects, Spending, SpendingKey
from bihuan_attribution.domain.event import DAY_US, EventType, LoggedEvent
from bihuan_attribution.domain.order import OrderKey, OrderState
from bihuan_attribution.domain.report import FIGURE_NAMES
from bihuan_attribution.domain.touch import Touch
from bihuan_attribution.event_log_store import (
    BILLING_HEAD,
    ad_facts_of,
    ad_values,
    chunks,
    consumer_position,
    lock_head,
    move_head,
    read_log,
    read_positions,
    set_position,
)
from bihuan_attribution.ledger_store import read_purses, write_entries
from bihuan_attribution.order_store import read_orders, write_orders
from bihuan_attribution.person_store import as_now
from bihuan_attribution.terms_store import read_terms
from bihuan_shared.sql import Database, insert_ignore

BILLING = "billing"
_SKEW_US = DAY_US


def touch_from(row: "sa.Row[tuple[object, ...]]") -> Touch:
    """A touch from a row of its table."""
    return Touch(
        position=row.position,
        event_type=EventType(row.event_type),
        touch_time_us=row.touch_time_us,
        bill_time_us=row.bill_time_us,
        person_id=row.person_id,
        ad=ad_facts_of(row),
    )


def read_touches(
    connection: sa.Connection, orders: Iterable[OrderState], event_types: Sequence[EventType]
) -> list[Touch]:
    """Touches that name the click or the person of one of the orders, and the clicks that the orders met."""
    held = list(orders)
    table = schema.touches
    of_type = table.c.event_type.in_([int(one) for one in event_types])
    click_ids = {one.click_id for one in held} | {one.last_click_id for one in held}
    click_ids |= {one.last_cps_click_id for one in held} | {one.commission.token_id for one in held}
    click_ids.discard("")
    conditions: list[sa.ColumnElement[bool]] = [table.c.token_id.in_(chunk) for chunk in chunks(click_ids)]
    persons = {one.person_id for one in held if one.person_id}
    conditions += [table.c.person_id.in_(chunk) & (table.c.person_id > 0) for chunk in chunks(persons)]
    found: dict[int, Touch] = {}
    for condition in conditions:
        for row in connection.execute(sa.select(table).where(condition, of_type)):
            found[row.position] = touch_from(row)
    return list(found.values())


class SqlBilling:
    """
    The billing consumer's store.

    `checkpoint` is called with the name of each step inside the transaction, so that tests can break off there.
    """

    def __init__(self, database: Database, checkpoint: Callable[[str], None] = lambda _: None) -> None:
        self._database = database
        self._checkpoint = checkpoint

    async def bill(self, limit: int) -> int:
        """
        Bill up to `limit` events after the position of billing, in one transaction.

        The answer is how many there were. Whatever is raised, nothing has happened.
        """
        return await self._database.write(lambda c: self._bill(c, limit))

    def _bill(self, connection: sa.Connection, limit: int) -> int:
        lock_head(connection, BILLING_HEAD)
        events = as_now(connection, read_log(connection, consumer_position(connection, BILLING), limit))
        if not events:
            return 0
        billing = Billing(_read_books(connection, events))
        billing.take(events)
        self._checkpoint("folded")
        self._write(connection, billing.effects)
        self._checkpoint("written")
        _write_spendings(connection, self._database.dialect, billing.books.spendings)
        self._checkpoint("budgets")
        set_position(connection, self._database.dialect, BILLING, events[-1].position)
        move_head(connection, BILLING_HEAD, events[-1].position)
        self._checkpoint("positioned")
        return len(events)

    def _write(self, connection: sa.Connection, effects: Effects) -> None:
        dialect = self._database.dialect
        insert_rows(connection, schema.touches, [_touch_row(touch) for touch in effects.touches])
        released = set(effects.released)
        waiting = [one for one in effects.now_pending if one.position not in released]
        insert_rows(connection, schema.pending, [_pending_row(event) for event in waiting if event.ad is not None])
        for chunk in chunks(effects.released):
            connection.execute(schema.pending.delete().where(schema.pending.c.position.in_(chunk)))
        self._write_parked(connection, effects)
        self._checkpoint("touches")
        write_orders(connection, dialect, effects.orders.values())
        self._checkpoint("orders")
        write_entries(connection, dialect, effects.entries)
        self._checkpoint("entries")
        if effects.unbilled:
            rows = [asdict(one) for one in effects.unbilled]
            connection.execute(insert_ignore(dialect, schema.unbilled), rows)
        _add_figures(connection, dialect, effects)

    def _write_parked(self, connection: sa.Connection, effects: Effects) -> None:
        table = schema.parked
        unparked = set(effects.unparked)
        rows = [
            {"position": position, "advertiser_id": key[0], "order_id": key[1]}
            for key, position in effects.now_parked
            if key not in unparked
        ]
        insert_rows(connection, table, rows)
        for advertiser_id, order_id in effects.unparked:
            where = (table.c.advertiser_id == advertiser_id) & (table.c.order_id == order_id)
            connection.execute(table.delete().where(where))


def _read_books(connection: sa.Connection, events: Sequence[LoggedEvent]) -> Books:
    tokens = {event.ad.token_id for event in events if event.ad is not None}
    pending = _read_pending(connection, tokens)
    orders, parked = _read_orders(connection, events, pending)
    reported = [event.order for event in events if event.order is not None]
    buyers = [*orders.values(), *_buyers(events)]
    clicks = read_touches(connection, buyers, [EventType.CLICK])
    ads = [event.ad for event in events if event.ad is not None]
    ads += [touch.ad for touch in clicks]
    campaigns = {ad.campaign_id for ad in ads}
    campaigns |= {one.commission.campaign_id for one in orders.values() if one.commission.campaign_id}
    advertisers = {ad.advertiser_id for ad in ads} | {report.advertiser_id for report in reported}
    advertisers |= {advertiser_id for advertiser_id, _ in orders}
    return Books(
        terms=read_terms(connection, campaigns),
        impressions=_read_impressions(connection, tokens),
        pending=pending,
        orders=orders,
        parked=parked,
        clicks=clicks,
        purses=read_purses(connection, advertisers),
        spendings=_read_spendings(connection, campaigns),
    )


def _buyers(events: Sequence[LoggedEvent]) -> list[OrderState]:
    """Orders that the batch may open, as far as joining needs them."""
    return [
        OrderState(event.order.advertiser_id, event.order.order_id, "", 0, 0, event.person_id, event.order.click_id, 0)
        for event in events
        if event.order is not None
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
    for chunk in chunks({key[1] for key in keys}):
        query = sa.select(table.c.position).where(table.c.order_id.in_(chunk))
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


def _read_impressions(connection: sa.Connection, tokens: set[str]) -> dict[str, int]:
    table = schema.touches
    found: dict[str, int] = {}
    is_impression = table.c.event_type == int(EventType.IMPRESSION)
    for chunk in chunks(tokens):
        query = sa.select(table.c.token_id, table.c.bill_time_us).where(table.c.token_id.in_(chunk), is_impression)
        found |= {row.token_id: row.bill_time_us for row in connection.execute(query)}
    return found


def _read_spendings(connection: sa.Connection, campaigns: set[str]) -> dict[SpendingKey, Spending]:
    table = schema.budgets
    found: dict[SpendingKey, Spending] = {}
    for chunk in chunks(campaigns):
        for row in connection.execute(sa.select(table).where(table.c.campaign_id.in_(chunk))):
            found[row.campaign_id, row.day] = Spending(charged_nanos=row.charged_nanos)
    return found


def _write_spendings(connection: sa.Connection, dialect: str, spendings: dict[SpendingKey, Spending]) -> None:
    """
    Bring the limits up to date, then add what was charged; the constraint of the table refuses what is beyond.

    A limit below what is charged already stays at that, so that a lowered budget breaks nothing.
    """
    table = schema.budgets
    touched = sorted((key, one) for key, one in spendings.items() if one.charged_added_nanos or one.accrued_added_nanos)
    if not touched:
        return
    where = (table.c.campaign_id == sa.bindparam("c")) & (table.c.day == sa.bindparam("d"))
    names = [{"campaign_id": key[0], "day": key[1]} for key, _ in touched]
    connection.execute(insert_ignore(dialect, table), names)
    charged = table.c.charged_nanos
    limit = sa.bindparam("l", type_=sa.BigInteger)
    limits = table.update().where(where).values(budget_nanos=sa.case((charged > limit, charged), else_=limit))
    connection.execute(limits, [{"c": key[0], "d": key[1], "l": one.limit_nanos} for key, one in touched])
    add = table.update().where(where)
    add = add.values(charged_nanos=charged + sa.bindparam("x"), accrued_nanos=table.c.accrued_nanos + sa.bindparam("y"))
    amounts = [
        {"c": key[0], "d": key[1], "x": one.charged_added_nanos, "y": one.accrued_added_nanos} for key, one in touched
    ]
    connection.execute(add, amounts)


def _add_figures(connection: sa.Connection, dialect: str, effects: Effects) -> None:
    table = schema.figures
    rows = [
        asdict(key) | asdict(one) for key, one in sorted(effects.figures.items(), key=lambda item: astuple(item[0]))
    ]
    if not rows:
        return
    keys = [column.name for column in table.primary_key.columns]
    connection.execute(insert_ignore(dialect, table), [{name: row[name] for name in keys} for row in rows])
    where = sa.and_(*(table.c[name] == sa.bindparam(f"k_{name}") for name in keys))
    add = table.update().where(where).values({name: table.c[name] + sa.bindparam(f"v_{name}") for name in FIGURE_NAMES})
    bound = [
        {f"k_{name}": row[name] for name in keys} | {f"v_{name}": row[name] for name in FIGURE_NAMES} for row in rows
    ]
    connection.execute(add, bound)


def _touch_row(touch: Touch) -> dict[str, object]:
    return ad_values(touch.ad) | {
        "position": touch.position,
        "event_type": int(touch.event_type),
        "touch_time_us": touch.touch_time_us,
        "bill_time_us": touch.bill_time_us,
        "person_id": touch.person_id,
    }


def _pending_row(event: LoggedEvent) -> dict[str, object]:
    token_id = event.ad.token_id if event.ad is not None else ""
    return {"position": event.position, "token_id": token_id, "receive_time_us": event.receive_time_us}
