"""
The spool: what may not be lost while attribution does not answer, in files that outlive the process.

Segments are append-only and named by a growing number. A record is `length:u32 ‖ crc32:u32 ‖ payload`, the crc over
length and payload; a record is acknowledged once it was fsynced. A torn or damaged tail of a segment is cut at the
next start, and never touches an earlier record. Segments are read in order and removed once everything in them was
taken; a reader that dies in between reads some records again, so whoever takes them must be idempotent.
"""

import asyncio
import fcntl
import os
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from bihuan_shared.errors import ResourceExhausted, Unavailable
from bihuan_shared.group_commit import GroupCommit

_HEADER = struct.Struct(">II")
_SUFFIX = ".spool"
MAX_RECORD_BYTES = 1 << 20
HEADER_BYTES = _HEADER.size
_READ_BYTES = 4 * MAX_RECORD_BYTES


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """Bytes on disk in total, and after how many bytes a new segment begins."""

    max_bytes: int = 1 << 30
    segment_bytes: int = 16 << 20


@dataclass(frozen=True, slots=True)
class SpoolBatch:
    """Records from the head of the spool, and where the head is once they are taken."""

    records: tuple[bytes, ...]
    segment: int
    end_offset: int


def frame(payload: bytes) -> bytes:
    """Write one record."""
    length = len(payload).to_bytes(4, "big")
    return length + crc32(payload, crc32(length)).to_bytes(4, "big") + payload


def read_frames(content: bytes, offset: int = 0) -> Iterator[tuple[bytes, int]]:
    """Yield payloads and the offsets behind them, up to the first record that is torn or damaged."""
    while offset + HEADER_BYTES <= len(content):
        length, check = _HEADER.unpack_from(content, offset)
        end = offset + HEADER_BYTES + length
        if not 0 < length <= MAX_RECORD_BYTES or end > len(content):
            return
        payload = content[offset + HEADER_BYTES : end]
        if crc32(payload, crc32(content[offset : offset + 4])) != check:
            return
        yield payload, end
        offset = end


class Spool:
    """
    An open spool; one process owns its folder.

    Opening it cuts torn tails: `cut_bytes` says how much, and what was cut stays beside as `*.cut`. Records of one
    process keep their order. Raises Unavailable where another process owns the folder.
    """

    def __init__(self, folder: Path, limits: SpoolLimits | None = None) -> None:
        self._folder = folder
        self._limits = limits or SpoolLimits()
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        self._owned = _own(folder)
        self.cut_bytes = 0
        self._sizes: dict[int, int] = {}
        for path in sorted(folder.glob(f"*{_SUFFIX}")):
            self._recover(path)
        # What was found is never appended to: its last write may not have reached the disk in order.
        self._writing = max(self._sizes, default=0) + 1
        self._file: int | None = None
        self._head_offset = 0
        self._group = GroupCommit[bytes, None](self._append, max_items=500, max_queue=20_000)

    @property
    def pending_bytes(self) -> int:
        """How much is on disk and not yet taken."""
        with self._lock:
            return sum(self._sizes.values()) - self._head_offset

    async def append(self, payload: bytes) -> None:
        """
        Keep a record, fsynced on return.

        Raises ResourceExhausted where the spool is full, Unavailable where the disk refuses, ValueError for an empty
        record or one of more than 1 MiB.
        """
        if not 0 < len(payload) <= MAX_RECORD_BYTES:
            raise ValueError(f"a record has 1 to {MAX_RECORD_BYTES} bytes")
        await self._group.submit_one(payload)

    async def peek(self, max_records: int) -> SpoolBatch | None:
        """Return records from the head without taking them; None where there are none."""
        return await asyncio.to_thread(self._read_head, max_records)

    async def take(self, batch: SpoolBatch) -> None:
        """Take what the last `peek` returned; a segment that is used up is removed."""
        await asyncio.to_thread(self._take, batch)

    async def close(self) -> None:
        """Wait for appends that were accepted and let go of the folder."""
        await self._group.close()
        if self._file is not None:
            os.close(self._file)
            self._file = None
        os.close(self._owned)

    def _path(self, segment: int) -> Path:
        return self._folder / f"{segment:012d}{_SUFFIX}"

    def _recover(self, path: Path) -> None:
        content = path.read_bytes()
        end = 0
        for _, behind in read_frames(content):
            end = behind
        if end < len(content):
            self._keep_cut(path, content[end:])
            os.truncate(path, end)
        if end:
            self._sizes[int(path.stem)] = end
        else:
            path.unlink()

    def _keep_cut(self, path: Path, content: bytes) -> None:
        """What is cut is kept for people to look at: damage in the middle is no torn write."""
        self.cut_bytes += len(content)
        path.with_suffix(".cut").write_bytes(content)

    async def _append(self, payloads: Sequence[bytes]) -> Sequence[None]:
        await asyncio.to_thread(self._write, b"".join(map(frame, payloads)))
        return [None] * len(payloads)

    def _write(self, content: bytes) -> None:
        with self._lock:
            if sum(self._sizes.values()) + len(content) > self._limits.max_bytes:
                raise ResourceExhausted("the spool is full")
            segment = self._writing
            try:
                self._write_through(segment, content)
            except OSError as error:
                self._abandon(segment)
                raise Unavailable("the spool cannot be written") from error
            self._sizes[segment] = self._sizes.get(segment, 0) + len(content)
            if self._sizes[segment] >= self._limits.segment_bytes:
                self._roll()

    def _write_through(self, segment: int, content: bytes) -> None:
        if self._file is None:
            self._file = os.open(self._path(segment), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self._sync_folder()
        written = 0
        while written < len(content):
            written += os.write(self._file, content[written:])
        os.fsync(self._file)

    def _abandon(self, segment: int) -> None:
        """After a failed write or fsync nothing may follow in this file; cut what was not acknowledged and go on."""
        if self._file is not None:
            # Where this fails too, the next start cuts the tail.
            with suppress(OSError):
                os.ftruncate(self._file, self._sizes.get(segment, 0))
            self._roll()

    def _roll(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
        self._writing += 1

    def _sync_folder(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _read_head(self, max_records: int) -> SpoolBatch | None:
        with self._lock:
            for segment in sorted(self._sizes):
                end = self._head_offset
                with self._path(segment).open("rb") as file:
                    file.seek(self._head_offset)
                    content = file.read(min(self._sizes[segment] - self._head_offset, _READ_BYTES))
                records: list[bytes] = []
                for payload, behind in read_frames(content):
                    records.append(payload)
                    end = self._head_offset + behind
                    if len(records) == max_records:
                        break
                if records:
                    return SpoolBatch(tuple(records), segment, end)
                if content:
                    self._keep_cut(self._path(segment), content)
                self._retire(segment)
            return None

    def _take(self, batch: SpoolBatch) -> None:
        with self._lock:
            if batch.segment not in self._sizes:
                return
            self._head_offset = batch.end_offset
            if batch.end_offset >= self._sizes[batch.segment]:
                self._retire(batch.segment)

    def _retire(self, segment: int) -> None:
        """Remove a segment that is used up; one that is still written is closed first, so that nothing follows."""
        if segment == self._writing:
            self._roll()
        del self._sizes[segment]
        self._head_offset = 0
        self._path(segment).unlink(missing_ok=True)
        self._sync_folder()


def _own(folder: Path) -> int:
    """Lock the folder for the life of the process."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise Unavailable("another process owns the spool") from error
    return lock
