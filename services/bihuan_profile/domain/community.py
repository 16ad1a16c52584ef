"""
Relation networks: who belongs together by consented relations.

The partition itself is found by a graph library; these are the rules around it: which relations count, and what a
community is called from one run to the next.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bihuan_shared.clock import DAY_US

MIN_MEMBERS: Final = 5
"""Of fewer a community is not told: it would say who knows whom."""
EDGE_RETENTION_US: Final = 180 * DAY_US
"""A relation that was not renewed for longer does not count."""
TAG: Final = "community"
"""The attribute that holds a person's community."""


@dataclass(frozen=True, slots=True)
class Edge:
    """
    What `person_id` said, and agreed to have used, about its relation to `other_id`, at `time_us`.

    `strength` is above 0 and at most 1, or 0 where it takes the relation back. Each of the two speaks for itself.
    """

    person_id: int
    other_id: int
    strength: float
    time_us: int


def named(communities: Iterable[Sequence[int]], before: Mapping[int, str], fresh: Iterable[str]) -> dict[int, str]:
    """
    The name of each person's community; of communities below `MIN_MEMBERS` there is none.

    A community goes on under the name that most of its members had `before`, the largest overlap first, so that a
    name keeps its meaning while people come and go; what is left takes the next of the `fresh` names, larger ones
    first.
    """
    kept = sorted((sorted(one) for one in communities if len(one) >= MIN_MEMBERS), key=lambda one: (-len(one), one))
    claims = sorted(
        (-count, index, name)
        for index, members in enumerate(kept)
        for name, count in Counter(before[person] for person in members if person in before).items()
    )
    names: dict[int, str] = {}
    taken: set[str] = set()
    for _, index, name in claims:
        if index not in names and name not in taken:
            names[index] = name
            taken.add(name)
    unused = (name for name in fresh if name not in taken)
    return {
        person: name
        for index, members in enumerate(kept)
        for name in [names.get(index) or next(unused)]
        for person in members
    }
