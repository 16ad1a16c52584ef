"""Evidence that goes: undone by request, lapsed, of a namespace that was given up, or of a person that was erased."""

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from bihuan_identity.domain.graph import (
    Erasure,
    GraphChange,
    GraphView,
    Node,
    Operation,
    Piece,
    RequestRecord,
)
from bihuan_identity.domain.linking import pack_ids, recorded, unpack_ids
from bihuan_identity.domain.loaded import LoadedGraph
from bihuan_identity.domain.working import Rules, revise
from bihuan_shared.clock import SECOND_US


class UnknownEvidenceError(Exception):
    """There is no such piece of evidence, or not any more."""


class UnknownPersonError(Exception):
    """There is no such person, or not any more."""


@dataclass(frozen=True, slots=True)
class UnlinkCommand:
    """A request to undo one piece of evidence."""

    caller: str
    request_id: str
    evidence_id: int
    time_us: int


@dataclass(frozen=True, slots=True)
class EraseCommand:
    """A request to erase the person that an id stands for."""

    caller: str
    request_id: str
    person_id: int
    time_us: int


def plan_unlink(
    view: GraphView, command: UnlinkCommand, rules: Rules, *, epoch: int
) -> tuple[GraphChange | None, tuple[int, ...]]:
    """
    Plan to withdraw one piece; returns the persons that its members belong to then, the one that kept its id first.

    A repeated request is answered as before. Raises UnknownEvidenceError and ContentConflictError.
    """
    graph = LoadedGraph(view, time_s=command.time_us // SECOND_US, epoch=epoch)
    digest = hashlib.sha256(pack_ids(command.evidence_id)).digest()
    before = recorded(graph, command.caller, command.request_id, Operation.UNLINK, digest)
    if before is not None:
        return None, unpack_ids(before.outcome)
    piece = graph.piece(command.evidence_id)
    if piece is None:
        raise UnknownEvidenceError
    person_ids = revise(graph, rules, {piece.evidence_id: ()}, evidence_id=piece.evidence_id)
    person_ids = tuple(sorted(person_ids, key=lambda person_id: (person_id != piece.person_id, person_id)))
    graph.put_request(
        RequestRecord(command.caller, command.request_id, Operation.UNLINK, digest, graph.time_s, pack_ids(*person_ids))
    )
    return graph.difference(), person_ids


def plan_erase(
    view: GraphView, command: EraseCommand, rules: Rules, *, epoch: int
) -> tuple[GraphChange | None, Erasure]:
    """
    Plan to erase a person with all its identifiers; their keys may not come back.

    Returns what was erased; a repeated request is answered as before. Raises UnknownPersonError and
    ContentConflictError.
    """
    graph = LoadedGraph(view, time_s=command.time_us // SECOND_US, epoch=epoch)
    digest = hashlib.sha256(pack_ids(command.person_id)).digest()
    before = recorded(graph, command.caller, command.request_id, Operation.ERASE, digest)
    if before is not None:
        erasure_id, time_s = unpack_ids(before.outcome)
        return None, Erasure(erasure_id, time_s, (), view.erased_keys(erasure_id))
    person_id = view.alias(command.person_id)
    graph.load_persons([person_id])
    keys = tuple(sorted(node.key for node in graph.nodes_of(person_id)))
    if not keys:
        raise UnknownPersonError
    aliases = (alias.alias_id for alias in graph.aliases_of(person_id))
    erasure = Erasure(graph.take_ordinal(), graph.time_s, (person_id, *sorted(aliases)), keys)
    forget(graph, rules, keys)
    graph.erasures.append(erasure)
    outcome = pack_ids(erasure.erasure_id, erasure.time_s)
    graph.put_request(RequestRecord(command.caller, command.request_id, Operation.ERASE, digest, graph.time_s, outcome))
    return graph.difference(), erasure


def plan_lapse(
    view: GraphView, after: int, limit: int, rules: Rules, *, time_s: int, epoch: int
) -> tuple[GraphChange | None, tuple[int | None, int]]:
    """
    Plan to strip lapsed ties from the next `limit` pieces above the evidence id `after`.

    A member's tie lapses when its piece was not seen for the time to live of the member's namespace. Returns where to
    go on (None at the end) and how many pieces lost members.
    """
    page = view.pieces_after(after, limit)
    graph = LoadedGraph(view, time_s=time_s, epoch=epoch)
    old = [piece for piece in page if piece.last_seen_s + rules.shortest_ttl_s <= time_s]
    graph.load_nodes(key for piece in old for key in piece.members)
    after_lapse = {piece.evidence_id: _unlapsed(graph, piece, rules) for piece in old}
    lapsed = [piece for piece in old if after_lapse[piece.evidence_id] != piece.members]
    graph.take_pieces(lapsed)
    for piece in lapsed:
        revise(graph, rules, {piece.evidence_id: after_lapse[piece.evidence_id]})
    go_on = page[-1].evidence_id if len(page) == limit else None
    return (graph.difference() if lapsed else None), (go_on, len(lapsed))


def _unlapsed(graph: LoadedGraph, piece: Piece, rules: Rules) -> tuple[bytes, ...]:
    kept = []
    for key in piece.members:
        node = graph.node(key)
        if node is not None and piece.last_seen_s + rules.ttl_s(node.namespace) > graph.time_s:
            kept.append(key)
    return tuple(kept)


def plan_forget(
    view: GraphView,
    after: bytes,
    limit: int,
    goes: Callable[[Node], bool],
    rules: Rules,
    *,
    time_s: int,
    epoch: int,
) -> tuple[GraphChange | None, tuple[bytes | None, int]]:
    """
    Plan to forget those of the next `limit` identifiers above the key `after` that go, and what they connected.

    Returns where to go on (None at the end) and how many were forgotten.
    """
    page = view.nodes_after(after, limit)
    graph = LoadedGraph(view, time_s=time_s, epoch=epoch)
    keys = [node.key for node in page if goes(node)]
    forget(graph, rules, keys)
    go_on = page[-1].key if len(page) == limit else None
    return (graph.difference() if keys else None), (go_on, len(keys))


def forget(graph: LoadedGraph, rules: Rules, keys: Collection[bytes]) -> None:
    """Remove identifiers with every tie to them; persons come apart where only they held them together."""
    graph.load_nodes(keys)
    nodes = [node for node in map(graph.node, keys) if node is not None]
    graph.load_persons(node.person_id for node in nodes)
    gone = {node.key for node in nodes}
    pieces: dict[int, Piece] = {}
    for node in nodes:
        found = graph.pieces_of(node.person_id)
        if node.quarantine_time_s is not None:
            found = graph.pieces_tied(node.key)
        pieces.update((piece.evidence_id, piece) for piece in found if node.key in piece.members)
    after = {at: tuple(key for key in piece.members if key not in gone) for at, piece in pieces.items()}
    revise(graph, rules, after, gone)


def plan_revoke(
    view: GraphView, namespace: str, limit: int, rules: Rules, *, time_s: int, epoch: int
) -> tuple[GraphChange | None, tuple[bool, int]]:
    """
    Plan to give up a namespace, or to go on with that: looks at the next `limit` identifiers of all.

    Returns whether none of it is left, and how many this plan forgets.
    """
    after = view.revocation(namespace)
    if after is None:
        return None, (True, 0)
    change, (go_on, count) = plan_forget(
        view, after, limit, lambda node: node.namespace == namespace, rules, time_s=time_s, epoch=epoch
    )
    change = GraphChange(view.counters()) if change is None else change
    return replace(change, revocations=((namespace, go_on),)), (go_on is None, count)
