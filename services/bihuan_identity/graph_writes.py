"""What the SQL store writes: one change of the graph, whole."""

from collections.abc import Iterable, Sequence
from functools import cache

import sqlalchemy as sa

from bihuan_identity.domain.graph import GraphChange
from bihuan_identity.graph_queries import pages
from bihuan_identity.rows import Names, write_change, write_node, write_piece
from bihuan_identity.schema import (
    ALIASES,
    CHANGED_PERSONS,
    CHANGES,
    ERASED_PERSONS,
    ERASURES,
    EVIDENCE,
    ID_BLOCKS,
    IDENTIFIERS,
    PERSONS,
    QUARANTINED_TIES,
    REQUESTS,
    REVOKED_NAMESPACES,
    TOMBSTONES,
)
from bihuan_shared.sql import insert_ignore, upsert


def apply_change(connection: sa.Connection, change: GraphChange, names: Names) -> None:
    """Write a change; what it puts in place of something replaces it whole."""
    counters = change.counters
    connection.execute(
        ID_BLOCKS.update(),
        {
            "next_person_id": counters.person_id,
            "next_evidence_id": counters.evidence_id,
            "next_change_id": counters.change_id,
        },
    )
    _remove(connection, IDENTIFIERS.c.key, change.gone_nodes)
    _remove(connection, EVIDENCE.c.evidence_id, change.gone_pieces)
    _remove(connection, ALIASES.c.alias_id, change.gone_aliases)
    _put(
        connection, PERSONS, ((row.person_id, row.create_time_s, row.anchor, row.generation) for row in change.persons)
    )
    _put(connection, IDENTIFIERS, (write_node(node, names) for node in change.nodes))
    _put(connection, EVIDENCE, (write_piece(piece, names) for piece in change.pieces))
    _put(connection, ALIASES, ((alias.alias_id, alias.person_id, alias.anchor) for alias in change.aliases))
    for key, evidence_id in change.gone_ties:
        tie = sa.and_(QUARANTINED_TIES.c.key == key, QUARANTINED_TIES.c.evidence_id == evidence_id)
        connection.execute(QUARANTINED_TIES.delete().where(tie))
    _put(connection, QUARANTINED_TIES, change.ties)
    _write_log(connection, change)
    _erase(connection, change)


def _write_log(connection: sa.Connection, change: GraphChange) -> None:
    _put(connection, CHANGES, (write_change(one) for one in change.changes))
    concerned = {
        (person_id, one.change_id)
        for one in change.changes
        for person_id in (*one.before, *(part.person_id for part in one.parts))
    }
    _put(connection, CHANGED_PERSONS, sorted(concerned))
    _put(connection, REVOKED_NAMESPACES, change.revocations)
    _put(
        connection,
        REQUESTS,
        (
            (one.caller, one.request_id, one.operation.value, one.body_sha256, one.time_s, one.outcome)
            for one in change.requests
        ),
    )


def _erase(connection: sa.Connection, change: GraphChange) -> None:
    for old, new in change.tombstones_carried:
        erasure_id = connection.execute(sa.select(TOMBSTONES.c.erasure_id).where(TOMBSTONES.c.key == old)).scalar_one()
        _put(connection, TOMBSTONES, [(new, -abs(erasure_id))])
    for erasure in change.erasures:
        row = (erasure.erasure_id, erasure.time_s, len(erasure.keys))
        _put(connection, ERASURES, [row])
        _put(connection, ERASED_PERSONS, ((person_id, erasure.erasure_id) for person_id in erasure.person_ids))
        _put(connection, TOMBSTONES, ((key, erasure.erasure_id) for key in erasure.keys))


def _remove(connection: sa.Connection, column: sa.Column[object], values: Sequence[bytes] | Sequence[int]) -> None:
    for page in pages(values):  # type: ignore[type-var]  # one kind of value or the other, never both
        connection.execute(column.table.delete().where(column.in_(page)))


def _put(connection: sa.Connection, table: sa.Table, rows: Iterable[tuple[object, ...]]) -> None:
    names = [column.name for column in table.columns]
    records = [dict(zip(names, row, strict=True)) for row in rows]
    if records:
        connection.execute(_upsert(connection.dialect.name, table), records)


@cache
def _upsert(dialect: str, table: sa.Table) -> sa.Insert:
    """Build the statement once a table: that takes longer than to carry it out for one row."""
    others = [column.name for column in table.columns if not column.primary_key]
    if others:
        return upsert(dialect, table, key=[column.name for column in table.primary_key], update=others)
    return insert_ignore(dialect, table)
