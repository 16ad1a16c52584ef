"""Tables of attribution. Instants are microseconds, money is nanos unless the name says micros."""

import sqlalchemy as sa

from bihuan_shared.sql import BigId

metadata = sa.MetaData()
_B = sa.BigInteger
_T = sa.Text


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, _T, nullable=False, server_default="")


def _int(name: str, default: str | None = "0") -> "sa.Column[int]":
    return sa.Column(name, _B, nullable=False, server_default=default)


def _ad_columns() -> "list[sa.Column[str] | sa.Column[int]]":
    """What a token says; empty for orders."""
    return [
        _text("token_id"),
        _text("decision_id"),
        _text("campaign_id"),
        _text("creative_id"),
        _text("placement_id"),
        _text("ad_group_id"),
        _text("advertiser_id"),
        _int("terms_version"),
        _text("pricing_model"),
        _int("price_micros"),
        _text("currency"),
        _text("reservation_id"),
    ]


heads = sa.Table(
    "heads",
    metadata,
    sa.Column("name", _T, primary_key=True),
    _int("position"),
    comment="The last number given out, by sequence. Locked for the transaction, so numbers become visible in order.",
)
events = sa.Table(
    "events",
    metadata,
    sa.Column("position", BigId, primary_key=True, autoincrement=False),
    sa.Column("event_type", sa.SmallInteger, nullable=False),
    sa.Column("event_id", _T, nullable=False),
    sa.Column("body_hash", sa.LargeBinary, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    _int("receive_time_us"),
    _int("event_time_us"),
    _int("person_id"),
    *_ad_columns(),
    _text("order_id"),
    _int("sighting_id"),
    sa.UniqueConstraint("event_id", "event_type", name="uq_events_identity"),
    comment="Persons as they were told. A sighting is the signed form of its 64 bits.",
)
conflicts = sa.Table(
    "conflicts",
    metadata,
    sa.Column("event_type", sa.SmallInteger, primary_key=True),
    sa.Column("event_id", _T, primary_key=True),
    sa.Column("body_hash", sa.LargeBinary, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    _int("receive_time_us"),
)
rejections = sa.Table(
    "rejections",
    metadata,
    sa.Column("reason", _T, primary_key=True),
    sa.Column("day", _T, primary_key=True),
    _int("count"),
)
terms = sa.Table(
    "terms",
    metadata,
    sa.Column("campaign_id", _T, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("seq", _B, nullable=False, unique=True),
    _text("advertiser_id"),
    _int("effective_time_us"),
    _text("currency"),
    _text("time_zone"),
    _text("pricing_model"),
    _int("bid_micros"),
    _int("commission_rate_ppm"),
    _int("promoter_share_ppm"),
    sa.Column("bills_viewable", sa.Boolean, nullable=False),
    _int("daily_micros"),
    _int("total_micros"),
    _int("click_window_us"),
    _int("view_window_us"),
    _text("caps"),
    sa.Column("stopped", sa.Boolean, nullable=False),
    sa.Index("ix_terms_advertiser", "advertiser_id"),
)
touches = sa.Table(
    "touches",
    metadata,
    sa.Column("position", BigId, primary_key=True, autoincrement=False),
    sa.Column("event_type", sa.SmallInteger, nullable=False),
    _int("touch_time_us"),
    _int("bill_time_us"),
    _int("person_id"),
    *_ad_columns(),
    sa.Index("ix_touches_token", "token_id"),
    sa.Index(
        "ix_touches_person",
        "person_id",
        "touch_time_us",
        sqlite_where=sa.text("person_id > 0"),
        postgresql_where=sa.text("person_id > 0"),
    ),
)
pending = sa.Table(
    "pending",
    metadata,
    sa.Column("position", BigId, primary_key=True, autoincrement=False),
    sa.Column("token_id", _T, nullable=False, index=True),
    _int("receive_time_us"),
)
orders = sa.Table(
    "orders",
    metadata,
    sa.Column("advertiser_id", _T, primary_key=True),
    sa.Column("order_id", _T, primary_key=True),
    _text("currency"),
    _int("order_time_us"),
    sa.Column("channel", sa.SmallInteger, nullable=False),
    _int("person_id"),
    _text("click_id"),
    _text("last_click_id"),
    _text("last_cps_click_id"),
    _int("position"),
    sa.Column("paid", sa.Boolean, nullable=False),
    sa.Column("completed", sa.Boolean, nullable=False),
    sa.Column("cancelled", sa.Boolean, nullable=False),
    *(_text(name) for name in ("commission_campaign_id", "commission_creative_id", "commission_placement_id")),
    *(_text(name) for name in ("commission_token_id", "commission_decision_id")),
    *(_int(name) for name in ("commission_rate_ppm", "commission_promoter_share_ppm", "commission_gross_nanos")),
    *(_int(name) for name in ("commission_reversed_nanos", "commission_promoter_nanos")),
    sa.Column("commission_payable", sa.Boolean, nullable=False),
    _text("commission_estimate_cause"),
    *(_text(name) for name in ("credit_campaign_id", "credit_creative_id", "credit_placement_id")),
    _text("credit_pricing_model"),
    _int("credit_orders"),
    _int("credit_value_micros"),
    sa.Index("ix_orders_click", "click_id"),
    sa.Index("ix_orders_person", "person_id", "order_time_us"),
    sa.CheckConstraint("commission_reversed_nanos <= commission_gross_nanos", name="ck_orders_reversals"),
)
order_items = sa.Table(
    "order_items",
    metadata,
    sa.Column("advertiser_id", _T, primary_key=True),
    sa.Column("order_id", _T, primary_key=True),
    sa.Column("item_id", _T, primary_key=True),
    _int("quantity"),
    _int("paid_micros"),
    _int("refunded_micros"),
    sa.CheckConstraint("refunded_micros <= paid_micros", name="ck_order_items_refunds"),
)
parked = sa.Table(
    "parked",
    metadata,
    sa.Column("position", BigId, primary_key=True, autoincrement=False),
    sa.Column("advertiser_id", _T, nullable=False),
    sa.Column("order_id", _T, nullable=False),
    sa.Index("ix_parked_order", "advertiser_id", "order_id"),
)
entries = sa.Table(
    "entries",
    metadata,
    sa.Column("entry_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("kind", _T, nullable=False),
    sa.Column("cause_type", _T, nullable=False),
    sa.Column("cause_id", _T, nullable=False),
    _text("campaign_id"),
    _text("advertiser_id"),
    _text("currency"),
    _int("entry_time_us"),
    _text("decision_id"),
    _int("corrects_entry_id"),
    sa.UniqueConstraint("cause_id", "kind", "cause_type", name="uq_entries_cause"),
    sa.Index("ix_entries_advertiser", "advertiser_id", "entry_id"),
)
postings = sa.Table(
    "postings",
    metadata,
    sa.Column("entry_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("account", _T, primary_key=True),
    _int("amount_nanos"),
)
accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("account", _T, primary_key=True),
    sa.Column("currency", _T, primary_key=True),
    _int("balance_nanos"),
)
budgets = sa.Table(
    "budgets",
    metadata,
    sa.Column("campaign_id", _T, primary_key=True),
    sa.Column("day", _T, primary_key=True),
    _int("budget_nanos"),
    _int("charged_nanos"),
    _int("accrued_nanos"),
    sa.CheckConstraint("charged_nanos <= budget_nanos", name="ck_budgets_charged"),
    comment="The day is empty for the campaign's whole life.",
)
unbilled = sa.Table(
    "unbilled",
    metadata,
    sa.Column("position", BigId, primary_key=True, autoincrement=False),
    sa.Column("reason", _T, primary_key=True),
    _text("currency"),
    _int("amount_nanos"),
)
figures = sa.Table(
    "figures",
    metadata,
    *(sa.Column(name, _T, primary_key=True) for name in ("advertiser_id", "campaign_id", "creative_id")),
    *(sa.Column(name, _T, primary_key=True) for name in ("placement_id", "pricing_model", "currency")),
    sa.Column("hour_us", _B, primary_key=True, autoincrement=False),
    *(_int(name) for name in ("impressions", "viewables", "clicks", "landings", "orders")),
    *(_int(name) for name in ("order_value_micros", "spend_nanos", "overrun_nanos")),
)
followed_changes = sa.Table(
    "followed_changes",
    metadata,
    sa.Column("change_id", BigId, primary_key=True, autoincrement=False),
    _int("position"),
    _text("content"),
    comment="Every change of who is who that was followed, and the position of billing at which it was.",
)
person_aliases = sa.Table(
    "person_aliases",
    metadata,
    sa.Column("person_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("survivor_id", _B, nullable=False),
    comment="Persons that live on under another id; the survivor is 0 where the person was erased.",
)
moved_sightings = sa.Table(
    "moved_sightings",
    metadata,
    sa.Column("sighting_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("person_id", _B, nullable=False),
    comment="Whose a sighting was after the last split that named it.",
)
recounts = sa.Table(
    "recounts",
    metadata,
    sa.Column("advertiser_id", _T, primary_key=True),
    sa.Column("person_id", BigId, primary_key=True, autoincrement=False),
    _int("lost"),
    comment="Whose impressions are to be counted anew in the cache; `lost` is 1 where some went to another person.",
)
consumers = sa.Table(
    "consumers",
    metadata,
    sa.Column("consumer", _T, primary_key=True),
    _int("position"),
)
