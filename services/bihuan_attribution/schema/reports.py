"""The figures of reports."""

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
