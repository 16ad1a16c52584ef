"""What all tables are made of. Instants are microseconds, money is nanos unless the name says micros."""

import sqlalchemy as sa

metadata = sa.MetaData()
BIG = sa.BigInteger
TEXT = sa.Text


def text(name: str) -> "sa.Column[str]":
    """A text, empty where nothing is said."""
    return sa.Column(name, TEXT, nullable=False, server_default="")


def int_(name: str, default: str | None = "0") -> "sa.Column[int]":
    """A 64-bit number, 0 where nothing is said."""
    return sa.Column(name, BIG, nullable=False, server_default=default)


def ad_columns() -> "list[sa.Column[str] | sa.Column[int]]":
    """What a token says, in the order of `AdFacts`; empty for orders and actions."""
    return [
        text("token_id"),
        text("decision_id"),
        text("campaign_id"),
        text("creative_id"),
        text("placement_id"),
        text("ad_group_id"),
        text("advertiser_id"),
        int_("terms_version"),
        text("pricing_model"),
        int_("price_micros"),
        text("currency"),
        text("reservation_id"),
        text("promoter_id"),
        text("sub_id"),
        text("audience_id"),
    ]
