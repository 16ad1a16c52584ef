"""The ledger, budgets, periods and invoices."""

import sqlalchemy as sa

from bihuan_attribution.schema.columns import TEXT, int_, metadata, text
from bihuan_shared.sql import BigId

entries = sa.Table(
    "entries",
    metadata,
    sa.Column("entry_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("kind", TEXT, nullable=False),
    sa.Column("cause_type", TEXT, nullable=False),
    sa.Column("cause_id", TEXT, nullable=False),
    text("campaign_id"),
    text("advertiser_id"),
    text("currency"),
    int_("entry_time_us"),
    text("decision_id"),
    int_("corrects_entry_id"),
    int_("book_time_us"),
    text("period"),
    sa.Column("adjustment", sa.SmallInteger, nullable=False, server_default="0"),
    text("order_id"),
    int_("position"),
    sa.Column("entry_hash", sa.LargeBinary, nullable=False),
    text("pricing_model"),
    sa.UniqueConstraint("cause_id", "kind", "cause_type", name="uq_entries_cause"),
    sa.Index("ix_entries_advertiser", "advertiser_id", "entry_id"),
    sa.Index("ix_entries_period", "period", "advertiser_id"),
    sa.Index(
        "ix_entries_order",
        "advertiser_id",
        "order_id",
        sqlite_where=sa.text("order_id <> ''"),
        postgresql_where=sa.text("order_id <> ''"),
    ),
)
postings = sa.Table(
    "postings",
    metadata,
    sa.Column("entry_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("account", TEXT, primary_key=True),
    int_("amount_nanos"),
)
IS_PROMOTER = (postings.c.account >= "promoter:") & (postings.c.account < "promoter;")
"""What the account of a promoter is found by; queries say it as the index does, or the index is not used."""
sa.Index(
    "ix_postings_promoter",
    postings.c.account,
    postings.c.entry_id,
    sqlite_where=IS_PROMOTER,
    postgresql_where=IS_PROMOTER,
)
accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("account", TEXT, primary_key=True),
    sa.Column("currency", TEXT, primary_key=True),
    int_("balance_nanos"),
    int_("limit_nanos", str(2**62)),
    sa.CheckConstraint("balance_nanos <= limit_nanos", name="ck_accounts_limit"),
    comment="Debits raise a balance. A prepaid one never rises above 0, a receivable one not above the credit line.",
)
budgets = sa.Table(
    "budgets",
    metadata,
    sa.Column("campaign_id", TEXT, primary_key=True),
    sa.Column("day", TEXT, primary_key=True),
    int_("budget_nanos"),
    int_("charged_nanos"),
    int_("accrued_nanos"),
    sa.CheckConstraint("charged_nanos <= budget_nanos", name="ck_budgets_charged"),
    comment="The day is empty for the campaign's whole life.",
)
unbilled = sa.Table(
    "unbilled",
    metadata,
    sa.Column("position", BigId, primary_key=True, autoincrement=False),
    sa.Column("reason", TEXT, primary_key=True),
    text("currency"),
    int_("amount_nanos"),
    int_("noted_position"),
    comment="`noted_position` is the last position of the batch that noted it; it only grows, unlike `position`.",
)
traffic_limits = sa.Table(
    "traffic_limits",
    metadata,
    sa.Column("seq", BigId, primary_key=True, autoincrement=False),
    int_("position"),
    text("content"),
    comment="The limits of invalid traffic, JSON, that hold for what is billed above a position.",
)
periods = sa.Table(
    "periods",
    metadata,
    sa.Column("period", TEXT, primary_key=True),
    int_("close_time_us"),
    int_("last_entry_id"),
    sa.Column("head_hash", sa.LargeBinary, nullable=False),
    comment="Closed accounting periods, `YYYY-MM` in UTC.",
)
invoices = sa.Table(
    "invoices",
    metadata,
    sa.Column("advertiser_id", TEXT, primary_key=True),
    sa.Column("period", TEXT, primary_key=True),
    text("currency"),
    int_("total_nanos"),
    int_("prepaid_nanos"),
    int_("issue_time_us"),
    int_("rounding_entry_id"),
)
invoice_lines = sa.Table(
    "invoice_lines",
    metadata,
    sa.Column("advertiser_id", TEXT, primary_key=True),
    sa.Column("period", TEXT, primary_key=True),
    sa.Column("campaign_id", TEXT, primary_key=True),
    sa.Column("pricing_model", TEXT, primary_key=True),
    sa.Column("adjustment", sa.SmallInteger, primary_key=True),
    int_("amount_nanos"),
    int_("rounded_nanos"),
    int_("entry_count"),
)
operations = sa.Table(
    "operations",
    metadata,
    sa.Column("seq", BigId, primary_key=True, autoincrement=False),
    sa.Column("kind", TEXT, nullable=False),
    sa.Column("operation_id", TEXT, nullable=False),
    int_("time_us"),
    text("body"),
    sa.UniqueConstraint("operation_id", "kind", name="uq_operations_identity"),
    comment="Everything that moves money and is no event: deposits, payouts, findings, booked days, invoices; JSON.",
)
