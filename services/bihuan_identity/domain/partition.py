"""What a set of evidence says: which identifiers belong together, and how surely."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import TypeVar

from bihuan_identity.domain.graph import CERTAIN_PPM, Piece

K = TypeVar("K", bytes, int)


def merging_members(piece: Piece, quarantined: AbstractSet[bytes]) -> tuple[bytes, ...]:
    """Return the members of a piece that may merge through it."""
    if quarantined.isdisjoint(piece.members):
        return piece.members
    return tuple(key for key in piece.members if key not in quarantined)


def connected(keys: Iterable[K], groups: Iterable[Sequence[K]]) -> list[list[K]]:
    """
    Return the connected components of `keys` where each group ties its members together.

    Members of groups are among the keys. Components come in the order of their first keys.
    """
    parent = {key: key for key in keys}

    def root(key: K) -> K:
        while parent[key] != key:
            parent[key] = key = parent[parent[key]]
        return key

    for group in groups:
        if group:
            first = root(group[0])
            for key in group[1:]:
                parent[root(key)] = first
    parts: defaultdict[K, list[K]] = defaultdict(list)
    for key in parent:
        parts[root(key)].append(key)
    return list(parts.values())


def neighbours(key: bytes, pieces: Iterable[Piece]) -> set[bytes]:
    """Return the other members of all pieces that name `key`, quarantined ones included."""
    return {member for piece in pieces if key in piece.members for member in piece.members} - {key}


def strongest_paths(
    origin: bytes, keys: Collection[bytes], pieces: Sequence[tuple[int, Sequence[bytes]]]
) -> dict[bytes, int]:
    """
    Return, for every key, the confidence of its strongest path to `origin`; `pieces` connect them all.

    A path is as strong as its weakest piece (confidence in millionths, members); the origin itself is certain. Pieces
    are added from the strongest down, so a key's confidence is that of the piece which first connects it.
    """
    if all(confidence_ppm == CERTAIN_PPM for confidence_ppm, _ in pieces):
        return dict.fromkeys(keys, CERTAIN_PPM)
    groups = {key: {key} for key in keys}
    confidences = {origin: CERTAIN_PPM}
    for confidence_ppm, members in sorted(pieces, key=lambda piece: -piece[0]):
        parts = {id(group): group for group in (groups[key] for key in members)}
        if len(parts) == 1:
            continue
        joined = set().union(*parts.values())
        groups.update(dict.fromkeys(joined, joined))
        if origin in joined:
            for key in joined:
                confidences.setdefault(key, confidence_ppm)
    return confidences
