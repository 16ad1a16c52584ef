"""In-memory doubles of identity's ports; they pass the contract suites of the real ones."""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TypeVar

from bihuan_identity.domain.graph import (
    Alias,
    Attachment,
    Counters,
    Erasure,
    GraphChange,
    GraphView,
    Node,
    PersonRow,
    PersonsChange,
    PersonView,
    Piece,
    RequestRecord,
)
from bihuan_identity.use_cases.ports import QuarantinedNode, Standing
from bihuan_shared.errors import Unavailable

T = TypeVar("T")


class MemoryGraphView:
    """The graph in dictionaries, as a plan sees it."""

    def __init__(self) -> None:
        self.next = Counters()
        self.rows: dict[bytes, Node] = {}
        self.person_rows: dict[int, PersonRow] = {}
        self.pieces: dict[int, Piece] = {}
        self.ties: set[tuple[bytes, int]] = set()
        self.changes: list[PersonsChange] = []
        self.aliases: dict[int, Alias] = {}
        self.erasures: dict[int, Erasure] = {}
        self.tombstone_keys: dict[bytes, int] = {}
        self.revoked: dict[str, bytes | None] = {}
        self.request_records: dict[tuple[str, str], RequestRecord] = {}

    def counters(self) -> Counters:
        return self.next

    def nodes(self, keys: Sequence[bytes]) -> Mapping[bytes, Node]:
        return {key: self.rows[key] for key in keys if key in self.rows}

    def loose_nodes(self, person_ids: Sequence[int]) -> Sequence[Node]:
        return [node for node in self.rows.values() if node.loose and node.person_id in person_ids]

    def pieces_of(self, person_ids: Sequence[int]) -> Sequence[Piece]:
        return sorted(
            (piece for piece in self.pieces.values() if piece.person_id in person_ids),
            key=lambda piece: piece.evidence_id,
        )

    def pieces_tied(self, key: bytes, limit: int) -> Sequence[Piece]:
        return [self.pieces[at] for tied, at in sorted(self.ties) if tied == key][:limit]

    def tie_count(self, key: bytes, limit: int) -> int:
        return min(limit, sum(tied == key for tied, _ in self.ties))

    def piece(self, evidence_id: int) -> Piece | None:
        return self.pieces.get(evidence_id)

    def pieces_after(self, evidence_id: int, limit: int) -> Sequence[Piece]:
        return [self.pieces[at] for at in sorted(self.pieces) if at > evidence_id][:limit]

    def nodes_after(self, key: bytes, limit: int) -> Sequence[Node]:
        return [self.rows[at] for at in sorted(self.rows) if at > key][:limit]

    def persons(self, person_ids: Sequence[int]) -> Mapping[int, PersonRow]:
        return {at: self.person_rows[at] for at in person_ids if at in self.person_rows}

    def aliases_of(self, person_ids: Sequence[int]) -> Sequence[Alias]:
        return [alias for alias in self.aliases.values() if alias.person_id in person_ids]

    def alias(self, person_id: int) -> int:
        alias = self.aliases.get(person_id)
        return person_id if alias is None else alias.person_id

    def tombstones(self, keys: Sequence[bytes]) -> AbstractSet[bytes]:
        return self.tombstone_keys.keys() & set(keys)

    def erased_keys(self, erasure_id: int) -> tuple[bytes, ...]:
        return tuple(sorted(key for key, at in self.tombstone_keys.items() if at == erasure_id))

    def revoked_namespaces(self) -> AbstractSet[str]:
        return self.revoked.keys()

    def revocation(self, namespace: str) -> bytes | None:
        return self.revoked.get(namespace, b"")

    def requests(self, ids: Sequence[tuple[str, str]]) -> Sequence[RequestRecord]:
        return [self.request_records[one] for one in ids if one in self.request_records]

    def apply(self, change: GraphChange) -> None:
        self.next = change.counters
        for key in change.gone_nodes:
            del self.rows[key]
        self.rows.update((node.key, node) for node in change.nodes)
        self.person_rows.update((row.person_id, row) for row in change.persons)
        for evidence_id in change.gone_pieces:
            del self.pieces[evidence_id]
        self.pieces.update((piece.evidence_id, piece) for piece in change.pieces)
        for alias_id in change.gone_aliases:
            del self.aliases[alias_id]
        self.aliases.update((alias.alias_id, alias) for alias in change.aliases)
        self.ties -= set(change.gone_ties)
        self.ties |= set(change.ties)
        self.changes.extend(change.changes)
        for erasure in change.erasures:
            self.erasures[erasure.erasure_id] = erasure
            self.tombstone_keys.update(dict.fromkeys(erasure.keys, erasure.erasure_id))
        for old, new in change.tombstones_carried:
            self.tombstone_keys[new] = -abs(self.tombstone_keys[old])
        self.revoked.update(change.revocations)
        self.request_records.update(((record.caller, record.request_id), record) for record in change.requests)

    def attachments(self, keys: Sequence[bytes]) -> dict[bytes, Attachment]:
        found = (self.rows[key] for key in keys if key in self.rows)
        return {
            node.key: Attachment(node.person_id, node.confidence_ppm, self.person_rows[node.person_id].generation)
            for node in found
        }


class MemoryGraphStore:
    """A graph store without a disk."""

    def __init__(self) -> None:
        self.graph = MemoryGraphView()
        self.find_calls = 0

    async def find(self, keys: Sequence[bytes]) -> Mapping[bytes, Attachment]:
        self.find_calls += 1
        return self.graph.attachments(keys)

    async def change(self, plan: Callable[[GraphView], tuple[GraphChange | None, T]]) -> T:
        change, result = plan(self.graph)
        if change is not None:
            self.graph.apply(change)
        return result

    async def person(self, person_id: int) -> PersonView | None:
        graph = self.graph
        standing = graph.alias(person_id)
        nodes = [node for node in graph.rows.values() if node.person_id == standing]
        if not nodes:
            return None
        keys = {node.key for node in nodes}
        return PersonView(
            person=graph.person_rows[standing],
            nodes=tuple(sorted(nodes, key=lambda node: (node.first_seen_s, node.key))),
            pieces=tuple(piece for _, piece in sorted(graph.pieces.items()) if not keys.isdisjoint(piece.members)),
            changes=tuple(
                change
                for change in graph.changes
                if standing in change.before or standing in {part.person_id for part in change.parts}
            ),
            alias_ids=tuple(sorted(at for at, alias in graph.aliases.items() if alias.person_id == standing)),
        )

    async def standing(self) -> Standing:
        graph = self.graph
        return Standing(
            change_id=graph.next.change_id - 1,
            absorbed=tuple(graph.aliases),
            erased=tuple(at for erasure in graph.erasures.values() for at in erasure.person_ids),
            generations=tuple((row.person_id, row.generation) for row in graph.person_rows.values() if row.generation),
        )

    async def changes_after(self, change_id: int, limit: int) -> Sequence[PersonsChange]:
        return [change for change in self.graph.changes if change.change_id > change_id][:limit]

    async def quarantined_after(self, key: bytes, limit: int) -> Sequence[QuarantinedNode]:
        nodes = [
            node for at, node in sorted(self.graph.rows.items()) if at > key and node.quarantine_time_s is not None
        ]
        return [QuarantinedNode(node, sum(tied == node.key for tied, _ in self.graph.ties)) for node in nodes[:limit]]


class MemoryIdentifierIndex:
    """An index without a network; `away` makes it fail like a lost one."""

    def __init__(self) -> None:
        self.entries: dict[bytes, Attachment] = {}
        self.away = False
        self.get_calls = 0

    async def get(self, keys: Sequence[bytes]) -> Mapping[bytes, Attachment]:
        self.get_calls += 1
        self._check()
        return {key: self.entries[key] for key in keys if key in self.entries}

    async def put(self, entries: Mapping[bytes, Attachment]) -> None:
        self._check()
        self.entries.update(entries)

    async def remove(self, keys: Sequence[bytes]) -> None:
        self._check()
        for key in keys:
            self.entries.pop(key, None)

    async def close(self) -> None:
        self._check()

    def _check(self) -> None:
        if self.away:
            raise Unavailable("the index is away")
