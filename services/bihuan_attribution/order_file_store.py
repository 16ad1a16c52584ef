"""Orders with their touches in SQL, to be explained."""

from dataclasses import dataclass, fields

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.cover_store import read_cover
from bihuan_attribution.domain.order import Belief, OrderState
from bihuan_attribution.domain.order_path import PATH_EVENTS
from bihuan_attribution.event_log_store import read_positions
from bihuan_attribution.order_store import read_orders
from bihuan_attribution.terms_store import read_terms
from bihuan_attribution.touch_store import read_touches
from bihuan_attribution.use_cases.report_ports import OrderFile, Restatement
from bihuan_shared.sql import Database


@dataclass(frozen=True, slots=True)
class SqlOrderFiles:
    """The orders of one database."""

    database: Database

    async def find(self, advertiser_id: str, order_id: str) -> OrderFile | None:
        """The order, or None."""
        return await self.database.read(lambda c: _find(c, advertiser_id, order_id))


def _find(connection: sa.Connection, advertiser_id: str, order_id: str) -> OrderFile | None:
    order = read_orders(connection, [(advertiser_id, order_id)]).get((advertiser_id, order_id))
    if order is None:
        return None
    touches = read_touches(connection, [order], PATH_EVENTS)
    terms = read_terms(connection, {touch.ad.campaign_id for touch in touches})
    opened = read_positions(connection, [order.position])
    body = opened[0].body if opened else b""
    return OrderFile(order, tuple(touches), terms, body, _history(connection, order), read_cover(connection, order))


def _history(connection: sa.Connection, order: OrderState) -> tuple[Restatement, ...]:
    table = schema.order_history
    where = (table.c.advertiser_id == order.advertiser_id) & (table.c.order_id == order.order_id)
    names = [one.name for one in fields(Belief)]
    return tuple(
        Restatement(row.book_time_us, Belief(*(getattr(row, name) for name in names)))
        for row in connection.execute(sa.select(table).where(where).order_by(table.c.position))
    )
