"""How much audiences overlap, as it may be told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from bihuan_scoring.domain.audiences import MemberSet
from bihuan_scoring.domain.reach import told_reach


@dataclass(frozen=True, slots=True)
class Overlap:
    """
    How many persons two audiences share, to the nearest ten; None below the privacy floor.

    `jaccard` is of the rounded numbers, so that it tells no more than they do; 0 below the floor.
    """

    audience_id: str
    other_id: str
    shared: int | None
    jaccard: float


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Sizes (None below the floor) and pairs, both in the order in which the audiences were named."""

    sizes: Sequence[tuple[str, int | None]]
    pairs: Sequence[Overlap]


def overlaps(members: Mapping[str, MemberSet]) -> Overlaps:
    """Every pair of some audiences; blocks for one intersection of bitmaps a pair."""
    sizes = {name: told_reach(len(one)) for name, one in members.items()}
    pairs = []
    for (name, one), (other_name, other) in combinations(members.items(), 2):
        shared = told_reach(len(one & other))
        pairs.append(Overlap(name, other_name, shared, _jaccard(shared, sizes[name], sizes[other_name])))
    return Overlaps(list(sizes.items()), pairs)


def _jaccard(shared: int | None, size: int | None, other_size: int | None) -> float:
    if shared is None or size is None or other_size is None:
        return 0.0
    return shared / (size + other_size - shared)
