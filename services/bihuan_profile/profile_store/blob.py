"""
The stored form of a record: 5 bytes of header and what the format says.

Header: one byte of format, four of revision (big-endian, never 0), so that a script can compare the revision without
decoding anything. `RECORD` has a record in the second layout after it, `MOVED` the id of the survivor in eight bytes
and perhaps such a record, `ERASED` nothing. `FIRST_RECORD` and `FIRST_MOVED` are the same in the first layout: they are
read, and go with the next write of their person.
"""

import struct
from typing import Final

import msgspec

from bihuan_profile.domain.record import EMPTY, Record
from bihuan_profile.profile_store import first_layout, second_layout
from bihuan_profile.use_cases.ports import Held

ERASED: Final = 0
FIRST_RECORD: Final = 1
FIRST_MOVED: Final = 2
RECORD: Final = 3
MOVED: Final = 4
HEADER: Final = struct.Struct(">BI")
MAX_REVISION: Final = 2**32 - 1

_SURVIVOR: Final = struct.Struct(">Q")
_MOVED: Final = (FIRST_MOVED, MOVED)
_READERS: Final = {
    FIRST_RECORD: first_layout.unpack,
    FIRST_MOVED: first_layout.unpack,
    RECORD: second_layout.unpack,
    MOVED: second_layout.unpack,
}


class DamagedBlobError(Exception):
    """The bytes are no record of a format that this version reads."""


def next_revision(revision: int) -> int:
    """The revision after `revision`; it wraps and skips 0, which stands for nothing held."""
    return revision % MAX_REVISION + 1


def revision_bytes(revision: int) -> bytes:
    """Bytes 1 to 4 of what holds `revision`; none for 0, which stands for nothing held."""
    return HEADER.pack(RECORD, revision)[1:] if revision else b""


def encode(record: Record | None, revision: int, moved_to: int = 0) -> bytes:
    """The stored form of a record, of an erased person (None), or of one who lives on under another id."""
    if record is None:
        return HEADER.pack(ERASED, revision)
    if moved_to:
        rest = b"" if record == EMPTY else second_layout.pack(record)
        return HEADER.pack(MOVED, revision) + _SURVIVOR.pack(moved_to) + rest
    return HEADER.pack(RECORD, revision) + second_layout.pack(record)


def decode(data: bytes | None) -> Held:
    """What `data` holds; None stands for nothing. Raises DamagedBlobError."""
    if data is None:
        return Held()
    if len(data) < HEADER.size:
        raise DamagedBlobError("too short")
    form, revision = HEADER.unpack_from(data)
    if form == ERASED:
        return Held(revision=revision, erased=True)
    read = _READERS.get(form)
    if read is None:
        raise DamagedBlobError(f"format {form}")
    try:
        start, moved_to = HEADER.size, 0
        if form in _MOVED:
            (moved_to,) = _SURVIVOR.unpack_from(data, start)
            start += _SURVIVOR.size
        record = read(memoryview(data)[start:]) if len(data) > start or not moved_to else EMPTY
        return Held(record, revision, moved_to=moved_to)
    except (msgspec.MsgspecError, struct.error, ValueError, LookupError, RuntimeError) as error:
        raise DamagedBlobError(str(error)) from error
