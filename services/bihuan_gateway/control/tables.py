"""The tables of both planes. Resources keep their spec as JSON text; what is searched by stands in columns."""

from collections.abc import Mapping
from types import MappingProxyType

import sqlalchemy as sa

from bihuan_gateway.control.resources import PARENT_FIELDS, TERMED
from bihuan_gateway.control.specs import Kind

SCHEMA = "gateway"
METADATA = sa.MetaData()


def _table_name(kind: Kind) -> str:
    return kind.value.replace("-", "_")


def _resource_table(kind: Kind) -> sa.Table:
    parent = PARENT_FIELDS.get(kind)
    parent_columns = (
        [sa.Column("parent_id", sa.String(64), sa.ForeignKey(f"{_table_name(parent[1])}.id"), nullable=False)]
        if parent
        else []
    )
    # With a default, so that tables of before advertisers and placements had terms get the column.
    acked_columns = (
        [sa.Column("terms_acked_version", sa.Integer, nullable=False, server_default="0")] if kind in TERMED else []
    )
    return sa.Table(
        _table_name(kind),
        METADATA,
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("advertiser_id", sa.String(64), nullable=False),
        *parent_columns,
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False, index=True),
        sa.Column("create_time_us", sa.BigInteger, nullable=False),
        sa.Column("update_time_us", sa.BigInteger, nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        *acked_columns,
        sa.Index(f"ix_{_table_name(kind)}_tenant", "advertiser_id", "id"),
        *([sa.Index(f"ix_{_table_name(kind)}_parent", "parent_id", "id")] if parent else []),
    )


RESOURCES: Mapping[Kind, sa.Table] = MappingProxyType({kind: _resource_table(kind) for kind in Kind})
"""One table a kind; `revision` is the version of the serving snapshot that the last write made."""

SNAPSHOT_VERSION = sa.Table(
    "snapshot_version",
    METADATA,
    sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True, autoincrement=False),
    sa.Column("version", sa.BigInteger, nullable=False),
)
"""One row; every write raises it first, so that writes take turns and revisions commit in order."""

RECEIPTS = sa.Table(
    "receipts",
    METADATA,
    sa.Column("caller", sa.String(64), primary_key=True),
    sa.Column("idempotency_key", sa.String(128), primary_key=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("resource_id", sa.String(64), nullable=False),
    sa.Column("create_time_us", sa.BigInteger, nullable=False),
    sa.Column("spec", sa.Text, nullable=False),
)
"""What each idempotency key made, as it was made."""

OUTBOX = sa.Table(
    "outbox",
    METADATA,
    sa.Column("kind", sa.String(32), primary_key=True),
    sa.Column("resource_id", sa.String(64), primary_key=True),
    sa.Column("terms_version", sa.Integer, nullable=False),
    sa.Column("terms", sa.Text, nullable=False),
)
"""The newest terms of each advertiser, placement and campaign that attribution has not acknowledged."""

CAMPAIGN_OUTBOX = sa.Table(
    "terms_outbox",
    METADATA,
    sa.Column("campaign_id", sa.String(64), sa.ForeignKey("campaigns.id"), primary_key=True),
    sa.Column("terms_version", sa.Integer, nullable=False),
    sa.Column("terms", sa.Text, nullable=False),
)
"""Where terms waited while only campaigns had any; what it still holds is moved when a gateway starts."""

PROMOTER_LINKS = sa.Table(
    "promoter_links",
    METADATA,
    sa.Column("link_id", sa.String(64), primary_key=True),
    sa.Column("promoter_id", sa.String(64), sa.ForeignKey("promoters.id"), nullable=False, index=True),
    sa.Column("campaign_id", sa.String(64), sa.ForeignKey("campaigns.id"), nullable=False),
    sa.Column("creative_id", sa.String(64), nullable=False),
    sa.Column("sub_id", sa.String(80), nullable=False),
    sa.Column("sealed", sa.Text, nullable=False),
    sa.Column("create_time_us", sa.BigInteger, nullable=False),
    sa.Column("expire_time_us", sa.BigInteger, nullable=False),
)
"""Links of promoters, as they were sealed."""

API_KEYS = sa.Table(
    "api_keys",
    METADATA,
    sa.Column("key_id", sa.String(64), primary_key=True),
    sa.Column("secret_sha256", sa.String(64), nullable=False, unique=True),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("advertiser_id", sa.String(64), sa.ForeignKey("advertisers.id"), nullable=True),
    sa.Column("display_name", sa.String(256), nullable=False),
    sa.Column("create_time_us", sa.BigInteger, nullable=False),
)
"""Keys of the API, by the hash of their secret."""

LEASES = sa.Table(
    "leases",
    METADATA,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("holder", sa.String(64), nullable=False),
    sa.Column("until_us", sa.BigInteger, nullable=False),
)
"""What only one of several gateways does at a time, and which one until when."""

DECISIONS = sa.Table(
    "decisions",
    METADATA,
    sa.Column("scope", sa.String(64), primary_key=True),
    sa.Column("request_id", sa.String(128), primary_key=True),
    sa.Column("content_sha256", sa.LargeBinary, nullable=False),
    sa.Column("answer", sa.LargeBinary, nullable=False),
    sa.Column("create_time_us", sa.BigInteger, nullable=False, index=True),
)
"""One row a completed decision; `scope` is the caller whose request ids these are, the time is the decision's."""
