"""The part of the graph that one transaction works on: read as needed, changed in memory, written as a difference."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from bihuan_identity.domain.graph import (
    SIGHTING_BYTES,
    Alias,
    Attachment,
    Erasure,
    GraphChange,
    GraphView,
    KeyedIdentifier,
    Node,
    PersonRow,
    PersonsChange,
    Piece,
    RequestRecord,
)

K = TypeVar("K")
V = TypeVar("V")

_ALL = 2**31 - 1


class LoadedGraph:
    """
    What was read of the graph, with the changes made since.

    Reading a person reads its nodes, its evidence and its aliases; what is changed must have been read. `difference`
    is what a store has to write.
    """

    def __init__(self, view: GraphView, *, time_s: int, epoch: int) -> None:
        self.view = view
        self.time_s = time_s
        self.epoch = epoch
        self.counters = view.counters()
        self.changes: list[PersonsChange] = []
        self._requests: dict[tuple[str, str], RequestRecord | None] = {}
        self._new_requests: list[RequestRecord] = []
        self.erasures: list[Erasure] = []
        self.tombstones_carried: list[tuple[bytes, bytes]] = []
        self._nodes: dict[bytes, Node] = {}
        self._pieces: dict[int, Piece] = {}
        self._persons: dict[int, PersonRow] = {}
        self._aliases: dict[int, Alias] = {}
        self._stored_nodes: dict[bytes, Node] = {}
        self._stored_pieces: dict[int, Piece] = {}
        self._stored_persons: dict[int, PersonRow] = {}
        self._stored_aliases: dict[int, Alias] = {}
        self._asked: set[bytes] = set()
        self._asked_persons: set[int] = set()
        self._keys_of: dict[int, dict[bytes, None]] = {}
        self._pieces_of: dict[int, dict[int, None]] = {}
        self._ties: dict[tuple[bytes, int], bool] = {}

    def load_identifiers(self, identifiers: Iterable[KeyedIdentifier]) -> None:
        """Read these identifiers; one that is stored under the previous pepper only is re-keyed."""
        wanted = [identifier for identifier in identifiers if identifier.key not in self._asked]
        keys = dict.fromkeys(identifier.key for identifier in wanted)
        former = dict.fromkeys(identifier.previous_key for identifier in wanted if identifier.previous_key is not None)
        self.load_nodes([*keys, *former])
        for identifier in wanted:
            old = None if identifier.previous_key is None else self._nodes.get(identifier.previous_key)
            if old is not None and identifier.key not in self._nodes and not self._is_revoked(old):
                self._rekey(old, identifier.key)

    def load_nodes(self, keys: Iterable[bytes]) -> None:
        """Read the nodes of these keys, as far as they exist."""
        missing = [key for key in dict.fromkeys(keys) if key not in self._asked]
        if missing:
            self._asked.update(missing)
            self._take_nodes(self.view.nodes(missing).values())

    def load_persons(self, person_ids: Iterable[int]) -> None:
        """Read these persons whole: rows, nodes, evidence with all its members, aliases."""
        missing = sorted({person_id for person_id in person_ids if person_id not in self._asked_persons})
        if not missing:
            return
        self._asked_persons.update(missing)
        rows = self.view.persons(missing)
        self._stored_persons.update(rows)
        for person_id, row in rows.items():
            self._persons.setdefault(person_id, row)
        for alias in self.view.aliases_of(missing):
            self._stored_aliases[alias.alias_id] = alias
            self._aliases.setdefault(alias.alias_id, alias)
        pieces = self.view.pieces_of(missing)
        self.take_pieces(pieces)
        self._take_nodes(node for node in self.view.loose_nodes(missing) if node.key not in self._asked)
        self.load_nodes(key for piece in pieces for key in piece.members)

    def load_rows(self, person_ids: Iterable[int]) -> None:
        """Read the rows of these persons only."""
        missing = [person_id for person_id in dict.fromkeys(person_ids) if person_id not in self._persons]
        if missing:
            rows = self.view.persons(missing)
            self._stored_persons.update(rows)
            self._persons.update(rows)

    def load_requests(self, ids: Iterable[tuple[str, str]]) -> None:
        """Read what was asked for under these pairs of caller and request id."""
        missing = [one for one in dict.fromkeys(ids) if one not in self._requests]
        if missing:
            found = {(record.caller, record.request_id): record for record in self.view.requests(missing)}
            self._requests.update((one, found.get(one)) for one in missing)

    def request(self, caller: str, request_id: str) -> RequestRecord | None:
        """Return what was asked for under an id, in this transaction or an earlier one."""
        self.load_requests([(caller, request_id)])
        return self._requests[caller, request_id]

    def put_request(self, record: RequestRecord) -> None:
        """Record what is carried out."""
        self._requests[record.caller, record.request_id] = record
        self._new_requests.append(record)

    def take_pieces(self, pieces: Iterable[Piece]) -> None:
        """Take in pieces as they are stored, except those that are here already or were withdrawn."""
        for piece in pieces:
            if piece.evidence_id not in self._stored_pieces:
                self._stored_pieces[piece.evidence_id] = piece
                self.put_piece(piece)

    def node(self, key: bytes) -> Node | None:
        """Return a node that was read or made."""
        return self._nodes.get(key)

    def nodes_of(self, person_id: int) -> list[Node]:
        """Return the nodes of a loaded person."""
        return [self._nodes[key] for key in self._keys_of.get(person_id, ())]

    def piece(self, evidence_id: int) -> Piece | None:
        """Return a piece, read on demand; None where there is none such any more."""
        if evidence_id not in self._stored_pieces and evidence_id not in self._pieces:
            stored = self.view.piece(evidence_id)
            self.take_pieces([] if stored is None else [stored])
        return self._pieces.get(evidence_id)

    def pieces_of(self, person_id: int) -> list[Piece]:
        """Return the pieces kept with a loaded person."""
        return [self._pieces[evidence_id] for evidence_id in self._pieces_of.get(person_id, ())]

    def pieces_tied(self, key: bytes) -> list[Piece]:
        """Return every piece that names this quarantined key; the guards bound how many there can be."""
        self.take_pieces(self.view.pieces_tied(key, _ALL))
        return [piece for piece in self._pieces.values() if key in piece.members]

    def person(self, person_id: int) -> PersonRow:
        """Return the row of a loaded person or alias."""
        self.load_rows([person_id])
        return self._persons[person_id]

    def aliases_of(self, person_id: int) -> list[Alias]:
        """Return what stands for a loaded person."""
        return [alias for alias in self._aliases.values() if alias.person_id == person_id]

    def put_node(self, node: Node) -> None:
        """Add a node, or put it in place of the one with its key."""
        before = self._nodes.get(node.key)
        if before is not None and before.person_id != node.person_id:
            self._keys_of[before.person_id].pop(node.key, None)
        self._asked.add(node.key)
        self._nodes[node.key] = node
        self._keys_of.setdefault(node.person_id, {})[node.key] = None

    def drop_node(self, key: bytes) -> None:
        """Forget an identifier."""
        node = self._nodes.pop(key)
        self._keys_of[node.person_id].pop(key, None)

    def put_piece(self, piece: Piece) -> None:
        """Add a piece, or put it in place of the one with its id."""
        self._unlist(self._pieces.get(piece.evidence_id))
        self._pieces[piece.evidence_id] = piece
        self._pieces_of.setdefault(piece.person_id, {})[piece.evidence_id] = None

    def drop_piece(self, evidence_id: int) -> None:
        """Withdraw a piece."""
        self._unlist(self._pieces.pop(evidence_id))

    def put_person(self, row: PersonRow) -> None:
        """Add a person, or put it in place of the one with its id; a new one counts as read."""
        self._asked_persons.add(row.person_id)
        self._persons[row.person_id] = row

    def put_alias(self, alias: Alias) -> None:
        """Let one id stand for another person."""
        self._aliases[alias.alias_id] = alias

    def drop_alias(self, alias_id: int) -> None:
        """Let an id stand for nobody else."""
        self._aliases.pop(alias_id, None)

    def tie(self, key: bytes, evidence_id: int) -> None:
        """Note that a piece names a quarantined key."""
        self._ties[key, evidence_id] = True

    def untie(self, key: bytes, evidence_id: int) -> None:
        """Note that a piece no longer names a quarantined key."""
        self._ties[key, evidence_id] = False

    def take_person_id(self) -> int:
        """Hand out the next person id."""
        person_id = self.counters.person_id
        self.counters = replace(self.counters, person_id=person_id + 1)
        return person_id

    def take_ordinal(self) -> int:
        """Hand out the next evidence id or ordinal of a sighting."""
        ordinal = self.counters.evidence_id
        self.counters = replace(self.counters, evidence_id=ordinal + 1)
        return ordinal

    def publish(self, evidence_id: int, change: PersonsChange) -> None:
        """Number a change of persons and keep it."""
        change_id = self.counters.change_id
        self.counters = replace(self.counters, change_id=change_id + 1)
        self.changes.append(replace(change, change_id=change_id, evidence_id=evidence_id, time_s=self.time_s))

    def attachment(self, node: Node) -> Attachment:
        """Return where a node belongs, in the form that indexes keep."""
        return Attachment(node.person_id, node.confidence_ppm, self._persons[node.person_id].generation)

    def difference(self) -> GraphChange:
        """Return what differs from what was read."""
        nodes = _changed(self._nodes, self._stored_nodes)
        self.load_rows(node.person_id for node in nodes)
        return GraphChange(
            counters=self.counters,
            nodes=nodes,
            gone_nodes=tuple(key for key in self._stored_nodes if key not in self._nodes),
            persons=_changed(self._persons, self._stored_persons),
            pieces=_changed(self._pieces, self._stored_pieces),
            gone_pieces=tuple(at for at in self._stored_pieces if at not in self._pieces),
            aliases=_changed(self._aliases, self._stored_aliases),
            gone_aliases=tuple(at for at in self._stored_aliases if at not in self._aliases),
            ties=tuple(tie for tie, held in self._ties.items() if held),
            gone_ties=tuple(tie for tie, held in self._ties.items() if not held),
            changes=tuple(self.changes),
            erasures=tuple(self.erasures),
            tombstones_carried=tuple(self.tombstones_carried),
            requests=tuple(self._new_requests),
            attachments={node.key: self.attachment(node) for node in nodes},
        )

    def _take_nodes(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            self._stored_nodes[node.key] = node
            self.put_node(node)

    def _unlist(self, piece: Piece | None) -> None:
        if piece is not None:
            self._pieces_of[piece.person_id].pop(piece.evidence_id, None)

    def _is_revoked(self, node: Node) -> bool:
        # It is about to be forgotten; under a new key the sweep might have passed it already.
        return node.namespace in self.view.revoked_namespaces()

    def _rekey(self, old: Node, key: bytes) -> None:
        self.load_persons([old.person_id])
        pieces: Sequence[Piece] = self.pieces_of(old.person_id)
        if old.quarantine_time_s is not None:
            pieces = self.pieces_tied(old.key)
        for piece in pieces:
            if old.key in piece.members:
                members = tuple(key if member == old.key else member for member in piece.members)
                self.put_piece(replace(piece, members=members))
                if old.quarantine_time_s is not None:
                    self.untie(old.key, piece.evidence_id)
                    self.tie(key, piece.evidence_id)
        former = old.former_sightings + old.key[:SIGHTING_BYTES]
        self.drop_node(old.key)
        self.put_node(replace(old, key=key, epoch=self.epoch, former_sightings=former))


def _changed(now: Mapping[K, V], stored: Mapping[K, V]) -> tuple[V, ...]:
    return tuple(value for key, value in now.items() if stored.get(key) is not value and stored.get(key) != value)
