"""What the SQL store reads: the graph as a plan sees it, and a person as it is shown."""

import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, TypeVar

import sqlalchemy as sa

from bihuan_identity.domain.graph import (
    Attachment,
    Counters,
    Evidence,
    EvidenceKind,
    IdentifierRow,
    LinkOutcome,
    LinkRecord,
    Merge,
    Person,
    PersonView,
)
from bihuan_identity.schema import (
    ALIASES,
    EVIDENCE,
    EVIDENCE_MEMBERS,
    ID_BLOCKS,
    IDENTIFIERS,
    LINK_REQUESTS,
    MERGES,
    PERSONS,
)

# Below the bound of parameters in one statement (SQLite 32,766; PostgreSQL 65,535); a full batch of 1,000 fits.
_MAX_PARAMETERS: Final = 32_000
_ID_BYTES: Final = 8

V = TypeVar("V", bytes, int)


def _pages(values: Sequence[V]) -> Iterator[Sequence[V]]:
    for start in range(0, len(values), _MAX_PARAMETERS):
        yield values[start : start + _MAX_PARAMETERS]


def find_attachments(connection: sa.Connection, keys: Sequence[bytes]) -> dict[bytes, Attachment]:
    """Return where each known key belongs; one query for up to 32,000 keys."""
    found: dict[bytes, Attachment] = {}
    for page in _pages(keys):
        query = sa.select(IDENTIFIERS.c.key, IDENTIFIERS.c.person_id, IDENTIFIERS.c.confidence_ppm).where(
            IDENTIFIERS.c.key.in_(page)
        )
        for key, person_id, confidence_ppm in connection.execute(query):
            found[bytes(key)] = Attachment(person_id, confidence_ppm)
    return found


def find_evidence(connection: sa.Connection, keys: Sequence[bytes]) -> list[Evidence]:
    """Return every piece of evidence with one of these keys among its members, oldest first."""
    evidence_ids: set[int] = set()
    for page in _pages(keys):
        query = sa.select(EVIDENCE_MEMBERS.c.evidence_id).where(EVIDENCE_MEMBERS.c.key.in_(page)).distinct()
        evidence_ids.update(connection.scalars(query))
    pieces: list[Evidence] = []
    for page_of_ids in _pages(sorted(evidence_ids)):
        members = _members_of(connection, page_of_ids)
        query_pieces = (
            sa.select(EVIDENCE).where(EVIDENCE.c.evidence_id.in_(page_of_ids)).order_by(EVIDENCE.c.evidence_id)
        )
        for evidence_id, kind, source, confidence_ppm, observe_us, record_us in connection.execute(query_pieces):
            pieces.append(
                Evidence(
                    evidence_id,
                    EvidenceKind(kind),
                    source,
                    confidence_ppm,
                    observe_us,
                    record_us,
                    tuple(members[evidence_id]),
                )
            )
    return pieces


def _members_of(connection: sa.Connection, evidence_ids: Sequence[int]) -> Mapping[int, Sequence[bytes]]:
    members: defaultdict[int, list[bytes]] = defaultdict(list)
    query = (
        sa.select(EVIDENCE_MEMBERS.c.evidence_id, EVIDENCE_MEMBERS.c.key)
        .where(EVIDENCE_MEMBERS.c.evidence_id.in_(evidence_ids))
        .order_by(EVIDENCE_MEMBERS.c.evidence_id, EVIDENCE_MEMBERS.c.ordinal)
    )
    for evidence_id, key in connection.execute(query):
        members[evidence_id].append(bytes(key))
    return members


class SqlGraphView:
    """
    The graph inside of one writing transaction.

    Making one takes the table of the id block, so two changes never overlap, on PostgreSQL between processes too;
    SQLite has one writer anyway. What is read afterwards is therefore what will still hold at the commit.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        if connection.dialect.name == "postgresql":
            # Before the first SELECT, hence before the snapshot: whoever waited sees what it waited for, and no
            # serialization failure makes it start again. Readers are not held up.
            connection.execute(sa.text(f"LOCK TABLE {ID_BLOCKS.name} IN EXCLUSIVE MODE"))
        row = connection.execute(sa.select(ID_BLOCKS)).one()
        self._counters = Counters(row.next_person_id, row.next_evidence_id, row.next_merge_id)

    def counters(self) -> Counters:
        """Return the next free ids."""
        return self._counters

    def attachments(self, keys: Sequence[bytes]) -> Mapping[bytes, Attachment]:
        """Return where each known key belongs."""
        return find_attachments(self._connection, keys)

    def neighbours(self, keys: Sequence[bytes]) -> Mapping[bytes, AbstractSet[bytes]]:
        """Return the keys that share a piece of evidence with each key."""
        near: defaultdict[bytes, set[bytes]] = defaultdict(set)
        mine, other = EVIDENCE_MEMBERS.alias("mine"), EVIDENCE_MEMBERS.alias("other")
        for page in _pages(keys):
            query = (
                sa.select(mine.c.key, other.c.key)
                .join(other, sa.and_(other.c.evidence_id == mine.c.evidence_id, other.c.key != mine.c.key))
                .where(mine.c.key.in_(page))
                .distinct()
            )
            for key, neighbour in self._connection.execute(query):
                near[bytes(key)].add(bytes(neighbour))
        return near

    def members(self, person_ids: Sequence[int]) -> Mapping[bytes, Attachment]:
        """Return every identifier of these persons."""
        query = sa.select(IDENTIFIERS.c.key, IDENTIFIERS.c.person_id, IDENTIFIERS.c.confidence_ppm).where(
            IDENTIFIERS.c.person_id.in_(person_ids)
        )
        rows = self._connection.execute(query)
        return {bytes(key): Attachment(person_id, confidence_ppm) for key, person_id, confidence_ppm in rows}

    def sizes(self, person_ids: Sequence[int]) -> Mapping[int, int]:
        """Return how many identifiers each person has."""
        sizes: dict[int, int] = {}
        for page in _pages(person_ids):
            query = (
                sa.select(IDENTIFIERS.c.person_id, sa.func.count())
                .where(IDENTIFIERS.c.person_id.in_(page))
                .group_by(IDENTIFIERS.c.person_id)
            )
            sizes.update((person_id, size) for person_id, size in self._connection.execute(query))
        return sizes

    def evidence(self, keys: Sequence[bytes]) -> Sequence[Evidence]:
        """Return the evidence that touches these keys."""
        return find_evidence(self._connection, keys)

    def founder(self, person_id: int) -> bytes:
        """Return the founding key of a person."""
        query = sa.select(PERSONS.c.founder).where(PERSONS.c.person_id == person_id)
        return bytes(self._connection.execute(query).scalar_one())

    def request(self, caller: str, request_id: str) -> LinkRecord | None:
        """Return the link that was asked for under this id."""
        query = sa.select(LINK_REQUESTS).where(
            LINK_REQUESTS.c.caller == caller, LINK_REQUESTS.c.request_id == request_id
        )
        row = self._connection.execute(query).one_or_none()
        if row is None:
            return None
        merged_ids = bytes(row.merged_person_ids)
        merged = struct.unpack(f">{len(merged_ids) // _ID_BYTES}Q", merged_ids)
        outcome = LinkOutcome(row.person_id, merged, row.evidence_id)
        return LinkRecord(row.caller, row.request_id, bytes(row.body_sha256), row.record_time_us, outcome)


def load_person(connection: sa.Connection, person_id: int) -> PersonView | None:
    """Return the person that stands for this id, with all that is known of it."""
    survivor = connection.scalar(sa.select(ALIASES.c.person_id).where(ALIASES.c.alias_id == person_id))
    row = connection.execute(sa.select(PERSONS).where(PERSONS.c.person_id == (survivor or person_id))).one_or_none()
    if row is None:
        return None
    person = Person(row.person_id, bytes(row.founder), row.create_time_us)
    identifiers = _identifiers_of(connection, person.person_id)
    aliases = sa.select(ALIASES.c.alias_id).where(ALIASES.c.person_id == person.person_id).order_by(ALIASES.c.alias_id)
    return PersonView(
        person=person,
        identifiers=identifiers,
        evidence=tuple(find_evidence(connection, [identifier.key for identifier in identifiers])),
        merges=_merges_into(connection, person.person_id),
        alias_ids=tuple(connection.scalars(aliases)),
    )


def _identifiers_of(connection: sa.Connection, person_id: int) -> tuple[IdentifierRow, ...]:
    query = (
        sa.select(IDENTIFIERS)
        .where(IDENTIFIERS.c.person_id == person_id)
        .order_by(IDENTIFIERS.c.first_seen_time_us, IDENTIFIERS.c.key)
    )
    return tuple(
        IdentifierRow(
            bytes(row.key), row.namespace, Attachment(row.person_id, row.confidence_ppm), row.first_seen_time_us
        )
        for row in connection.execute(query)
    )


def _merges_into(connection: sa.Connection, person_id: int) -> tuple[Merge, ...]:
    query = sa.select(MERGES).where(MERGES.c.survivor_id == person_id).order_by(MERGES.c.merge_id)
    return tuple(
        Merge(row.merge_id, row.survivor_id, row.absorbed_id, row.evidence_id, row.merge_time_us)
        for row in connection.execute(query)
    )
