"""
GPP strings of the IAB Tech Lab Global Privacy Platform: which sections they hold.

Layout: "Global Privacy Platform String" 1.0, sections "Header Encoding" and "Section Encoding": a header of type 3 and
version 1 lists the ids of the sections as a range in Fibonacci coding; `~` stands between sections.
"""

from typing import Final

from bihuan_shared.consent.bits import BitReader
from bihuan_shared.consent.refusal import Refusal, Refused

HEADER_TYPE: Final = 3
HEADER_VERSION: Final = 1
MAX_SECTIONS: Final = 64
"""The IAB has registered fewer than half as many."""


def gpp_sections(text: str) -> dict[int, str]:
    """
    Split a GPP string into its sections, by section id.

    Raises Refused: INVALID_HEADER where the header is none or lists another number of sections than follow, or more
    than `MAX_SECTIONS`, and what a reader of bits finds.
    """
    header, *sections = text.split("~", MAX_SECTIONS + 1)
    reader = BitReader(header)
    if reader.number(6) != HEADER_TYPE:
        raise Refused(Refusal.INVALID_HEADER)
    if reader.number(6) != HEADER_VERSION:
        raise Refused(Refusal.UNSUPPORTED_VERSION)
    ids = _section_ids(reader, min(len(sections), MAX_SECTIONS))
    reader.end()
    if len(ids) != len(sections):
        raise Refused(Refusal.INVALID_HEADER)
    return dict(zip(ids, sections, strict=True))


def _section_ids(reader: BitReader, most: int) -> list[int]:
    """Read the ids, which ascend; a group that would list more than there are sections is not spelled out."""
    ids: list[int] = []
    last = 0
    for _ in range(reader.number(12)):
        is_group = reader.flag()
        first = last + reader.fibonacci()
        last = first + (reader.fibonacci() if is_group else 0)
        if len(ids) + last - first >= most:
            raise Refused(Refusal.INVALID_HEADER)
        ids.extend(range(first, last + 1))
    return ids
