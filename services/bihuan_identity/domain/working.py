"""Changes of evidence, and what each makes of the persons concerned."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from bihuan_identity.domain.applying import apply
from bihuan_identity.domain.graph import CERTAIN_PPM, Claim, KeyedIdentifier, Node, PersonRow, Piece
from bihuan_identity.domain.loaded import LoadedGraph
from bihuan_identity.domain.partition import neighbours
from bihuan_identity.domain.regrouping import GuardRefusedError, Region, regroup
from bihuan_shared.clock import SECOND_US

_TIES_A_DEGREE = 64
_PIECES_A_NODE = 8


@dataclass(frozen=True, slots=True)
class Rules:
    """
    The bounds that evidence lives under.

    `max_degree` and `ttl_s` answer for a namespace: how many others one value may be tied to, and for how many seconds
    a tie holds that is not seen again; no namespace answers less than `shortest_ttl_s`.
    """

    max_cluster_size: int
    max_degree: Callable[[str], int]
    ttl_s: Callable[[str], int]
    shortest_ttl_s: int


@dataclass(frozen=True, slots=True)
class Linked:
    """What a link led to: the person, the persons merged into it, the evidence, and whether a guard holds it back."""

    person_id: int
    merged_person_ids: tuple[int, ...]
    evidence_id: int
    quarantined: bool


def create(graph: LoadedGraph, identifiers: Sequence[KeyedIdentifier], claim: Claim) -> int:
    """Make a person of identifiers that nobody has; returns its id."""
    person_id = graph.take_person_id()
    ordinal = graph.take_ordinal()
    graph.put_person(PersonRow(person_id, graph.time_s, ordinal))
    alone = len(identifiers) == 1
    for identifier in identifiers:
        graph.put_node(
            Node(
                identifier.key,
                identifier.namespace,
                person_id,
                CERTAIN_PPM,
                graph.time_s,
                graph.epoch,
                ordinal=ordinal if alone else None,
                loose=alone,
            )
        )
    if not alone:
        members = tuple(identifier.key for identifier in identifiers)
        graph.put_piece(
            Piece(ordinal, person_id, claim.kind, claim.source, CERTAIN_PPM, graph.time_s, graph.time_s, members)
        )
    return person_id


def tie_together(graph: LoadedGraph, rules: Rules, identifiers: Sequence[KeyedIdentifier], claim: Claim) -> Linked:
    """
    Record that identifiers belong together and merge what this connects.

    Evidence that is there already is seen again, not doubled. An identifier that would have too many neighbours is
    quarantined: the evidence is kept, and whatever merged through that identifier comes apart. Raises GuardRefusedError
    where the person would be too large or have too much evidence, with the graph as it was.
    """
    graph.load_identifiers(identifiers)
    known = [node for node in (graph.node(identifier.key) for identifier in identifiers) if node is not None]
    held = {node.key for node in known if node.quarantine_time_s is not None}
    person_ids = sorted({node.person_id for node in known if node.key not in held})
    graph.load_persons(person_ids)
    members = tuple(identifier.key for identifier in identifiers)
    seen_s = graph.time_s if claim.observe_time_us is None else claim.observe_time_us // SECOND_US
    before = _same(graph, [node.person_id for node in known], members, claim)
    if before is not None:
        seen = replace(
            before,
            first_seen_s=min(before.first_seen_s, seen_s),
            last_seen_s=max(before.last_seen_s, seen_s),
            confidence_ppm=claim.confidence_ppm,
        )
        graph.put_piece(seen)
        if seen.confidence_ppm != before.confidence_ppm:
            settle(graph, rules, person_ids, evidence_id=before.evidence_id)
        return _outcome(graph, seen, (), bool(held))
    piece = Piece(
        graph.counters.evidence_id, 0, claim.kind, claim.source, claim.confidence_ppm, seen_s, seen_s, members
    )
    return _add(graph, rules, piece, identifiers, person_ids, held)


def _same(graph: LoadedGraph, person_ids: Iterable[int], members: Collection[bytes], claim: Claim) -> Piece | None:
    wanted = set(members)
    graph.load_persons(person_ids)
    for person_id in dict.fromkeys(person_ids):
        for piece in graph.pieces_of(person_id):
            if piece.kind is claim.kind and piece.source == claim.source and set(piece.members) == wanted:
                return piece
    return None


def _add(
    graph: LoadedGraph,
    rules: Rules,
    piece: Piece,
    identifiers: Sequence[KeyedIdentifier],
    person_ids: Sequence[int],
    held: AbstractSet[bytes],
) -> Linked:
    pieces = [other for person_id in person_ids for other in graph.pieces_of(person_id)]
    if len(pieces) >= _PIECES_A_NODE * rules.max_cluster_size:
        raise GuardRefusedError(f"the person would have more than {len(pieces)} pieces of evidence")
    for identifier in identifiers:
        if identifier.key in held:
            _check_ties(graph, rules, identifier)
    fresh = {
        identifier.key: Node(identifier.key, identifier.namespace, 0, 0, graph.time_s, graph.epoch)
        for identifier in identifiers
        if graph.node(identifier.key) is None
    }
    full = {
        identifier.key
        for identifier in identifiers
        if identifier.key not in held and len(neighbours(identifier.key, [*pieces, piece])) > identifier.max_degree
    }
    region = _region(graph, person_ids, fresh, [*pieces, piece], full)
    grouping = regroup(region, next_person_id=graph.counters.person_id, max_cluster_size=rules.max_cluster_size)
    graph.take_ordinal()
    graph.put_piece(piece)
    for key in full:
        for other in [*pieces, piece]:
            if key in other.members:
                graph.tie(key, other.evidence_id)
    for key in held:
        graph.tie(key, piece.evidence_id)
    apply(graph, region, grouping, evidence_id=piece.evidence_id)
    stored = graph.piece(piece.evidence_id)
    assert stored is not None
    return _outcome(graph, stored, person_ids, bool(held or full))


def _check_ties(graph: LoadedGraph, rules: Rules, identifier: KeyedIdentifier) -> None:
    limit = _TIES_A_DEGREE * rules.max_degree(identifier.namespace)
    if graph.view.tie_count(identifier.key, limit) >= limit:
        raise GuardRefusedError(f"one {identifier.namespace} has {limit} pieces of evidence and takes no more")


def _outcome(graph: LoadedGraph, piece: Piece, before: Sequence[int], quarantined: bool) -> Linked:  # noqa: FBT001  # read next to its field
    merged = tuple(person_id for person_id in before if person_id != piece.person_id and not graph.nodes_of(person_id))
    return Linked(piece.person_id, merged, piece.evidence_id, quarantined)


def revise(
    graph: LoadedGraph,
    rules: Rules,
    members_after: Mapping[int, tuple[bytes, ...]],
    gone: AbstractSet[bytes] = frozenset(),
    evidence_id: int = 0,
) -> tuple[int, ...]:
    """
    Give pieces the members that are left to them (fewer than two: the piece is withdrawn), forget the nodes `gone`.

    All pieces that name a node of `gone` must be among them. Returns the persons that the nodes concerned belong to
    now, ascending. Never refuses: what a quarantine held back merges again only where the guards allow it.
    """
    pieces = [piece for piece in (graph.piece(evidence_id) for evidence_id in members_after) if piece is not None]
    keys = dict.fromkeys(key for piece in pieces for key in piece.members) | dict.fromkeys(gone)
    graph.load_nodes(keys)
    nodes = [node for node in map(graph.node, keys) if node is not None]
    held = [node.key for node in nodes if node.quarantine_time_s is not None]
    person_ids = sorted({node.person_id for node in nodes if node.key not in held or node.key in gone})
    graph.load_persons(person_ids)
    for piece in pieces:
        _shrink(graph, piece, members_after[piece.evidence_id], held)
    for key in gone:
        graph.drop_node(key)
    shaken = {node.person_id for node in nodes if node.key in gone}
    settle(graph, rules, person_ids, evidence_id=evidence_id, shaken=shaken)
    for key in held:
        if key not in gone:
            lift(graph, rules, key)
    left = (graph.node(key) for key in keys)
    return tuple(sorted({node.person_id for node in left if node is not None}))


def _shrink(graph: LoadedGraph, piece: Piece, members: tuple[bytes, ...], held: Collection[bytes]) -> None:
    kept = members if len(members) > 1 else ()
    for key in held:
        if key in piece.members and key not in kept:
            graph.untie(key, piece.evidence_id)
    if kept:
        graph.put_piece(replace(piece, members=kept))
    else:
        graph.drop_piece(piece.evidence_id)


def settle(
    graph: LoadedGraph,
    rules: Rules,
    person_ids: Sequence[int],
    *,
    evidence_id: int,
    shaken: AbstractSet[int] = frozenset(),
    more: Sequence[Piece] = (),
) -> None:
    """Group loaded persons by the evidence they have now, and by `more` that is kept with others."""
    pieces = {piece.evidence_id: piece for person_id in person_ids for piece in graph.pieces_of(person_id)}
    pieces.update((piece.evidence_id, piece) for piece in more)
    region = _region(graph, person_ids, {}, list(pieces.values()), frozenset())
    grouping = regroup(region, next_person_id=graph.counters.person_id, max_cluster_size=rules.max_cluster_size)
    apply(graph, region, grouping, evidence_id=evidence_id, shaken=shaken)


def lift(graph: LoadedGraph, rules: Rules, key: bytes) -> None:
    """Let a quarantined identifier merge again if it has few enough neighbours now and the guards allow it."""
    node = graph.node(key)
    assert node is not None
    pieces = graph.pieces_tied(key)
    if len(neighbours(key, pieces)) > rules.max_degree(node.namespace):
        return
    graph.load_nodes(member for piece in pieces for member in piece.members)
    nodes = [node, *(graph.node(member) for piece in pieces for member in piece.members)]
    person_ids = sorted(
        {
            other.person_id
            for other in nodes
            if other is not None and (other.key == key or other.quarantine_time_s is None)
        }
    )
    graph.load_persons(person_ids)
    graph.put_node(replace(node, quarantine_time_s=None))
    try:
        settle(graph, rules, person_ids, evidence_id=0, more=pieces)
    except GuardRefusedError:
        graph.put_node(node)
        return
    for piece in pieces:
        graph.untie(key, piece.evidence_id)


def _region(
    graph: LoadedGraph,
    person_ids: Sequence[int],
    fresh: Mapping[bytes, Node],
    pieces: Sequence[Piece],
    full: AbstractSet[bytes],
) -> Region:
    nodes = {node.key: node for person_id in person_ids for node in graph.nodes_of(person_id)} | dict(fresh)
    for piece in pieces:
        graph.load_nodes(key for key in piece.members if key not in nodes)
    quarantined = {key for key, node in nodes.items() if node.quarantine_time_s is not None} | full
    for piece in pieces:
        quarantined.update(key for key in piece.members if key not in nodes)
    aliases = [alias for person_id in person_ids for alias in graph.aliases_of(person_id)]
    anchors = {person_id: graph.person(person_id).anchor for person_id in person_ids}
    return Region(anchors, nodes, pieces, quarantined, aliases)
