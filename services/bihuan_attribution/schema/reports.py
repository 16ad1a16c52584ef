"""The figures of reports, sketches of who was reached, and what was learned of channels."""

import sqlalchemy as sa

from bihuan_attribution.schema.columns import BIG, TEXT, int_, metadata

figures = sa.Table(
    "figures",
    metadata,
    *(
        sa.Column(name, TEXT, primary_key=True)
        for name in ("advertiser_id", "campaign_id", "ad_group_id", "creative_id")
    ),
    *(sa.Column(name, TEXT, primary_key=True) for name in ("audience_id", "placement_id", "traffic_source")),
    *(sa.Column(name, TEXT, primary_key=True) for name in ("promoter_id", "pricing_model", "currency")),
    sa.Column("hour_us", BIG, primary_key=True, autoincrement=False),
    sa.Column("book_hour_us", BIG, primary_key=True, autoincrement=False),
    *(int_(name) for name in ("impressions", "viewables", "clicks", "landings", "engagements", "leads")),
    *(int_(name) for name in ("orders", "direct_orders", "invalid_events", "person_impressions")),
    *(int_(name) for name in ("order_value_micros", "spend_nanos", "overrun_nanos")),
    sa.Index("ix_figures_campaign", "campaign_id", "hour_us"),
    comment="Rollups by the hour that they are of and by the hour in which they were booked.",
)
reach_sketches = sa.Table(
    "reach_sketches",
    metadata,
    *(sa.Column(name, TEXT, primary_key=True) for name in ("advertiser_id", "campaign_id", "creative_id")),
    *(sa.Column(name, TEXT, primary_key=True) for name in ("placement_id", "traffic_source", "currency")),
    sa.Column("day_us", BIG, primary_key=True, autoincrement=False),
    sa.Column("sketch", sa.LargeBinary, nullable=False),
    comment="Who was shown counted impressions of a UTC day, as sketches of keyed hashes; they name nobody.",
)
reach_keys = sa.Table(
    "reach_keys",
    metadata,
    sa.Column("name", TEXT, primary_key=True),
    sa.Column("secret", sa.LargeBinary, nullable=False),
    comment="The key of the hashes in sketches; sketches made under two keys cannot be united.",
)
channel_weights = sa.Table(
    "channel_weights",
    metadata,
    sa.Column("advertiser_id", TEXT, primary_key=True),
    sa.Column("model", TEXT, primary_key=True),
    sa.Column("learned_time_us", BIG, primary_key=True, autoincrement=False),
    *(int_(name) for name in ("start_time_us", "path_count", "conversion_count")),
    sa.Column("weights", TEXT, nullable=False),
    comment="What models that learn made of paths since `start_time_us`: JSON, a weight a campaign.",
)
