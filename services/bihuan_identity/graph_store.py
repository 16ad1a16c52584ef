"""The SQL store of the evidence graph: one change a transaction, changes one after the other."""

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import sqlalchemy as sa

from bihuan_identity.domain.graph import Attachment, GraphChange, GraphView, PersonView
from bihuan_identity.graph_queries import SqlGraphView, find_attachments, load_person
from bihuan_identity.schema import (
    ALIASES,
    EVIDENCE,
    EVIDENCE_MEMBERS,
    ID_BLOCKS,
    IDENTIFIERS,
    LINK_REQUESTS,
    MERGES,
    METADATA,
    PERSONS,
    SCHEMA,
)
from bihuan_shared.sql import Database, insert_ignore

T = TypeVar("T")


class SqlGraphStore:
    """The truth about persons, in identity's own database (SQLite or PostgreSQL)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    async def open(cls, url: str) -> "SqlGraphStore":
        """Open the database and create what is missing. Raises Unavailable."""
        database = await Database.open(url, METADATA, schema=SCHEMA)
        start = {"id": 1, "next_person_id": 1, "next_evidence_id": 1, "next_merge_id": 1}
        await database.write(
            lambda connection: connection.execute(insert_ignore(database.dialect, ID_BLOCKS), start).close()
        )
        return cls(database)

    async def find(self, keys: Sequence[bytes]) -> Mapping[bytes, Attachment]:
        """Return where each known key belongs; unknown keys are left out. Raises Unavailable."""
        return await self._database.read(lambda connection: find_attachments(connection, keys))

    async def change(self, plan: Callable[[GraphView], tuple[GraphChange | None, T]]) -> T:
        """Carry out one plan in one transaction that holds the id block, so that changes come one after the other."""

        def run(connection: sa.Connection) -> T:
            change, result = plan(SqlGraphView(connection))
            if change is not None:
                _apply(connection, change)
            return result

        return await self._database.write(run)

    async def person(self, person_id: int) -> PersonView | None:
        """Return the person that stands for this id now, aliases followed. Raises Unavailable."""
        return await self._database.read(lambda connection: load_person(connection, person_id))

    async def absorbed_after(self, merge_id: int, limit: int) -> Sequence[tuple[int, int]]:
        """Return pairs (merge id, absorbed person id) above `merge_id`, ascending. Raises Unavailable."""
        query = (
            sa.select(MERGES.c.merge_id, MERGES.c.absorbed_id)
            .where(MERGES.c.merge_id > merge_id)
            .order_by(MERGES.c.merge_id)
            .limit(limit)
        )
        return await self._database.read(lambda connection: [(row[0], row[1]) for row in connection.execute(query)])

    async def is_alive(self) -> bool:
        """Tell whether the database answers."""
        return await self._database.ping()

    async def close(self) -> None:
        """End the connections."""
        await self._database.close()


def _apply(connection: sa.Connection, change: GraphChange) -> None:
    counters = change.counters
    connection.execute(
        ID_BLOCKS.update(),
        {
            "next_person_id": counters.person_id,
            "next_evidence_id": counters.evidence_id,
            "next_merge_id": counters.merge_id,
        },
    )
    _insert(
        connection, PERSONS, ((person.person_id, person.founder, person.create_time_us) for person in change.persons)
    )
    _insert(
        connection,
        IDENTIFIERS,
        (
            (row.key, row.namespace, row.attachment.person_id, row.attachment.confidence_ppm, row.first_seen_time_us)
            for row in change.identifiers
        ),
    )
    _insert_evidence(connection, change)
    _move(connection, change)
    _merge(connection, change)
    _insert_request(connection, change)


def _insert(connection: sa.Connection, table: sa.Table, rows: Iterable[tuple[object, ...]]) -> None:
    names = [column.name for column in table.columns]
    records = [dict(zip(names, row, strict=True)) for row in rows]
    if records:
        connection.execute(table.insert(), records)


def _insert_evidence(connection: sa.Connection, change: GraphChange) -> None:
    _insert(
        connection,
        EVIDENCE,
        (
            (
                piece.evidence_id,
                piece.kind.value,
                piece.source,
                piece.confidence_ppm,
                piece.observe_time_us,
                piece.record_time_us,
            )
            for piece in change.evidence
        ),
    )
    _insert(
        connection,
        EVIDENCE_MEMBERS,
        ((piece.evidence_id, ordinal, key) for piece in change.evidence for ordinal, key in enumerate(piece.members)),
    )


def _move(connection: sa.Connection, change: GraphChange) -> None:
    if change.moves:
        connection.execute(
            IDENTIFIERS.update().where(IDENTIFIERS.c.key == sa.bindparam("moved_key")),
            [
                {"moved_key": key, "person_id": attachment.person_id, "confidence_ppm": attachment.confidence_ppm}
                for key, attachment in change.moves
            ],
        )


def _merge(connection: sa.Connection, change: GraphChange) -> None:
    _insert(
        connection,
        MERGES,
        (
            (merge.merge_id, merge.survivor_id, merge.absorbed_id, merge.evidence_id, merge.merge_time_us)
            for merge in change.merges
        ),
    )
    for merge in change.merges:
        connection.execute(
            ALIASES.update().where(ALIASES.c.person_id == merge.absorbed_id).values(person_id=merge.survivor_id)
        )
        connection.execute(ALIASES.insert(), {"alias_id": merge.absorbed_id, "person_id": merge.survivor_id})


def _insert_request(connection: sa.Connection, change: GraphChange) -> None:
    if change.request is None:
        return
    request, outcome = change.request, change.request.outcome
    merged = struct.pack(f">{len(outcome.merged_person_ids)}Q", *outcome.merged_person_ids)
    row = (
        request.caller,
        request.request_id,
        request.body_sha256,
        request.record_time_us,
        outcome.person_id,
        outcome.evidence_id,
        merged,
    )
    _insert(connection, LINK_REQUESTS, [row])
