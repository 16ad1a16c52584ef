"""What attribution was told to bill by."""

import sqlalchemy as sa

from bihuan_attribution.schema.columns import BIG, TEXT, int_, metadata, text

terms = sa.Table(
    "terms",
    metadata,
    sa.Column("campaign_id", TEXT, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("seq", BIG, nullable=False, unique=True),
    text("advertiser_id"),
    int_("effective_time_us"),
    text("currency"),
    text("time_zone"),
    text("pricing_model"),
    int_("bid_micros"),
    int_("commission_rate_ppm"),
    int_("promoter_share_ppm"),
    sa.Column("bills_viewable", sa.Boolean, nullable=False),
    int_("daily_micros"),
    int_("total_micros"),
    int_("click_window_us"),
    int_("view_window_us"),
    text("caps"),
    sa.Column("stopped", sa.Boolean, nullable=False),
    text("commission_rates"),
    text("shop_id"),
    text("item_ids"),
    sa.Index("ix_terms_advertiser", "advertiser_id"),
)
advertiser_terms = sa.Table(
    "advertiser_terms",
    metadata,
    sa.Column("advertiser_id", TEXT, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("seq", BIG, nullable=False, unique=True),
    int_("effective_time_us"),
    text("currency"),
    text("time_zone"),
    int_("credit_limit_micros"),
    text("leads"),
)
placement_terms = sa.Table(
    "placement_terms",
    metadata,
    sa.Column("placement_id", TEXT, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("seq", BIG, nullable=False, unique=True),
    int_("effective_time_us"),
    text("publisher_id"),
    int_("revenue_share_ppm"),
    text("traffic_source"),
)
bookings = sa.Table(
    "bookings",
    metadata,
    sa.Column("booking_id", TEXT, primary_key=True),
    sa.Column("seq", BIG, nullable=False, unique=True),
    *(text(name) for name in ("campaign_id", "advertiser_id", "placement_id", "keyword")),
    *(text(name) for name in ("start_date", "end_date")),
    int_("day_rate_micros"),
    text("currency"),
    text("time_zone"),
    int_("create_time_us"),
    int_("cancel_time_us"),
    comment="Sealed bids for days; `cancel_time_us` is 0 while a bid stands.",
)
booking_days = sa.Table(
    "booking_days",
    metadata,
    sa.Column("date", TEXT, primary_key=True),
    sa.Column("booking_id", TEXT, primary_key=True),
    *(text(name) for name in ("campaign_id", "advertiser_id", "placement_id", "keyword")),
    int_("start_time_us"),
    int_("end_time_us"),
    int_("day_rate_micros"),
    text("currency"),
    sa.Column("state", sa.SmallInteger, nullable=False),
    sa.Index("ix_booking_days_due", "state", "start_time_us"),
    comment="What became of each date of each booking once its bids had closed; the numbers are those of the wire.",
)
