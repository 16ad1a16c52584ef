"""Orders with their touches in SQL, in pages, and the weights that were learned from them."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.domain.channel_learning import Learned
from bihuan_attribution.domain.credit.credit_model import CreditModel
from bihuan_attribution.domain.credit.path_touch import PathTouch
from bihuan_attribution.domain.event import DAY_US, EventType
from bihuan_attribution.domain.order import OrderKey, OrderState
from bihuan_attribution.domain.order_path import PATH_EVENTS, order_path
from bihuan_attribution.domain.terms import MAX_CLICK_WINDOW_US
from bihuan_attribution.domain.touch import Touch
from bihuan_attribution.event_log_store import chunks
from bihuan_attribution.order_store import order_from, read_items
from bihuan_attribution.terms_store import read_terms
from bihuan_attribution.touch_store import touch_from
from bihuan_attribution.use_cases.order_paths import Mark, PathPage, TouchPage
from bihuan_shared.sql import Database, upsert

ORDERS_A_PAGE: Final = 500
TOUCHES_A_PAGE: Final = 20_000
MAX_TOUCHES: Final = 50_000
"""Of so many buyers as share a statement the latest touches are read, and no more."""
_BUYERS_AT_ONCE: Final = 100
_KEEP_US: Final = 400 * DAY_US
_touches = schema.touches
_OF_TYPE: Final = _touches.c.event_type.in_([int(one) for one in PATH_EVENTS]) & (_touches.c.invalid == "")
_TYPES: Final = {int(one): one for one in PATH_EVENTS}


@dataclass(frozen=True, slots=True)
class SqlOrderPaths:
    """The paths of one database."""

    database: Database

    async def page(self, advertiser_id: str, start_us: int, end_us: int, mark: Mark | None) -> PathPage:
        """A page of the paid orders that were placed in `[start_us, end_us)`, the latest first."""
        return await self.database.read(lambda c: _page(c, advertiser_id, (start_us, end_us), mark))

    async def touches(self, advertiser_id: str, start_us: int, mark: tuple[int, int] | None) -> TouchPage:
        """A page of touches of known persons at `start_us` or later, the latest first."""
        return await self.database.read(lambda c: _touch_page(c, advertiser_id, start_us, mark))

    async def learned(self, advertiser_id: str, now_us: int) -> Learned | None:
        """What was learned last, at `now_us` or before."""
        return await self.database.read(lambda c: _learned(c, advertiser_id, now_us))

    async def keep(self, learned: Learned) -> None:
        """Store what was learned, and forget what is older than 400 days."""
        await self.database.write(lambda c: _keep(c, self.database.dialect, learned))


def _page(connection: sa.Connection, advertiser_id: str, span: tuple[int, int], mark: Mark | None) -> PathPage:
    table = schema.orders
    rank = sa.tuple_(table.c.order_time_us, table.c.order_id)
    query = sa.select(table).where(
        table.c.advertiser_id == advertiser_id, table.c.order_time_us >= span[0], table.c.order_time_us < span[1],
        table.c.outcome == int(EventType.ORDER), table.c.paid, ~table.c.cancelled,
    )  # fmt: skip
    if mark is not None:
        query = query.where(table.c.order_time_us <= mark[0], rank < sa.tuple_(*map(sa.literal, mark)))
    query = query.order_by(table.c.order_time_us.desc(), table.c.order_id.desc()).limit(ORDERS_A_PAGE)
    orders = {one.key: one for one in map(order_from, connection.execute(query))}
    read_items(connection, orders)
    touches = _touches_of(connection, list(orders.values()))
    terms = read_terms(connection, {touch.ad.campaign_id for held in touches.values() for touch in held})
    paths = [order_path(order, touches[key], terms) for key, order in orders.items()]
    last = paths[-1].order if len(paths) == ORDERS_A_PAGE else None
    return PathPage(paths, (last.order_time_us, last.order_id) if last is not None else None)


def _touches_of(connection: sa.Connection, orders: Sequence[OrderState]) -> dict[OrderKey, list[Touch]]:
    """What may join each order: touches of its person inside the longest window, those of its click, what it met."""
    found: dict[int, Touch] = {}
    for some in chunks((one for one in orders if one.person_id), _BUYERS_AT_ONCE):
        # Not by advertiser: SQLite would then read all that the advertiser had in this time.
        times = [one.order_time_us for one in some]
        query = sa.select(_touches).where(
            _touches.c.person_id.in_({one.person_id for one in some}), _touches.c.person_id > 0,
            _touches.c.touch_time_us > min(times) - MAX_CLICK_WINDOW_US, _touches.c.touch_time_us <= max(times),
            _OF_TYPE,
        ).order_by(_touches.c.touch_time_us.desc(), _touches.c.position.desc()).limit(MAX_TOUCHES)  # fmt: skip
        found |= {row.position: touch_from(row) for row in connection.execute(query)}
    tokens = {token for one in orders for token in (one.click_id, one.last_click_id) if token}
    for chunk in chunks(sorted(tokens)):
        query = sa.select(_touches).where(_touches.c.token_id.in_(chunk), _OF_TYPE)
        found |= {row.position: touch_from(row) for row in connection.execute(query)}
    return _joined(found.values(), orders)


def _joined(touches: Iterable[Touch], orders: Sequence[OrderState]) -> dict[OrderKey, list[Touch]]:
    of_token: dict[str, list[Touch]] = defaultdict(list)
    of_person: dict[int, list[Touch]] = defaultdict(list)
    for touch in touches:
        of_token[touch.ad.token_id].append(touch)
        of_person[touch.person_id].append(touch)
    joined: dict[OrderKey, list[Touch]] = {}
    for order in orders:
        held = {
            one.position: one for token in (order.click_id, order.last_click_id) if token for one in of_token[token]
        }
        if order.person_id:
            held |= {one.position: one for one in of_person[order.person_id]}
        joined[order.key] = list(held.values())
    return joined


def _touch_page(
    connection: sa.Connection, advertiser_id: str, start_us: int, mark: tuple[int, int] | None
) -> TouchPage:
    rank = sa.tuple_(_touches.c.touch_time_us, _touches.c.position)
    query = sa.select(
        _touches.c.person_id, _touches.c.touch_time_us, _touches.c.position, _touches.c.token_id,
        _touches.c.event_type, _touches.c.campaign_id,
    ).where(
        _touches.c.advertiser_id == advertiser_id, _touches.c.touch_time_us >= start_us, _touches.c.person_id > 0,
        _OF_TYPE,
    )  # fmt: skip
    if mark is not None:
        query = query.where(_touches.c.touch_time_us <= mark[0], rank < sa.tuple_(*map(sa.literal, mark)))
    query = query.order_by(_touches.c.touch_time_us.desc(), _touches.c.position.desc()).limit(TOUCHES_A_PAGE)
    rows = connection.execute(query).all()
    touches = [
        (person_id, PathTouch(at_us, token_id, _TYPES[kind], campaign_id, campaign_id))
        for person_id, at_us, _, token_id, kind, campaign_id in rows
    ]
    last = (rows[-1].touch_time_us, rows[-1].position) if len(rows) == TOUCHES_A_PAGE else None
    return TouchPage(touches, last)


def _learned(connection: sa.Connection, advertiser_id: str, now_us: int) -> Learned | None:
    table = schema.channel_weights
    of_advertiser = (table.c.advertiser_id == advertiser_id) & (table.c.learned_time_us <= now_us)
    latest = sa.select(sa.func.max(table.c.learned_time_us)).where(of_advertiser).scalar_subquery()
    rows = connection.execute(sa.select(table).where(of_advertiser, table.c.learned_time_us == latest)).all()
    if not rows:
        return None
    first = rows[0]
    weights = {CreditModel(row.model): json.loads(row.weights) for row in rows if row.model}
    return Learned(
        advertiser_id, first.learned_time_us, first.start_time_us, first.path_count, first.conversion_count, weights
    )


def _keep(connection: sa.Connection, dialect: str, learned: Learned) -> None:
    table = schema.channel_weights
    # Where nothing was bought there are no weights, and that was learned too: under no model's name.
    weights = {str(model): dict(held) for model, held in learned.weights.items()} or {"": {}}
    rows = [
        {
            "advertiser_id": learned.advertiser_id,
            "model": model,
            "learned_time_us": learned.learned_time_us,
            "start_time_us": learned.start_time_us,
            "path_count": learned.path_count,
            "conversion_count": learned.conversion_count,
            "weights": json.dumps(held, sort_keys=True),
        }
        for model, held in weights.items()
    ]
    old = table.c.learned_time_us < learned.learned_time_us - _KEEP_US
    connection.execute(table.delete().where(table.c.advertiser_id == learned.advertiser_id, old))
    key = ["advertiser_id", "model", "learned_time_us"]
    update = ["start_time_us", "path_count", "conversion_count", "weights"]
    connection.execute(upsert(dialect, table, key=key, update=update), rows)
