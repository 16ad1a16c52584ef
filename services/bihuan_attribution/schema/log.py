"""The event log, and what is told apart on its way in."""

import sqlalchemy as sa

from bihuan_attribution.schema.columns import TEXT, ad_columns, int_, metadata, text
from bihuan_shared.sql import BigId

heads = sa.Table(
    "heads",
    metadata,
    sa.Column("name", TEXT, primary_key=True),
    int_("position"),
    comment="The last number given out, by sequence. Locked for the transaction, so numbers become visible in order.",
)
events = sa.Table(
    "events",
    metadata,
    sa.Column("position", BigId, primary_key=True, autoincrement=False),
    sa.Column("event_type", sa.SmallInteger, nullable=False),
    sa.Column("event_id", TEXT, nullable=False),
    sa.Column("body_hash", sa.LargeBinary, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    int_("receive_time_us"),
    int_("event_time_us"),
    int_("person_id"),
    *ad_columns(),
    text("order_id"),
    int_("sighting_id"),
    int_("address_hash"),
    int_("traffic_flags"),
    sa.UniqueConstraint("event_id", "event_type", name="uq_events_identity"),
    comment="Persons as they were told. Sightings and hashes are the signed form of their 64 bits.",
)
conflicts = sa.Table(
    "conflicts",
    metadata,
    sa.Column("event_type", sa.SmallInteger, primary_key=True),
    sa.Column("event_id", TEXT, primary_key=True),
    sa.Column("body_hash", sa.LargeBinary, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    int_("receive_time_us"),
)
rejections = sa.Table(
    "rejections",
    metadata,
    sa.Column("reason", TEXT, primary_key=True),
    sa.Column("day", TEXT, primary_key=True),
    int_("count"),
)
consumers = sa.Table(
    "consumers",
    metadata,
    sa.Column("consumer", TEXT, primary_key=True),
    int_("position"),
)
