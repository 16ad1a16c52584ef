"""What the SQL store reads: the graph as a plan sees it."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, TypeVar

import sqlalchemy as sa

from bihuan_identity.domain.graph import (
    CERTAIN_PPM,
    Alias,
    Attachment,
    Counters,
    Node,
    Operation,
    PersonRow,
    Piece,
    RequestRecord,
)
from bihuan_identity.rows import Names, read_node, read_piece
from bihuan_identity.schema import (
    ALIASES,
    EVIDENCE,
    ID_BLOCKS,
    IDENTIFIERS,
    PERSONS,
    QUARANTINED_TIES,
    REQUESTS,
    REVOKED_NAMESPACES,
    TOMBSTONES,
)

# Below the bound of parameters in one statement (SQLite 32,766; PostgreSQL 65,535); a full batch of 1,000 fits.
_MAX_PARAMETERS: Final = 32_000

V = TypeVar("V", bytes, int)


def pages(values: Sequence[V]) -> Iterator[Sequence[V]]:
    """Cut values into pages that fit into one statement."""
    for start in range(0, len(values), _MAX_PARAMETERS):
        yield values[start : start + _MAX_PARAMETERS]


def find_attachments(connection: sa.Connection, keys: Sequence[bytes]) -> dict[bytes, Attachment]:
    """Return where each known key belongs; one query for up to 32,000 keys."""
    found: dict[bytes, Attachment] = {}
    for page in pages(keys):
        query = (
            sa.select(IDENTIFIERS.c.key, IDENTIFIERS.c.person_id, IDENTIFIERS.c.doubt_ppm, PERSONS.c.generation)
            .join(PERSONS, PERSONS.c.person_id == IDENTIFIERS.c.person_id)
            .where(IDENTIFIERS.c.key.in_(page))
        )
        for key, person_id, doubt_ppm, generation in connection.execute(query):
            found[bytes(key)] = Attachment(person_id, CERTAIN_PPM - doubt_ppm, generation)
    return found


class SqlGraphView:
    """
    The graph inside of one transaction.

    `claim` takes the row of the id block, so two changes never overlap, on PostgreSQL between processes too; SQLite
    has one writer anyway. What is read afterwards is therefore what will still hold at the commit.
    """

    def __init__(self, connection: sa.Connection, names: Names) -> None:
        self._connection = connection
        self.names = names
        self._counters = Counters()

    @classmethod
    def claim(cls, connection: sa.Connection, names: Names) -> "SqlGraphView":
        """Take the graph for changing it."""
        if connection.dialect.name == "postgresql":
            # Before the first SELECT, hence before the snapshot: whoever waited sees what it waited for, and no
            # serialization failure makes it start again. Readers are not held up.
            connection.execute(sa.text(f"LOCK TABLE {ID_BLOCKS.name} IN EXCLUSIVE MODE"))
        view = cls(connection, names)
        row = connection.execute(sa.select(ID_BLOCKS)).one()
        view._counters = Counters(row.next_person_id, row.next_evidence_id, row.next_change_id)
        return view

    def counters(self) -> Counters:
        """Return the next free ids."""
        return self._counters

    def nodes(self, keys: Sequence[bytes]) -> Mapping[bytes, Node]:
        """Return each known node."""
        found = (
            read_node(row, self.names)
            for page in pages(keys)
            for row in self._connection.execute(sa.select(IDENTIFIERS).where(IDENTIFIERS.c.key.in_(page)))
        )
        return {node.key: node for node in found}

    def loose_nodes(self, person_ids: Sequence[int]) -> Sequence[Node]:
        """Return the loose nodes of these persons."""
        return [
            read_node(row, self.names)
            for page in pages(person_ids)
            for row in self._connection.execute(
                # Written out, not bound: only so do both engines see that the partial index serves.
                sa.select(IDENTIFIERS).where(sa.text("loose = 1"), IDENTIFIERS.c.person_id.in_(page))
            )
        ]

    def pieces_of(self, person_ids: Sequence[int]) -> Sequence[Piece]:
        """Return every piece of evidence kept with these persons."""
        found = [
            read_piece(row, self.names)
            for page in pages(person_ids)
            for row in self._connection.execute(sa.select(EVIDENCE).where(EVIDENCE.c.person_id.in_(page)))
        ]
        return sorted(found, key=lambda piece: piece.evidence_id)

    def pieces_tied(self, key: bytes, limit: int) -> Sequence[Piece]:
        """Return up to `limit` pieces that name this quarantined key."""
        query = (
            sa.select(EVIDENCE)
            .join(QUARANTINED_TIES, QUARANTINED_TIES.c.evidence_id == EVIDENCE.c.evidence_id)
            .where(QUARANTINED_TIES.c.key == key)
            .order_by(EVIDENCE.c.evidence_id)
            .limit(limit)
        )
        return [read_piece(row, self.names) for row in self._connection.execute(query)]

    def tie_count(self, key: bytes, limit: int) -> int:
        """Return how many pieces name this quarantined key."""
        ties = sa.select(QUARANTINED_TIES.c.evidence_id).where(QUARANTINED_TIES.c.key == key).limit(limit).subquery()
        return self._connection.execute(sa.select(sa.func.count()).select_from(ties)).scalar_one()

    def piece(self, evidence_id: int) -> Piece | None:
        """Return one piece."""
        query = sa.select(EVIDENCE).where(EVIDENCE.c.evidence_id == evidence_id)
        row = self._connection.execute(query).one_or_none()
        return None if row is None else read_piece(row, self.names)

    def pieces_after(self, evidence_id: int, limit: int) -> Sequence[Piece]:
        """Return the next pieces above an evidence id."""
        query = (
            sa.select(EVIDENCE)
            .where(EVIDENCE.c.evidence_id > evidence_id)
            .order_by(EVIDENCE.c.evidence_id)
            .limit(limit)
        )
        return [read_piece(row, self.names) for row in self._connection.execute(query)]

    def nodes_after(self, key: bytes, limit: int) -> Sequence[Node]:
        """Return the next nodes above a key."""
        query = sa.select(IDENTIFIERS).where(IDENTIFIERS.c.key > key).order_by(IDENTIFIERS.c.key).limit(limit)
        return [read_node(row, self.names) for row in self._connection.execute(query)]

    def persons(self, person_ids: Sequence[int]) -> Mapping[int, PersonRow]:
        """Return these persons as created."""
        found = (
            PersonRow(*row)
            for page in pages(person_ids)
            for row in self._connection.execute(sa.select(PERSONS).where(PERSONS.c.person_id.in_(page)))
        )
        return {row.person_id: row for row in found}

    def aliases_of(self, person_ids: Sequence[int]) -> Sequence[Alias]:
        """Return the aliases that stand for these persons."""
        return [
            Alias(*row)
            for page in pages(person_ids)
            for row in self._connection.execute(sa.select(ALIASES).where(ALIASES.c.person_id.in_(page)))
        ]

    def alias(self, person_id: int) -> int:
        """Return the person that stands for this id."""
        stands = self._connection.scalar(sa.select(ALIASES.c.person_id).where(ALIASES.c.alias_id == person_id))
        return stands or person_id

    def tombstones(self, keys: Sequence[bytes]) -> AbstractSet[bytes]:
        """Return which of these keys were erased."""
        return {
            bytes(key)
            for page in pages(keys)
            for key in self._connection.scalars(sa.select(TOMBSTONES.c.key).where(TOMBSTONES.c.key.in_(page)))
        }

    def erased_keys(self, erasure_id: int) -> tuple[bytes, ...]:
        """Return the keys that an erasure left tombstones of."""
        query = sa.select(TOMBSTONES.c.key).where(TOMBSTONES.c.erasure_id == erasure_id)
        return tuple(sorted(bytes(key) for key in self._connection.scalars(query)))

    def revoked_namespaces(self) -> AbstractSet[str]:
        """Return the namespaces that were given up."""
        return set(self._connection.scalars(sa.select(REVOKED_NAMESPACES.c.namespace)))

    def revocation(self, namespace: str) -> bytes | None:
        """Return up to which key the identifiers of a namespace are forgotten; the start where it was not given up."""
        query = sa.select(REVOKED_NAMESPACES.c.next_key).where(REVOKED_NAMESPACES.c.namespace == namespace)
        row = self._connection.execute(query).one_or_none()
        if row is None:
            return b""
        return None if row.next_key is None else bytes(row.next_key)

    def requests(self, ids: Sequence[tuple[str, str]]) -> Sequence[RequestRecord]:
        """Return what was asked for under these pairs of caller and request id."""
        query = sa.select(REQUESTS).where(sa.tuple_(REQUESTS.c.caller, REQUESTS.c.request_id).in_(ids))
        return [
            RequestRecord(
                row.caller,
                row.request_id,
                Operation(row.operation),
                bytes(row.body_sha256),
                row.time_s,
                bytes(row.outcome),
            )
            for row in self._connection.execute(query)
        ]
