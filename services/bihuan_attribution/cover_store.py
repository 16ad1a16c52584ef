"""How far the payouts to a promoter have come, in SQL."""

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.domain.ledger import promoter_account
from bihuan_attribution.domain.order import OrderState
from bihuan_attribution.domain.payout import PAYOUT, Cover

_COMMISSIONS = ("commission_payable", "reversal")


def read_cover(connection: sa.Connection, order: OrderState) -> Cover:
    """How far the payouts to an order's promoter have come, as `domain.payout.commission_state` asks."""
    if not order.commission.payable or not order.commission.promoter_id:
        return Cover()
    return _cover(connection, order)


def _cover(connection: sa.Connection, order: OrderState) -> Cover:
    entries, postings = schema.entries, schema.postings
    account = promoter_account(order.commission.promoter_id)
    posted = (
        sa.select(entries.c.entry_id, entries.c.kind, entries.c.advertiser_id, entries.c.order_id)
        .add_columns(postings.c.amount_nanos)
        .join(entries, entries.c.entry_id == postings.c.entry_id)
        .where(postings.c.account == account, schema.IS_PROMOTER, entries.c.currency == order.currency)
        .cte("posted")
    )
    became = (
        sa.select(posted.c.advertiser_id, posted.c.order_id, sa.func.min(posted.c.entry_id).label("entry_id"))
        .where(posted.c.kind == "commission_payable")
        .group_by(posted.c.advertiser_id, posted.c.order_id)
        .cte("became")
    )
    is_this = (became.c.advertiser_id == order.advertiser_id) & (became.c.order_id == order.order_id)
    own = sa.select(became.c.entry_id).where(is_this).scalar_subquery()
    of_order = (posted.c.advertiser_id == became.c.advertiser_id) & (posted.c.order_id == became.c.order_id)
    due = (
        sa.select(sa.func.sum(posted.c.amount_nanos))
        .join(became, of_order)
        .where(became.c.entry_id <= own, posted.c.kind.in_(_COMMISSIONS))
    )
    paid = sa.select(sa.func.sum(posted.c.amount_nanos)).where(posted.c.kind == PAYOUT)
    due_nanos = connection.execute(due).scalar() or 0
    return Cover(due_nanos=-int(due_nanos), paid_nanos=int(connection.execute(paid).scalar() or 0))
