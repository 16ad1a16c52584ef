"""Billing in SQL: writes the effects of a batch and the consumer's position in one transaction."""

from collections.abc import Callable
from dataclasses import asdict, astuple

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.books_store import read_books
from bihuan_attribution.bulk import insert_rows
from bihuan_attribution.domain.billing import Billing
from bihuan_attribution.domain.books import Effects, Spending, SpendingKey
from bihuan_attribution.domain.event import HOUR_US, LoggedEvent
from bihuan_attribution.domain.invalid_traffic import DEFAULT_LIMITS, TrafficLimits
from bihuan_attribution.domain.report import FIGURE_NAMES, is_empty
from bihuan_attribution.domain.touch import Touch
from bihuan_attribution.event_log_store import (
    BILLING_HEAD,
    ad_values,
    chunks,
    consumer_position,
    lock_head,
    move_head,
    read_log,
    set_position,
)
from bihuan_attribution.ledger_store import write_entries
from bihuan_attribution.order_store import write_beliefs, write_orders
from bihuan_attribution.person_store import as_now
from bihuan_attribution.traffic_limits_store import note_limits
from bihuan_shared.clock import Clock
from bihuan_shared.failpoints import failpoint
from bihuan_shared.sql import Database, insert_ignore

BILLING = "billing"


class SqlBilling:
    """
    The billing consumer's store.

    The clock tells when entries are booked. `checkpoint` is called with the name of each step inside the transaction,
    so that tests can break off there; a failpoint where nothing else is given.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        limits: TrafficLimits = DEFAULT_LIMITS,
        checkpoint: Callable[[str], None] = failpoint,
    ) -> None:
        self._database = database
        self._clock = clock
        self._limits = limits
        self._checkpoint = checkpoint

    async def bill(self, limit: int) -> int:
        """
        Bill up to `limit` events after the position of billing, in one transaction.

        The answer is how many there were. Whatever is raised, nothing has happened.
        """
        now_us = self._clock.now_us()
        return await self._database.write(lambda c: self.bill_in(c, limit, now_us))

    def bill_in(self, connection: sa.Connection, limit: int, now_us: int) -> int:
        """As `bill`, in a transaction of the caller, booked at `now_us`."""
        lock_head(connection, BILLING_HEAD)
        position = consumer_position(connection, BILLING)
        events = as_now(connection, read_log(connection, position, limit))
        if not events:
            return 0
        note_limits(connection, self._limits, position)
        billing = Billing(read_books(connection, events, self._limits), self._limits)
        billing.take(events)
        self._checkpoint("folded")
        self._write(connection, billing, events[-1].position, now_us)
        self._checkpoint("written")
        write_spendings(connection, self._database.dialect, billing.books.spendings)
        self._checkpoint("budgets")
        set_position(connection, self._database.dialect, BILLING, events[-1].position)
        move_head(connection, BILLING_HEAD, events[-1].position)
        self._checkpoint("positioned")
        return len(events)

    def _write(self, connection: sa.Connection, billing: Billing, upto: int, now_us: int) -> None:
        dialect, effects = self._database.dialect, billing.effects
        _write_touches(connection, effects)
        _write_ranks(connection, effects)
        _write_parked(connection, effects)
        self._checkpoint("touches")
        write_orders(connection, dialect, effects.orders.values())
        write_beliefs(connection, billing.beliefs(), now_us)
        self._checkpoint("orders")
        purses = list(billing.books.purses.values())
        write_entries(connection, dialect, effects.entries, book_time_us=now_us, purses=purses)
        self._checkpoint("entries")
        if effects.unbilled:
            rows = [asdict(one) | {"noted_position": upto} for one in effects.unbilled]
            connection.execute(insert_ignore(dialect, schema.unbilled), rows)
        add_figures(connection, dialect, effects, now_us)


def _write_touches(connection: sa.Connection, effects: Effects) -> None:
    insert_rows(connection, schema.touches, [_touch_row(touch) for touch in effects.touches])
    if effects.excess:
        table = schema.touches
        where = table.c.position == sa.bindparam("p")
        rows = [{"p": position, "x": reason} for position, reason in effects.excess.items()]
        connection.execute(table.update().where(where).values(excess=sa.bindparam("x")), rows)
    released = set(effects.released)
    waiting = [one for one in effects.now_pending if one.position not in released]
    insert_rows(connection, schema.pending, [_pending_row(event) for event in waiting if event.ad is not None])
    for chunk in chunks(effects.released):
        connection.execute(schema.pending.delete().where(schema.pending.c.position.in_(chunk)))


def _write_ranks(connection: sa.Connection, effects: Effects) -> None:
    """Bring spans to the clicks that are their first ones now."""
    if not effects.ranked:
        return
    table = schema.click_ranks
    where = (table.c.rule == sa.bindparam("r")) & (table.c.span == sa.bindparam("s"))
    connection.execute(table.delete().where(where), [{"r": rule, "s": span} for rule, span in effects.ranked])
    rows = [
        {"rule": rule, "span": span, "token_id": token_id, "time_us": time_us}
        for (rule, span), held in effects.ranked.items()
        for time_us, token_id in held
    ]
    insert_rows(connection, table, rows)


def _write_parked(connection: sa.Connection, effects: Effects) -> None:
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


def write_spendings(connection: sa.Connection, dialect: str, spendings: dict[SpendingKey, Spending]) -> None:
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


def add_figures(connection: sa.Connection, dialect: str, effects: Effects, now_us: int) -> None:
    """Add the figures of a batch to the rollups of the hour in which it is booked."""
    table = schema.figures
    booked = {"book_hour_us": now_us - now_us % HOUR_US}
    rows = [
        asdict(key) | booked | asdict(one)
        for key, one in sorted(effects.figures.items(), key=lambda item: astuple(item[0]))
        if not is_empty(one)
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
        "invalid": touch.invalid,
        "excess": touch.excess,
    }


def _pending_row(event: LoggedEvent) -> dict[str, object]:
    token_id = event.ad.token_id if event.ad is not None else ""
    return {"position": event.position, "token_id": token_id, "receive_time_us": event.receive_time_us}
