"""Who is who once the evidence about some persons has changed: the parts, their ids, and their confidences."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from bihuan_identity.domain.graph import Alias, Node, Piece
from bihuan_identity.domain.partition import connected, merging_members, strongest_paths

_NEVER: Final = 2**63


class GuardRefusedError(Exception):
    """A guard refuses the link; nothing changes. The text says which bound, without any identifier."""


@dataclass(frozen=True, slots=True)
class Region:
    """
    Everything known about some persons, with the evidence as it shall be.

    `anchors` are the persons as they were, each with the ordinal that its id rests on. Nodes that no person has yet
    carry person id 0. Every member of a piece that is not `quarantined` is among the nodes.
    """

    anchors: Mapping[int, int]
    nodes: Mapping[bytes, Node]
    pieces: Sequence[Piece]
    quarantined: AbstractSet[bytes]
    aliases: Sequence[Alias]


@dataclass(frozen=True, slots=True)
class Grouped:
    """One person: its id, what that rests on, the confidence (millionths) of each of its keys, whether it is new."""

    person_id: int
    anchor: int
    confidences: Mapping[bytes, int]
    created: bool


@dataclass(frozen=True, slots=True)
class Grouping:
    """All persons of a region, ascending by id, and every id that stands for one of them as an alias."""

    persons: tuple[Grouped, ...]
    aliases: tuple[Alias, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """A component: its keys, what connects them (confidence, members), and the ordinals of its evidence."""

    keys: Sequence[bytes]
    links: Sequence[tuple[int, Sequence[bytes]]]
    ordinals: Mapping[int, bytes]
    """Ordinal of each piece and lone sighting, with the first key that it names."""
    rank: tuple[int, int, bytes]
    """Places parts without evidence: those that may merge first, then by age, then by key."""

    def oldest(self, among: AbstractSet[bytes]) -> int | None:
        """Return the smallest ordinal that names one of these keys."""
        return min((ordinal for ordinal, key in self.ordinals.items() if key in among), default=None)

    def origin(self) -> bytes:
        """Return the key that confidences are measured from: the one its oldest evidence names first."""
        return self.ordinals[min(self.ordinals)] if self.ordinals else self.rank[2]


def regroup(region: Region, *, next_person_id: int, max_cluster_size: int) -> Grouping:
    """
    Group a region by what its evidence connects.

    Every id, aliases included, rests on the oldest evidence that it had when it last had to choose, and belongs to the
    part with that evidence; where it is gone, a person's id goes to the part with the oldest evidence left, and an
    alias stays with its person. So an alias becomes a person again once nothing holds it to the survivor. Where ids
    meet, the smallest stands and the others become its aliases. Parts that no id belongs to get new ids, from
    `next_person_id` on, in the order of their evidence.

    Raises GuardRefusedError where a part is larger than `max_cluster_size` and than any before.
    """
    parts = _parts(region)
    _check_sizes(region, parts, max_cluster_size)
    claims, anchors = _claims(region, parts)
    persons: list[Grouped] = []
    aliases: list[Alias] = []
    claimed: dict[int, list[int]] = {at: [] for at in range(len(parts))}
    for person_id in sorted(claims):
        claimed[claims[person_id]].append(person_id)
    for at in sorted(claimed, key=lambda at: (min(parts[at].ordinals, default=_NEVER), parts[at].rank)):
        ids, part = claimed[at], parts[at]
        person_id = ids[0] if ids else next_person_id
        next_person_id += not ids
        aliases.extend(Alias(absorbed, person_id, anchors[absorbed]) for absorbed in ids[1:])
        confidences = strongest_paths(part.origin(), part.keys, part.links)
        anchor = anchors[person_id] if ids else min(part.ordinals, default=0)
        persons.append(Grouped(person_id, anchor, confidences, created=not ids))
    return Grouping(tuple(sorted(persons, key=lambda person: person.person_id)), tuple(aliases))


def _parts(region: Region) -> list[_Part]:
    merging = [(piece, merging_members(piece, region.quarantined)) for piece in region.pieces]
    tied = [(piece, members) for piece, members in merging if len(members) > 1]
    components = connected(region.nodes, (members for _, members in tied))
    part_of = {key: at for at, keys in enumerate(components) for key in keys}
    links: list[list[tuple[int, Sequence[bytes]]]] = [[] for _ in components]
    ordinals: list[dict[int, bytes]] = [{} for _ in components]
    for piece, members in tied:
        at = part_of[members[0]]
        links[at].append((piece.confidence_ppm, members))
        ordinals[at][piece.evidence_id] = members[0]
    for key, node in region.nodes.items():
        if node.ordinal is not None and key not in region.quarantined:
            ordinals[part_of[key]][node.ordinal] = key
    return [_Part(keys, links[at], ordinals[at], _rank(region, keys)) for at, keys in enumerate(components)]


def _rank(region: Region, keys: Iterable[bytes]) -> tuple[int, int, bytes]:
    return min((int(key in region.quarantined), region.nodes[key].first_seen_s, key) for key in keys)


def _check_sizes(region: Region, parts: Collection[_Part], max_cluster_size: int) -> None:
    largest = max((len(part.keys) for part in parts), default=0)
    if largest <= max_cluster_size:
        return
    sizes: dict[int, int] = {}
    for node in region.nodes.values():
        sizes[node.person_id] = sizes.get(node.person_id, 0) + (node.person_id != 0)
    if largest > max(sizes.values(), default=0):
        raise GuardRefusedError(f"the person would have {largest} identifiers, more than {max_cluster_size}")


def _claims(region: Region, parts: Sequence[_Part]) -> tuple[dict[int, int], dict[int, int]]:
    """Return which part every id belongs to, and the ordinal that it rests on (0 where none)."""
    by_ordinal = {ordinal: at for at, part in enumerate(parts) for ordinal in part.ordinals}
    anchors = {alias.alias_id: alias.anchor for alias in region.aliases}
    claims = {alias_id: by_ordinal[anchor] for alias_id, anchor in anchors.items() if anchor in by_ordinal}
    own: dict[int, set[bytes]] = {person_id: set() for person_id in region.anchors}
    for key, node in region.nodes.items():
        if node.person_id in own:
            own[node.person_id].add(key)
    for person_id, keys in own.items():
        anchor = region.anchors[person_id]
        if anchor in by_ordinal:
            claims[person_id], anchors[person_id] = by_ordinal[anchor], anchor
        elif keys:
            claims[person_id], anchors[person_id] = _oldest(parts, keys)
    for alias in region.aliases:
        if alias.alias_id not in claims and alias.person_id in claims:
            claims[alias.alias_id] = claims[alias.person_id]
    return claims, anchors


def _oldest(parts: Sequence[_Part], keys: AbstractSet[bytes]) -> tuple[int, int]:
    """Return the part with the oldest evidence about `keys`, and that evidence's ordinal (0 where there is none)."""
    candidates = [
        (part.oldest(keys) or _NEVER, part.rank, at) for at, part in enumerate(parts) if not keys.isdisjoint(part.keys)
    ]
    anchor, _, at = min(candidates)
    return at, 0 if anchor == _NEVER else anchor
