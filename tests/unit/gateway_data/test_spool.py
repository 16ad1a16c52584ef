"""The spool: what it acknowledged survives torn tails, damage and restarts, in order."""

import asyncio
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bihuan_gateway.data.spool import Spool, SpoolLimits, frame, read_frames
from bihuan_shared.errors import ResourceExhausted, Unavailable

payloads = st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=12)


def offsets(records: list[bytes]) -> list[int]:
    ends = [0]
    for record in records:
        ends.append(ends[-1] + len(frame(record)))
    return ends


async def drain(spool: Spool, step: int = 3) -> list[bytes]:
    taken: list[bytes] = []
    while (batch := await spool.peek(step)) is not None:
        taken += batch.records
        await spool.take(batch)
    return taken


def reopened(content: bytes) -> list[bytes]:
    async def run() -> list[bytes]:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / f"{7:012d}.spool").write_bytes(content)
            spool = Spool(Path(folder))
            await spool.append(b"written after the damage")
            try:
                return await drain(spool)
            finally:
                await spool.close()

    return asyncio.run(run())


@settings(max_examples=60, deadline=None)
@given(records=payloads, cut=st.integers(0, 10_000))
def test_a_torn_tail_loses_no_earlier_record(records: list[bytes], cut: int) -> None:
    content = b"".join(map(frame, records))
    size = cut % (len(content) + 1)
    whole = sum(1 for end in offsets(records)[1:] if end <= size)
    assert reopened(content[:size]) == [*records[:whole], b"written after the damage"]


@settings(max_examples=60, deadline=None)
@given(records=payloads, position=st.integers(0, 10_000), bit=st.integers(0, 7), garbage=st.binary(max_size=20))
def test_a_flipped_bit_loses_no_earlier_record(records: list[bytes], position: int, bit: int, garbage: bytes) -> None:
    content = bytearray(b"".join(map(frame, records)))
    at = position % len(content)
    content[at] ^= 1 << bit
    before = sum(1 for end in offsets(records)[1:] if end <= at)
    taken = reopened(bytes(content) + garbage)
    assert taken[:before] == records[:before]
    assert taken[-1] == b"written after the damage"
    assert set(taken[:-1]) <= set(records)


@given(records=payloads)
def test_frames_read_back(records: list[bytes]) -> None:
    assert [payload for payload, _ in read_frames(b"".join(map(frame, records)))] == records


async def test_records_keep_their_order_over_segments_and_restarts(tmp_path: Path) -> None:
    limits = SpoolLimits(segment_bytes=64)
    first = Spool(tmp_path, limits)
    for number in range(10):
        await first.append(f"first {number}".encode())
    batch = await first.peek(4)
    assert batch is not None
    await first.take(batch)
    await first.close()
    second = Spool(tmp_path, limits)
    await second.append(b"second")
    taken = await drain(second)
    # A segment that was used up in part is read again: whoever takes it is idempotent.
    assert taken[-7:] == [f"first {number}".encode() for number in range(4, 10)] + [b"second"]
    assert second.pending_bytes == 0
    assert not list(tmp_path.glob("*.spool"))
    await second.close()


async def test_concurrent_appends_are_all_kept(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    await asyncio.gather(*(spool.append(str(number).encode()) for number in range(200)))
    assert [int(record) for record in await drain(spool, 50)] == list(range(200))
    await spool.close()


async def test_a_full_spool_refuses_and_takes_again_once_it_was_drained(tmp_path: Path) -> None:
    spool = Spool(tmp_path, SpoolLimits(max_bytes=100, segment_bytes=50))
    for _ in range(3):
        await spool.append(b"x" * 20)
    with pytest.raises(ResourceExhausted):
        await spool.append(b"x" * 20)
    assert len(await drain(spool)) == 3
    await spool.append(b"x" * 20)
    await spool.close()


async def test_a_disk_that_refuses_acknowledges_nothing_and_damages_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path)
    await spool.append(b"kept")
    synced = os.fsync

    def refuse(_: int) -> None:
        raise OSError(5, "EIO")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(Unavailable):
        await spool.append(b"lost")
    monkeypatch.setattr(os, "fsync", synced)
    await spool.append(b"kept too")
    assert await drain(spool) == [b"kept", b"kept too"]
    await spool.close()


async def test_a_folder_has_one_owner(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with pytest.raises(Unavailable):
        Spool(tmp_path)
    await spool.close()
    await Spool(tmp_path).close()


async def test_what_was_cut_is_kept_beside(tmp_path: Path) -> None:
    torn = frame(b"whole") + frame(b"torn")[:-1]
    (tmp_path / f"{1:012d}.spool").write_bytes(torn)
    spool = Spool(tmp_path)
    assert spool.cut_bytes == len(frame(b"torn")) - 1
    assert [path.name for path in tmp_path.glob("*.cut")] == ["000000000001.cut"]
    assert await drain(spool) == [b"whole"]
    await spool.close()
