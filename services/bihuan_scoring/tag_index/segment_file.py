"""
Segments as files.

A file is a magic word, the bitmaps and arrays, each at a multiple of 64 bytes, a directory (MessagePack) and a footer:
where the directory is, how long, and its SHA-256. Every part has a checksum, which is compared when the part is first
used, so that opening takes no longer for a larger segment.
"""

import hashlib
import mmap
import os
import struct
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, TypeVar
from uuid import uuid4

import msgspec
import numpy as np
from pyroaring import BitMap

from bihuan_scoring.tag_index.content import Content, Numbers
from bihuan_scoring.tag_index.slicing import bounds_of, cut, slices
from bihuan_shared.errors import FailedPrecondition

_MAGIC: Final = b"BHTAGS01"
_FOOTER: Final = struct.Struct("<QQ32s8s")
_ALIGN: Final = 64
_IN_SLICES: Final = "\0|"

Found = TypeVar("Found")


class IndexDamaged(FailedPrecondition):
    """A file of the index is not what was written; the index has to be built again."""

    default_reason = "TAG_INDEX_DAMAGED"


class _Part(msgspec.Struct, frozen=True, array_like=True):
    """Where a part is, its length in bytes, its checksum, and of an array type and rows (0: one dimension)."""

    offset: int
    length: int
    checksum: int
    dtype: str = ""
    rows: int = 0


class _Directory(msgspec.Struct, frozen=True):
    block: int
    origin_us: int
    bitmaps: dict[str, _Part]
    arrays: dict[str, _Part]


class BitmapCache:
    """Bitmaps that were read from files, the last used ones up to a number of bytes. Safe for threads."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held: OrderedDict[tuple[str, str], tuple[tuple[BitMap, ...], int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: tuple[str, str]) -> tuple[BitMap, ...] | None:
        """What is held under a key."""
        with self._lock:
            held = self._held.get(key)
            if held is None:
                return None
            self._held.move_to_end(key)
            return held[0]

    def put(self, key: tuple[str, str], bitmaps: tuple[BitMap, ...], size: int) -> None:
        """Hold a bitmap, or one in slices; others go where there is no room."""
        with self._lock:
            if key in self._held:
                return
            self._held[key] = (bitmaps, size)
            self._bytes += size
            while self._bytes > self._limit_bytes and len(self._held) > 1:
                _, (_, freed) = self._held.popitem(last=False)
                self._bytes -= freed


def save(folder: Path, content: Content) -> str:
    """Write a segment durably under a new name, which is the answer. Blocks."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{uuid4().hex}.tags"
    draft = folder / f".{name}"
    with draft.open("xb") as file:
        file.write(_MAGIC)
        offset, bitmaps, arrays = len(_MAGIC), {}, {}
        for key in sorted(content.bitmaps):
            payload = content.bitmap(key).serialize()
            offset, bitmaps[key] = _append(file.write, offset, payload)
        for key, numbers in sorted(content.arrays.items()):
            offset, part = _append(file.write, offset, numbers.tobytes())
            rows = numbers.shape[0] if numbers.ndim > 1 else 0
            arrays[key] = msgspec.structs.replace(part, dtype=numbers.dtype.str, rows=rows)
        directory = msgspec.msgpack.encode(_Directory(content.block, content.origin_us, bitmaps, arrays))
        file.write(directory)
        file.write(_FOOTER.pack(offset, len(directory), hashlib.sha256(directory).digest(), _MAGIC))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / name)
    sync_folder(folder)
    return name


def _append(write: object, offset: int, payload: bytes) -> tuple[int, _Part]:
    assert callable(write)
    padding = -offset % _ALIGN
    write(bytes(padding))
    write(payload)
    start = offset + padding
    return start + len(payload), _Part(start, len(payload), zlib.crc32(payload))


def sync_folder(folder: Path) -> None:
    """Make names of a folder durable. Blocks."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def opened(folder: Path, name: str, cache: BitmapCache) -> Content:
    """A stored segment; IndexDamaged where the file is missing or its directory is damaged."""
    try:
        with (folder / name).open("rb") as file:
            view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        offset, length, digest, magic = _FOOTER.unpack(view[-_FOOTER.size :])
        encoded = view[offset : offset + length]
        if magic != _MAGIC or hashlib.sha256(encoded).digest() != digest:
            raise IndexDamaged(f"the directory of {name} is damaged")
        directory = msgspec.msgpack.decode(encoded, type=_Directory)
    except (OSError, ValueError, struct.error, msgspec.MsgspecError) as error:
        raise IndexDamaged(f"the segment {name} is missing or damaged") from error
    bitmaps = _StoredBitmaps(view, directory.bitmaps, name, cache)
    arrays = _StoredArrays(view, directory.arrays)
    return Content(directory.block, directory.origin_us, bitmaps, arrays, name, bitmaps.cut)


class _StoredBitmaps(Mapping[str, BitMap]):
    """Bitmaps of a file, read when they are asked for."""

    def __init__(self, view: memoryview, parts: Mapping[str, _Part], name: str, cache: BitmapCache) -> None:
        self._view = view
        self._parts = parts
        self._name = name
        self._cache = cache
        self._bounds: tuple[int, ...] = ()
        self._slices: tuple[Content, ...] = ()

    def __getitem__(self, key: str) -> BitMap:
        held = self._cache.get((self._name, key))
        if held is None:
            held = (self._read(key),)
            self._cache.put((self._name, key), held, self._parts[key].length)
        return held[0]

    def pieces(self, key: str) -> tuple[BitMap, ...]:
        """One bitmap in slices; KeyError where there is none."""
        held = self._cache.get((self._name, key + _IN_SLICES))
        if held is None:
            held = cut(self._read(key), self._bounds)
            self._cache.put((self._name, key + _IN_SLICES), held, self._parts[key].length)
        return held

    def cut(self, content: Content) -> tuple[Content, ...]:
        """The segment in slices; itself where it is too small for more than one."""
        if not self._slices:
            self._bounds = bounds_of(content.covers)
            self._slices = slices(content, self, len(self._bounds) - 1)
        return self._slices if len(self._slices) > 1 else (content,)

    def _read(self, key: str) -> BitMap:
        return BitMap.deserialize(_checked(self._view, self._parts[key], key))  # type: ignore[arg-type]  # takes any buffer

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)


class _StoredArrays(Mapping[str, Numbers]):
    """Arrays of a file, as views of its mapping; each is compared with its checksum once."""

    def __init__(self, view: memoryview, parts: Mapping[str, _Part]) -> None:
        self._view = view
        self._parts = parts
        self._checked: set[str] = set()

    def __getitem__(self, key: str) -> Numbers:
        part = self._parts[key]
        payload = self._view[part.offset : part.offset + part.length]
        if key not in self._checked:
            payload = _checked(self._view, part, key)
            self._checked.add(key)
        found = np.frombuffer(payload, dtype=part.dtype)
        return found.reshape(part.rows, -1) if part.rows else found

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)


def _checked(view: memoryview, part: _Part, key: str) -> memoryview:
    payload = view[part.offset : part.offset + part.length]
    if len(payload) != part.length or zlib.crc32(payload) != part.checksum:
        raise IndexDamaged(f"{key!r} of the tag index is damaged")
    return payload
