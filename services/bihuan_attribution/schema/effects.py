"""Touches, what follows them, and what waits for something."""

import sqlalchemy as sa

from bihuan_attribution.schema.columns import TEXT, ad_columns, int_, metadata, text
from bihuan_shared.sql import BigId

touches = sa.Table(
    "touches",
    metadata,
    sa.Column("position", BigId, primary_key=True, autoincrement=False),
    sa.Column("event_type", sa.SmallInteger, nullable=False),
    int_("touch_time_us"),
    int_("bill_time_us"),
    int_("person_id"),
    *ad_columns(),
    text("invalid"),
    text("excess"),
    sa.Index("ix_touches_token", "token_id"),
    sa.Index(
        "ix_touches_person",
        "person_id",
        "touch_time_us",
        sqlite_where=sa.text("person_id > 0"),
        postgresql_where=sa.text("person_id > 0"),
    ),
    comment="`invalid` says why a touch is no touch, `excess` why a click is free; both are empty for most.",
)
pending = sa.Table(
    "pending",
    metadata,
    sa.Column("position", BigId, primary_key=True, autoincrement=False),
    sa.Column("token_id", TEXT, nullable=False, index=True),
    int_("receive_time_us"),
)
click_ranks = sa.Table(
    "click_ranks",
    metadata,
    sa.Column("rule", TEXT, primary_key=True),
    sa.Column("span", TEXT, primary_key=True),
    sa.Column("token_id", TEXT, primary_key=True),
    int_("time_us"),
    comment="The first clicks of a span, as many as the rule lets be billed: who and when they are of is in the span.",
)
orders = sa.Table(
    "orders",
    metadata,
    sa.Column("advertiser_id", TEXT, primary_key=True),
    sa.Column("order_id", TEXT, primary_key=True),
    text("currency"),
    int_("order_time_us"),
    sa.Column("channel", sa.SmallInteger, nullable=False),
    sa.Column("outcome", sa.SmallInteger, nullable=False, server_default="7"),
    int_("person_id"),
    text("click_id"),
    text("last_click_id"),
    text("last_cps_click_id"),
    int_("position"),
    sa.Column("paid", sa.Boolean, nullable=False),
    sa.Column("completed", sa.Boolean, nullable=False),
    sa.Column("cancelled", sa.Boolean, nullable=False),
    *(text(name) for name in ("commission_campaign_id", "commission_creative_id", "commission_placement_id")),
    *(text(name) for name in ("commission_token_id", "commission_decision_id")),
    *(int_(name) for name in ("commission_rate_ppm", "commission_promoter_share_ppm", "commission_gross_nanos")),
    *(int_(name) for name in ("commission_reversed_nanos", "commission_promoter_nanos")),
    sa.Column("commission_payable", sa.Boolean, nullable=False),
    text("commission_estimate_cause"),
    *(text(name) for name in ("commission_promoter_id", "commission_sub_id", "commission_ad_group_id")),
    *(text(name) for name in ("commission_audience_id", "commission_traffic_source")),
    *(text(name) for name in ("credit_campaign_id", "credit_creative_id", "credit_placement_id")),
    *(text(name) for name in ("credit_pricing_model", "credit_ad_group_id", "credit_audience_id")),
    *(text(name) for name in ("credit_promoter_id", "credit_traffic_source", "credit_relation")),
    int_("credit_orders"),
    int_("credit_value_micros"),
    sa.Index("ix_orders_click", "click_id"),
    sa.Index("ix_orders_person", "person_id", "order_time_us"),
    sa.CheckConstraint("commission_reversed_nanos <= commission_gross_nanos", name="ck_orders_reversals"),
    comment="What follows touches: orders, and under marked ids engagements and leads (`outcome` is the event type).",
)
order_items = sa.Table(
    "order_items",
    metadata,
    sa.Column("advertiser_id", TEXT, primary_key=True),
    sa.Column("order_id", TEXT, primary_key=True),
    sa.Column("item_id", TEXT, primary_key=True),
    int_("quantity"),
    int_("paid_micros"),
    int_("refunded_micros"),
    int_("rate_ppm"),
    text("shop_id"),
    text("tags"),
    sa.CheckConstraint("refunded_micros <= paid_micros", name="ck_order_items_refunds"),
)
parked = sa.Table(
    "parked",
    metadata,
    sa.Column("position", BigId, primary_key=True, autoincrement=False),
    sa.Column("advertiser_id", TEXT, nullable=False),
    sa.Column("order_id", TEXT, nullable=False),
    sa.Index("ix_parked_order", "advertiser_id", "order_id"),
)
order_history = sa.Table(
    "order_history",
    metadata,
    sa.Column("advertiser_id", TEXT, primary_key=True),
    sa.Column("order_id", TEXT, primary_key=True),
    sa.Column("position", BigId, primary_key=True, autoincrement=False),
    int_("book_time_us"),
    text("credited_campaign_id"),
    int_("order_value_micros"),
    text("billed_campaign_id"),
    int_("commission_nanos"),
    comment="What was believed of an order after each batch that changed it; rows are only ever added.",
)
