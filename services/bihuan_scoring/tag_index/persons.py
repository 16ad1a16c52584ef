"""Persons by block, and as the one set that audiences are made of."""

import struct
from collections.abc import Mapping
from typing import Final

from pyroaring import BitMap, BitMap64

from bihuan_scoring.domain.audiences import MemberSet
from bihuan_scoring.tag_index.content import BLOCK_BITS

Persons = Mapping[int, BitMap]
"""The low 32 bits of ids, by what is above them."""

_COUNT: Final = struct.Struct("<Q")
_BLOCK: Final = struct.Struct("<I")


def joined(persons: Persons) -> BitMap64:
    """
    One set of whole ids.

    The portable form of a 64-bit bitmap is that of 32-bit ones, each after its block (RoaringFormatSpec, "Extension for
    64-bit implementations"), so this costs no more than copying.
    """
    filled = {block: bitmap for block, bitmap in sorted(persons.items()) if bitmap}
    parts = [_COUNT.pack(len(filled))]
    for block, bitmap in filled.items():
        parts += [_BLOCK.pack(block), bitmap.serialize()]
    return BitMap64.deserialize(b"".join(parts))


def block_of(serialized: bytes, block: int) -> BitMap:
    """The low 32 bits of one block of a 64-bit bitmap in its portable form."""
    (count,) = _COUNT.unpack_from(serialized)
    at = _COUNT.size
    view = memoryview(serialized)
    for _ in range(count):
        (here,) = _BLOCK.unpack_from(serialized, at)
        found = BitMap.deserialize(view[at + _BLOCK.size :])  # type: ignore[arg-type]  # it takes any buffer
        if here == block:
            return found
        at += _BLOCK.size + len(found.serialize())
    return BitMap()


class AudienceSets:
    """Audiences as expressions over a segment need them: the members of one block, whole ids taken apart once."""

    def __init__(self, audiences: Mapping[str, MemberSet]) -> None:
        """Takes the sets as they are now, so they may change afterwards."""
        self._serialized = {audience_id: members.serialize() for audience_id, members in audiences.items()}
        self._blocks: dict[tuple[str, int], BitMap] = {}

    def block(self, audience_id: str, block: int) -> BitMap:
        """The members in one block; nobody where there is no such audience."""
        key = audience_id, block
        if key not in self._blocks:
            serialized = self._serialized.get(audience_id)
            self._blocks[key] = BitMap() if serialized is None else block_of(serialized, block)
        return self._blocks[key]


def size_of(persons: Persons) -> int:
    """How many there are."""
    return sum(len(bitmap) for bitmap in persons.values())


def whole_id(block: int, person: int) -> int:
    """The id of a person of a block."""
    return block << BLOCK_BITS | person
