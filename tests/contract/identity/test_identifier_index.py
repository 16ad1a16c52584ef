"""What every index of identifiers does, the one in memory included."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bihuan_identity.domain.graph import CERTAIN_PPM, MAX_GENERATION, MAX_PERSON_ID, Attachment
from bihuan_identity.index_store import RedisIdentifierIndex, decode, encode
from bihuan_identity.use_cases.linking import link
from bihuan_identity.use_cases.ports import IdentifierIndex
from bihuan_identity.use_cases.resolving import batch_resolve
from bihuan_shared.errors import Unavailable
from bihuan_shared.redis import open_redis
from tests.unit.identity.builders import identity_of, item, key, link_of
from tests.unit.identity.memory_identity import MemoryGraphStore


async def test_entries_come_back_as_they_were_put(index: IdentifierIndex) -> None:
    entries = {key(f"n{at}"): Attachment(at + 1, CERTAIN_PPM - at % 7) for at in range(2_000)}
    await index.put(entries)
    assert await index.get([*entries, key("unknown")]) == entries


async def test_later_entry_replaces_the_earlier_one(index: IdentifierIndex) -> None:
    await index.put({key("a"): Attachment(2, CERTAIN_PPM)})
    await index.put({key("a"): Attachment(1, 600_000)})
    assert await index.get([key("a")]) == {key("a"): Attachment(1, 600_000)}


async def test_removed_entries_are_not_found_and_the_others_stay(index: IdentifierIndex) -> None:
    entries = {key(f"n{at}"): Attachment(at + 1, CERTAIN_PPM, at % 256) for at in range(700)}
    await index.put(entries)
    gone = [key(f"n{at}") for at in range(0, 700, 2)]
    await index.remove([*gone, key("never there")])
    assert await index.get(list(entries)) == {each: entries[each] for each in entries if each not in set(gone)}
    await index.remove(gone)
    await index.put({gone[0]: Attachment(9, 0, 255)})
    assert await index.get(gone) == {gone[0]: Attachment(9, 0, 255)}


async def test_nothing_asked_is_nothing_done(index: IdentifierIndex) -> None:
    assert await index.get([]) == {}
    await index.put({})
    await index.remove([])


async def test_empty_index_knows_nothing(index: IdentifierIndex) -> None:
    assert await index.get([key("a")]) == {}


async def test_everything_resolves_after_the_index_was_flushed(any_redis_url: str) -> None:
    index = RedisIdentifierIndex(any_redis_url, timeout_s=5.0)
    identity = identity_of(MemoryGraphStore(), index)
    items = [item(f"a{at} b{at}") for at in range(300)]
    await batch_resolve(identity, items)
    await link(identity, link_of("a0 a1"))
    before = await batch_resolve(identity, items)
    client = await open_redis(any_redis_url)
    await client.flushall()
    await client.aclose()
    assert await batch_resolve(identity, items) == before
    assert len(await index.get([key(f"a{at}") for at in range(300)])) == 300
    await index.close()


async def test_keys_are_hash_tagged_buckets(any_redis_url: str) -> None:
    index = RedisIdentifierIndex(any_redis_url, buckets=4, timeout_s=5.0)
    await index.put({key(f"n{at}"): Attachment(at + 1, CERTAIN_PPM) for at in range(500)})
    client = await open_redis(any_redis_url)
    names = [name async for name in client.scan_iter() if isinstance(name, bytes)]
    assert {name.rpartition(b":")[2] for name in names} == {b"0", b"1", b"2", b"3"}
    assert all(re.fullmatch(rb"id:\{\d{1,2}\}:[0-3]", name) for name in names)
    await client.aclose()
    await index.close()


async def test_filling_adds_only_what_is_not_there(any_redis_url: str) -> None:
    index = RedisIdentifierIndex(any_redis_url, timeout_s=5.0)
    written = {key(f"n{at}"): Attachment(7, 5, 3) for at in range(0, 900, 3)}
    truth = {key(f"n{at}"): Attachment(at + 1, CERTAIN_PPM) for at in range(900)}
    await index.put(written)
    assert await index.fill(truth) == 600
    assert await index.get(list(truth)) == truth | written
    assert await index.fill(truth) == 0
    assert await index.fill({}) == 0
    await index.close()


async def test_clearing_forgets_every_bucket_and_nothing_else(any_redis_url: str) -> None:
    client = await open_redis(any_redis_url)
    await client.set("other:{1}:1", b"kept")
    entries = {key(f"n{at}"): Attachment(1, CERTAIN_PPM) for at in range(500)}
    for buckets in (1, 16):
        index = RedisIdentifierIndex(any_redis_url, buckets=buckets, timeout_s=5.0)
        await index.put(entries)
        await index.close()
    index = RedisIdentifierIndex(any_redis_url, buckets=4, timeout_s=5.0)
    await index.clear()
    assert [name async for name in client.scan_iter()] == [b"other:{1}:1"]
    await index.close()
    await client.aclose()


async def test_unreachable_index_is_unavailable_and_left_alone_for_a_while() -> None:
    index = RedisIdentifierIndex("redis://127.0.0.1:1", pause_s=3_600)
    for expected in ("does not answer", "a moment ago"):
        with pytest.raises(Unavailable, match=expected):
            await index.get([key("a")])
    await index.close()


ATTACHMENTS = st.builds(
    Attachment,
    st.integers(1, MAX_PERSON_ID),
    st.integers(0, CERTAIN_PPM),
    st.integers(0, MAX_GENERATION),
)


@given(ATTACHMENTS)
@example(Attachment(MAX_PERSON_ID, 0, MAX_GENERATION))
@example(Attachment(1, CERTAIN_PPM, 0))
def test_packed_entry_is_eight_bytes_and_unpacks(attachment: Attachment) -> None:
    packed = encode(attachment)
    assert len(packed) == 8
    assert packed != bytes(8)
    assert decode(packed) == attachment
