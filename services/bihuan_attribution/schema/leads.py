"""Leads: prospects of advertisers as they are scored now, and how far scoring is."""

import sqlalchemy as sa

from bihuan_attribution.schema.columns import TEXT, int_, metadata, text

_DUE = "acked_revision < revision"

leads = sa.Table(
    "leads",
    metadata,
    sa.Column("lead_id", TEXT, primary_key=True),
    text("advertiser_id"),
    int_("person_id"),
    text("token_id"),
    int_("revision"),
    int_("acked_revision"),
    int_("points"),
    int_("threshold"),
    sa.Column("route", sa.SmallInteger, nullable=False),
    text("reasons"),
    text("contacts"),
    text("campaign_id"),
    text("creative_id"),
    int_("first_time_us"),
    int_("last_time_us"),
    sa.UniqueConstraint("person_id", "token_id", "advertiser_id", name="uq_leads_prospect"),
    sa.Index("ix_leads_token", "token_id"),
    sa.Index("ix_leads_advertiser", "advertiser_id", "lead_id"),
    sa.Index(
        "ix_leads_due",
        "advertiser_id",
        "route",
        "lead_id",
        sqlite_where=sa.text(_DUE),
        postgresql_where=sa.text(_DUE),
    ),
    comment="One row a prospect: a person, or a click token where no person may be stored. Contacts are references.",
)
lead_progress = sa.Table(
    "lead_progress",
    metadata,
    sa.Column("name", TEXT, primary_key=True),
    int_("number"),
    comment="What leads were brought up to: the last of changes (`persons`) and of operations (`findings`); how often.",
)
