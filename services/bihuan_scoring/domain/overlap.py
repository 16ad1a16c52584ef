"""How much audiences overlap, as it may be told."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from bihuan_scoring.domain.audiences import MemberSet
from bihuan_shared.targeting import And, Expression, InAudience

Tell = Callable[[MemberSet, Expression], int | None]
"""How many persons a set that answers a question holds, as it may be told; None below the privacy floor."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """
    How many persons two audiences share, as it may be told; None below the privacy floor.

    `jaccard` is of the numbers that are told, so that it tells no more than they do; 0 below the floor.
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


def overlaps(members: Mapping[str, MemberSet], tell: Tell) -> Overlaps:
    """Every pair of some audiences; blocks for one intersection of bitmaps a pair."""
    sizes = {name: tell(one, InAudience(name)) for name, one in members.items()}
    pairs = []
    for (name, one), (other_name, other) in combinations(members.items(), 2):
        shared = tell(one & other, And((InAudience(name), InAudience(other_name))))
        pairs.append(Overlap(name, other_name, shared, _jaccard(shared, sizes[name], sizes[other_name])))
    return Overlaps(list(sizes.items()), pairs)


def _jaccard(shared: int | None, size: int | None, other_size: int | None) -> float:
    if shared is None or size is None or other_size is None:
        return 0.0
    # Numbers with noise may say that more are in both than in one.
    shared = min(shared, size, other_size)
    return shared / (size + other_size - shared)
