"""Orders in SQL: one row an order, one an item."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import fields

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.bulk import insert_rows
from bihuan_attribution.domain.event import EventType
from bihuan_attribution.domain.order import Belief, CommissionState, ItemState, OrderKey, OrderState, ReportCredit
from bihuan_attribution.event_log_store import chunks
from bihuan_shared.sql import upsert

_PLAIN = tuple(one.name for one in fields(OrderState) if one.name not in ("items", "commission", "credit", "outcome"))
_COMMISSION = tuple(one.name for one in fields(CommissionState))
_CREDIT = tuple(one.name for one in fields(ReportCredit))
_KEY = ("advertiser_id", "order_id")
_NO_CREDIT = ReportCredit("", "", "", "", "", "", "", "", "", 0, 0)


def read_orders(
    connection: sa.Connection,
    keys: Iterable[OrderKey],
    click_ids: Iterable[str] = (),
    person_ids: Iterable[int] = (),
    not_before_us: int = 0,
) -> dict[OrderKey, OrderState]:
    """Orders by key, and those that name one of the clicks or persons and were placed at `not_before_us` or later."""
    table = schema.orders
    found: dict[OrderKey, OrderState] = {}
    conditions = [of_keys(table, chunk) for chunk in chunks(keys)]
    later = table.c.order_time_us >= not_before_us
    conditions += [table.c.click_id.in_(chunk) & later for chunk in chunks(click_ids)]
    conditions += [table.c.person_id.in_(chunk) & later for chunk in chunks(person_ids)]
    for condition in conditions:
        for row in connection.execute(sa.select(table).where(condition)):
            order = order_from(row)
            found[order.key] = order
    read_items(connection, found)
    return found


def of_keys(table: sa.Table, keys: Iterable[OrderKey]) -> "sa.ColumnElement[bool]":
    """
    The rows of a table about some orders, by the index that begins with the advertiser.

    By the id alone, and by pairs, SQLite reads the whole table.
    """
    by_advertiser: dict[str, list[str]] = defaultdict(list)
    for advertiser_id, order_id in keys:
        by_advertiser[advertiser_id].append(order_id)
    return sa.or_(
        *((table.c.advertiser_id == owner) & table.c.order_id.in_(held) for owner, held in by_advertiser.items())
    )


def write_orders(connection: sa.Connection, dialect: str, orders: Iterable[OrderState]) -> None:
    """Write orders as they now stand."""
    held = list(orders)
    if not held:
        return
    names = [column.name for column in schema.orders.columns if column.name not in _KEY]
    connection.execute(upsert(dialect, schema.orders, key=_KEY, update=names), [_order_row(one) for one in held])
    items = [
        {
            "advertiser_id": order.advertiser_id,
            "order_id": order.order_id,
            "item_id": item.item_id,
            "quantity": item.quantity,
            "paid_micros": item.paid_micros,
            "refunded_micros": item.refunded_micros,
            "rate_ppm": item.rate_ppm,
            "shop_id": item.shop_id,
            "tags": json.dumps(item.tags),
        }
        for order in held
        for item in order.items.values()
    ]
    changing = ["quantity", "paid_micros", "refunded_micros", "rate_ppm", "shop_id", "tags"]
    if items:
        connection.execute(upsert(dialect, schema.order_items, key=(*_KEY, "item_id"), update=changing), items)


def write_beliefs(
    connection: sa.Connection, beliefs: Iterable[tuple[OrderKey, int, Belief]], book_time_us: int
) -> None:
    """Add what is believed of orders from now on, each since the event at a position."""
    rows = [
        {
            "advertiser_id": key[0],
            "order_id": key[1],
            "position": position,
            "book_time_us": book_time_us,
            "credited_campaign_id": belief.credited_campaign_id,
            "order_value_micros": belief.order_value_micros,
            "billed_campaign_id": belief.billed_campaign_id,
            "commission_nanos": belief.commission_nanos,
        }
        for key, position, belief in beliefs
    ]
    insert_rows(connection, schema.order_history, rows)


def read_items(connection: sa.Connection, orders: dict[OrderKey, OrderState]) -> None:
    """Put the items of orders into them."""
    table = schema.order_items
    for chunk in chunks(orders):
        for row in connection.execute(sa.select(table).where(of_keys(table, chunk)).order_by(table.c.item_id)):
            order = orders.get((row.advertiser_id, row.order_id))
            if order is not None:
                order.items[row.item_id] = ItemState(
                    row.item_id,
                    row.quantity,
                    row.paid_micros,
                    row.refunded_micros,
                    row.rate_ppm,
                    row.shop_id,
                    tuple(json.loads(row.tags or "[]")),
                )


def order_from(row: "sa.Row[tuple[object, ...]]") -> OrderState:
    """An order from a row of its table, without its items."""
    values = row._mapping  # noqa: SLF001  # its public name
    credit = ReportCredit(**{name: values[f"credit_{name}"] for name in _CREDIT})
    return OrderState(
        **{name: values[name] for name in _PLAIN},
        commission=CommissionState(**{name: values[f"commission_{name}"] for name in _COMMISSION}),
        credit=None if credit == _NO_CREDIT else credit,
        outcome=EventType(row.outcome),
    )


def _order_row(order: OrderState) -> dict[str, object]:
    row: dict[str, object] = {name: getattr(order, name) for name in _PLAIN}
    row["outcome"] = int(order.outcome)
    row |= {f"commission_{name}": getattr(order.commission, name) for name in _COMMISSION}
    credit = order.credit or _NO_CREDIT
    return row | {f"credit_{name}": getattr(credit, name) for name in _CREDIT}
