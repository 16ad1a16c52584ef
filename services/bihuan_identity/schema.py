"""
The tables of identity's own database.

`evidence` and `evidence_members` are what was said; `identifiers`, `persons`, `aliases` and `merges` are what follows
from it. Keys are 16-byte keyed hashes, times microseconds since the epoch, confidences millionths.
"""

import sqlalchemy as sa

SCHEMA = "identity"
METADATA = sa.MetaData()

# One row: whoever changes the graph holds it until the change commits. Ids are taken from it in the same transaction
# that uses them, in one block a transaction, so they are dense, and smaller ids are older across all processes.
ID_BLOCKS = sa.Table(
    "id_blocks",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("next_person_id", sa.BigInteger, nullable=False),
    sa.Column("next_evidence_id", sa.BigInteger, nullable=False),
    sa.Column("next_merge_id", sa.BigInteger, nullable=False),
)

PERSONS = sa.Table(
    "persons",
    METADATA,
    sa.Column("person_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("founder", sa.LargeBinary(16), nullable=False),
    sa.Column("create_time_us", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

IDENTIFIERS = sa.Table(
    "identifiers",
    METADATA,
    sa.Column("key", sa.LargeBinary(16), primary_key=True),
    sa.Column("namespace", sa.String(64), nullable=False),
    sa.Column("person_id", sa.BigInteger, sa.ForeignKey("persons.person_id"), nullable=False),
    sa.Column("confidence_ppm", sa.Integer, nullable=False),
    sa.Column("first_seen_time_us", sa.BigInteger, nullable=False),
    sa.Index("identifiers_by_person", "person_id"),
    sqlite_with_rowid=False,
)

EVIDENCE = sa.Table(
    "evidence",
    METADATA,
    sa.Column("evidence_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("source", sa.String(64), nullable=False),
    sa.Column("confidence_ppm", sa.Integer, nullable=False),
    sa.Column("observe_time_us", sa.BigInteger, nullable=False),
    sa.Column("record_time_us", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# The order of members is kept: it is the order in which the caller named them.
EVIDENCE_MEMBERS = sa.Table(
    "evidence_members",
    METADATA,
    sa.Column("evidence_id", sa.BigInteger, sa.ForeignKey("evidence.evidence_id"), primary_key=True),
    sa.Column("ordinal", sa.SmallInteger, primary_key=True),
    sa.Column("key", sa.LargeBinary(16), sa.ForeignKey("identifiers.key"), nullable=False),
    sa.Index("evidence_members_by_key", "key"),
    sqlite_with_rowid=False,
)

MERGES = sa.Table(
    "merges",
    METADATA,
    sa.Column("merge_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("survivor_id", sa.BigInteger, sa.ForeignKey("persons.person_id"), nullable=False),
    sa.Column("absorbed_id", sa.BigInteger, sa.ForeignKey("persons.person_id"), nullable=False),
    sa.Column("evidence_id", sa.BigInteger, sa.ForeignKey("evidence.evidence_id"), nullable=False),
    sa.Column("merge_time_us", sa.BigInteger, nullable=False),
    sa.Index("merges_by_survivor", "survivor_id"),
    sqlite_with_rowid=False,
)

# Every absorbed person with the one that stands for it now; always one step, however many merges lie between.
ALIASES = sa.Table(
    "aliases",
    METADATA,
    sa.Column("alias_id", sa.BigInteger, sa.ForeignKey("persons.person_id"), primary_key=True, autoincrement=False),
    sa.Column("person_id", sa.BigInteger, sa.ForeignKey("persons.person_id"), nullable=False),
    sa.Index("aliases_by_person", "person_id"),
    sqlite_with_rowid=False,
)

LINK_REQUESTS = sa.Table(
    "link_requests",
    METADATA,
    sa.Column("caller", sa.String(128), primary_key=True),
    sa.Column("request_id", sa.String(128), primary_key=True),
    sa.Column("body_sha256", sa.LargeBinary(32), nullable=False),
    sa.Column("record_time_us", sa.BigInteger, nullable=False),
    sa.Column("person_id", sa.BigInteger, nullable=False),
    sa.Column("evidence_id", sa.BigInteger, nullable=False),
    # Big-endian, 8 bytes each, in ascending order.
    sa.Column("merged_person_ids", sa.LargeBinary, nullable=False),
)
