"""
The tables of identity's own database.

`evidence` is what was said; `identifiers`, `persons`, `aliases` and `quarantined_ties` are what follows from it and are
written in the same transaction; `changes` is the log of who became whom, and the outbox that is published from. Keys
are 16-byte keyed hashes, times seconds since the epoch, doubts millionths that confidence lacks to certainty. Zeros and
NULLs take no room in SQLite, and the rows are laid out for that: there are as many as identifiers.
"""

import sqlalchemy as sa

from bihuan_shared.sql import BigId

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
    sa.Column("next_change_id", sa.BigInteger, nullable=False),
    # The newest pepper epoch that wrote here; a process that knows only older ones may not serve.
    sa.Column("pepper_epoch", sa.SmallInteger, nullable=False, server_default="0"),
)

# Names of namespaces and of sources of evidence (`d:login`: deterministic, source `login`), each once.
NAMES = sa.Table(
    "names",
    METADATA,
    sa.Column("code", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("name", sa.String(200), nullable=False, unique=True),
)

# `anchor` is the ordinal of the evidence that the id rests on.
PERSONS = sa.Table(
    "persons",
    METADATA,
    sa.Column("person_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("create_time_s", sa.BigInteger, nullable=False),
    sa.Column("anchor", sa.BigInteger, nullable=False),
    sa.Column("generation", sa.SmallInteger, nullable=False),
    sa.Index(
        "persons_shaken",
        "person_id",
        "generation",
        sqlite_where=sa.text("generation > 0"),
        postgresql_where=sa.text("generation > 0"),
    ),
)

IDENTIFIERS = sa.Table(
    "identifiers",
    METADATA,
    sa.Column("key", sa.LargeBinary(16), primary_key=True),
    sa.Column("namespace", sa.Integer, nullable=False),
    sa.Column("person_id", sa.BigInteger, nullable=False),
    sa.Column("doubt_ppm", sa.Integer, nullable=False),
    sa.Column("first_seen_s", sa.BigInteger, nullable=False),
    sa.Column("epoch", sa.SmallInteger, nullable=False),
    # Where it was first seen alone: its place among the evidence.
    sa.Column("ordinal", sa.BigInteger),
    sa.Column("quarantine_time_s", sa.BigInteger),
    # Not to be found through the evidence of its person, so this table's index has to.
    sa.Column("loose", sa.SmallInteger, nullable=False),
    # Eight bytes for every pepper that it was known under before.
    sa.Column("former_sightings", sa.LargeBinary),
    sa.Index(
        "identifiers_loose",
        "person_id",
        sqlite_where=sa.text("loose = 1"),
        postgresql_where=sa.text("loose = 1"),
    ),
    sa.Index(
        "identifiers_quarantined",
        "key",
        sqlite_where=sa.text("quarantine_time_s IS NOT NULL"),
        postgresql_where=sa.text("quarantine_time_s IS NOT NULL"),
    ),
    sqlite_with_rowid=False,
)

# `members` holds the keys one after the other, in the order in which the caller named them.
EVIDENCE = sa.Table(
    "evidence",
    METADATA,
    sa.Column("evidence_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("person_id", sa.BigInteger, nullable=False),
    sa.Column("source", sa.Integer, nullable=False),
    sa.Column("doubt_ppm", sa.Integer, nullable=False),
    sa.Column("first_seen_s", sa.BigInteger, nullable=False),
    # Seconds from the first to the last time it was seen.
    sa.Column("span_s", sa.BigInteger, nullable=False),
    sa.Column("members", sa.LargeBinary, nullable=False),
    sa.Index("evidence_by_person", "person_id"),
)

# Evidence of a quarantined identifier is spread over many persons; this finds it.
QUARANTINED_TIES = sa.Table(
    "quarantined_ties",
    METADATA,
    sa.Column("key", sa.LargeBinary(16), primary_key=True),
    sa.Column("evidence_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

# Every absorbed person with the one that stands for it now; always one step, however many merges lie between.
ALIASES = sa.Table(
    "aliases",
    METADATA,
    sa.Column("alias_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("person_id", sa.BigInteger, nullable=False),
    sa.Column("anchor", sa.BigInteger, nullable=False),
    sa.Index("aliases_by_person", "person_id"),
)

# Numbers of 8 bytes each. `before_ids`: person ids. `parts`: for each, its person id, how many sightings, and those.
# `generations`: pairs of person id and generation.
CHANGES = sa.Table(
    "changes",
    METADATA,
    sa.Column("change_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("time_s", sa.BigInteger, nullable=False),
    sa.Column("evidence_id", sa.BigInteger, nullable=False),
    sa.Column("before_ids", sa.LargeBinary, nullable=False),
    sa.Column("parts", sa.LargeBinary, nullable=False),
    sa.Column("generations", sa.LargeBinary, nullable=False),
)

CHANGED_PERSONS = sa.Table(
    "changed_persons",
    METADATA,
    sa.Column("person_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("change_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

ERASED_PERSONS = sa.Table(
    "erased_persons",
    METADATA,
    sa.Column("person_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("erasure_id", sa.BigInteger, nullable=False),
)

ERASURES = sa.Table(
    "erasures",
    METADATA,
    sa.Column("erasure_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("time_s", sa.BigInteger, nullable=False),
    sa.Column("identifier_count", sa.BigInteger, nullable=False),
)

# A tombstone that was carried over to a newer pepper has the negative of the erasure's id: the receipt names the first.
TOMBSTONES = sa.Table(
    "tombstones",
    METADATA,
    sa.Column("key", sa.LargeBinary(16), primary_key=True),
    sa.Column("erasure_id", sa.BigInteger, nullable=False),
    sa.Index("tombstones_by_erasure", "erasure_id"),
    sqlite_with_rowid=False,
)

# `next_key`: identifiers up to it are forgotten; NULL when all are.
REVOKED_NAMESPACES = sa.Table(
    "revoked_namespaces",
    METADATA,
    sa.Column("namespace", sa.String(64), primary_key=True),
    sa.Column("next_key", sa.LargeBinary(16)),
)

# `outcome` is what was answered, numbers of 8 bytes each.
REQUESTS = sa.Table(
    "requests",
    METADATA,
    sa.Column("caller", sa.String(128), primary_key=True),
    sa.Column("request_id", sa.String(128), primary_key=True),
    sa.Column("operation", sa.String(8), nullable=False),
    sa.Column("body_sha256", sa.LargeBinary(32), nullable=False),
    sa.Column("time_s", sa.BigInteger, nullable=False),
    sa.Column("outcome", sa.LargeBinary, nullable=False),
    sa.Index("requests_by_time", "time_s"),
    sqlite_with_rowid=False,
)
