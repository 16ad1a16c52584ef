"""Who is who, as far as it was followed."""

import sqlalchemy as sa

from bihuan_attribution.schema.columns import BIG, TEXT, int_, metadata, text
from bihuan_shared.sql import BigId

followed_changes = sa.Table(
    "followed_changes",
    metadata,
    sa.Column("change_id", BigId, primary_key=True, autoincrement=False),
    int_("position"),
    text("content"),
    comment="Every change of who is who that was followed, and the position of billing at which it was.",
)
person_aliases = sa.Table(
    "person_aliases",
    metadata,
    sa.Column("person_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("survivor_id", BIG, nullable=False),
    comment="Persons that live on under another id; the survivor is 0 where the person was erased.",
)
moved_sightings = sa.Table(
    "moved_sightings",
    metadata,
    sa.Column("sighting_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("person_id", BIG, nullable=False),
    comment="Whose a sighting was after the last split that named it.",
)
recounts = sa.Table(
    "recounts",
    metadata,
    sa.Column("advertiser_id", TEXT, primary_key=True),
    sa.Column("person_id", BigId, primary_key=True, autoincrement=False),
    int_("lost"),
    comment="Whose impressions are to be counted anew in the cache; `lost` is 1 where some went to another person.",
)
