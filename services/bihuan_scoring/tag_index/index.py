"""All segments: asking them, adding to them, merging them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from pyroaring import BitMap

from bihuan_scoring.tag_index.content import DUE_PERSONS, DUE_TIMES, Content
from bihuan_scoring.tag_index.merging import Placed, merged
from bihuan_scoring.tag_index.persons import Persons, whole_id
from bihuan_scoring.tag_index.population import Audiences, SegmentPopulation
from bihuan_shared.targeting import Expression, members

_GROWTH: Final = 4
"""A segment is merged with the older one beside it unless that holds this many times as many persons."""


@dataclass(frozen=True, slots=True)
class TagIndex:
    """
    Segments by block, the oldest first. It never changes: adding gives another one, which shares what is the same.

    So whoever asks is not disturbed by changes, in whatever thread.
    """

    blocks: Mapping[int, tuple[Placed, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, contents: Iterable[Content]) -> "TagIndex":
        """The index of these segments, the oldest first; nothing is merged."""
        blocks: dict[int, tuple[Placed, ...]] = {}
        for content in contents:
            blocks[content.block] = _hiding(blocks.get(content.block, ()), content)
        return cls(blocks)

    def members(self, expression: Expression, now_us: int, audiences: Audiences) -> Persons:
        """
        Everyone who fits a checked expression at an instant, in microseconds.

        Raises IndexDamaged where a file is not what was written.
        """
        return {block: _fitting(placed, expression, now_us, audiences) for block, placed in self.blocks.items()}

    def count(self) -> int:
        """How many persons there are."""
        return sum(one.live for placed in self.blocks.values() for one in placed)

    def contents(self) -> list[Content]:
        """All segments, of each block the oldest first."""
        return [one.content for placed in self.blocks.values() for one in placed]

    def with_changes(self, contents: Sequence[Content], origin_us: int) -> "TagIndex":
        """
        The index after newer segments came in.

        Neighbours of like size are merged, so that their number grows with the logarithm of that of the persons.
        """
        blocks = dict(self.blocks)
        for content in contents:
            placed = _hiding(blocks.get(content.block, ()), content)
            blocks[content.block] = _tidied(placed, origin_us)
        return TagIndex(blocks)

    def stored_as(self, names: Mapping[int, Content]) -> "TagIndex":
        """The same with segments that were opened from their files in place of those in memory, by `id`."""
        return TagIndex(
            {
                block: tuple(replace(one, content=names.get(id(one.content), one.content)) for one in placed)
                for block, placed in self.blocks.items()
            }
        )

    def due(self, after_us: int, until_us: int) -> list[int]:
        """Persons who are to be read again as something about them changed by itself in (after, until]."""
        found: set[int] = set()
        for block, placed in self.blocks.items():
            for one in placed:
                times = one.content.arrays.get(DUE_TIMES)
                if times is None:
                    continue
                first, end = np.searchsorted(times, (after_us, until_us), side="right").tolist()
                persons = one.content.arrays[DUE_PERSONS][first:end].tolist()
                found.update(whole_id(block, person) for person in persons if person not in one.hidden)
        return sorted(found)


def _fitting(placed: Iterable[Placed], expression: Expression, now_us: int, audiences: Audiences) -> BitMap:
    """Who fits in one block: what newer segments say of persons counts before what older ones do."""
    parts = []
    for one in placed:
        for each in one.content.slices():
            fitting = members(expression, SegmentPopulation(each, now_us, audiences))
            parts.append(fitting - one.hidden if one.hidden else fitting)
    if len(parts) == 1:
        return parts[0]
    # Slices have nothing in common and come in their order, so that each is only added at the end.
    whole = BitMap()
    for part in parts:
        whole |= part
    return whole


def _hiding(placed: Sequence[Placed], content: Content) -> tuple[Placed, ...]:
    return (*(replace(one, hidden=one.hidden | content.covers) for one in placed), Placed(content, BitMap()))


def _tidied(placed: tuple[Placed, ...], origin_us: int) -> tuple[Placed, ...]:
    while len(placed) > 1 and len(placed[-2].content.covers) < _GROWTH * len(placed[-1].content.covers):
        content = merged(placed[-2:], origin_us, lowest=len(placed) == 2)  # noqa: PLR2004  # there are no others
        # What newer segments hide of the two is nothing: they are the newest.
        placed = (*placed[:-2], Placed(content, BitMap()))
    return placed
