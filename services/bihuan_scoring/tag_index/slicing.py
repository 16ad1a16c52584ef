"""
A large segment cut into slices of persons, as an expression is evaluated over it.

Sets of a slice fit into the caches of a core together, and the memory of one that is done with is used for the next:
over 10⁸ persons combining two sets costs a fifth of what it costs for the whole.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final, Protocol

from pyroaring import BitMap

from bihuan_scoring.tag_index.column import persons_key
from bihuan_scoring.tag_index.content import Content, Numbers

SLICE: Final = 1 << 23
"""Persons of a slice, give or take what shares the upper 16 of 32 bits with its first."""
_CONTAINER_BITS: Final = 16
_END: Final = 1 << 32


class Cut(Protocol):
    """Bitmaps that are held in slices."""

    def pieces(self, key: str) -> tuple[BitMap, ...]:
        """One bitmap in slices; KeyError where there is none."""
        ...


def bounds_of(covers: BitMap, size: int = SLICE) -> tuple[int, ...]:
    """Where slices of about so many persons begin and end; one slice where there are not many more than that."""
    count = len(covers)
    inner = {covers[at] >> _CONTAINER_BITS << _CONTAINER_BITS for at in range(size, count - size // 2, size)}
    return (0, *sorted(inner - {0}), _END)


def cut(bitmap: BitMap, bounds: Sequence[int]) -> tuple[BitMap, ...]:
    """A bitmap in slices."""
    return tuple(bitmap & _all_of(low, high) for low, high in pairwise(bounds))


def _all_of(low: int, high: int) -> BitMap:
    return BitMap(range(low, high))


def slices(content: Content, bitmaps: Cut, count: int) -> tuple[Content, ...]:
    """The slices of a segment; they have no file of their own."""
    return tuple(
        Content(
            content.block,
            content.origin_us,
            _BitmapSlice(bitmaps, content.bitmaps, number),
            _ArraySlice(bitmaps, content.arrays, number),
        )
        for number in range(count)
    )


class _BitmapSlice(Mapping[str, BitMap]):
    def __init__(self, source: Cut, whole: Mapping[str, BitMap], number: int) -> None:
        self._source = source
        self._whole = whole
        self._number = number

    def __getitem__(self, key: str) -> BitMap:
        return self._source.pieces(key)[self._number]

    def __iter__(self) -> Iterator[str]:
        return iter(self._whole)

    def __len__(self) -> int:
        return len(self._whole)


class _ArraySlice(Mapping[str, Numbers]):
    """Values beside persons are cut as these are; all other arrays are as they were."""

    def __init__(self, source: Cut, whole: Mapping[str, Numbers], number: int) -> None:
        self._source = source
        self._whole = whole
        self._number = number

    def __getitem__(self, key: str) -> Numbers:
        found = self._whole[key]
        persons = persons_key(key)
        if persons is None:
            return found
        pieces = self._source.pieces(persons)
        start = sum(len(piece) for piece in pieces[: self._number])
        return found[start : start + len(pieces[self._number])]

    def __iter__(self) -> Iterator[str]:
        return iter(self._whole)

    def __len__(self) -> int:
        return len(self._whole)
