"""What a segment holds: bitmaps and arrays by key."""

from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

BLOCK_BITS: Final = 32
"""Persons of one block share what their ids are above these bits."""

COVERS: Final = "covers"
"""Persons of whom the segment says something, those who are gone included."""
PERSONS: Final = "persons"
"""Persons who are there."""
DUE_TIMES: Final = "due_times"
DUE_PERSONS: Final = "due_persons"
"""When what is known of persons changes by itself, sorted, and theirs."""

Numbers = npt.NDArray[Any]


def text_key(name: str, value: str) -> str:
    """Whose attribute is this text."""
    return f"t\0{name}\0{value}"


def texts_key(name: str) -> str:
    """Whose attribute is a text."""
    return f"T\0{name}"


def flag_key(name: str, *, value: bool) -> str:
    """Whose attribute is this flag."""
    return f"f\0{name}\0{int(value)}"


def segment_key(segment_id: str) -> str:
    """Who is in a segment of the profile."""
    return f"s\0{segment_id}"


def number_key(name: str) -> str:
    """The column of an attribute."""
    return f"n\0{name}"


def interest_key(tag: str) -> str:
    """The column of a long-term interest."""
    return f"l\0{tag}"


def instant_key(tag: str) -> str:
    """The column of an interest of minutes."""
    return f"m\0{tag}"


def is_plain(key: str) -> bool:
    """Whether a key names a bitmap that is no part of a column."""
    return (key[0] in "tTfs" and key[1] == "\0") or key in {COVERS, PERSONS}


@dataclass(frozen=True, slots=True)
class Content:
    """
    One segment, which nobody changes.

    Persons are the low 32 bits of their ids; `block` is what is above. Interests hold as of `origin_us`. `name` is that
    of its file, empty while it has none.
    """

    block: int
    origin_us: int
    bitmaps: Mapping[str, BitMap]
    arrays: Mapping[str, Numbers]
    name: str = field(default="", compare=False)
    cut: "Callable[[Content], tuple[Content, ...]] | None" = field(default=None, compare=False)

    def slices(self) -> "tuple[Content, ...]":
        """What an expression is evaluated over, one after the other: slices of persons, or the segment itself."""
        return (self,) if self.cut is None else self.cut(self)

    def bitmap(self, key: str) -> BitMap:
        """The persons under a key; nobody where there is none."""
        found = self.bitmaps.get(key)
        return _NOBODY if found is None else found

    @property
    def covers(self) -> BitMap:
        """Persons of whom it says something."""
        return self.bitmap(COVERS)

    @property
    def persons(self) -> BitMap:
        """Persons who are there."""
        return self.bitmap(PERSONS)


_NOBODY: Final = BitMap()


def bitmap_of(persons: Iterable[int] | Numbers) -> BitMap:
    """A bitmap; an array of 32-bit numbers is read without a Python object each."""
    made = array("I")
    if isinstance(persons, np.ndarray):
        made.frombytes(persons.astype(np.uint32, copy=False).tobytes())
    else:
        made.extend(persons)
    found = BitMap(made)
    found.run_optimize()
    return found


def persons_of(bitmap: BitMap) -> Numbers:
    """The persons of a bitmap, ascending, as 32-bit numbers."""
    return np.frombuffer(bitmap.to_array(), dtype=np.uint32) if bitmap else np.empty(0, np.uint32)
