"""What only the Redis store shows: keys, scripts, survival."""

import random
from asyncio import sleep
from pathlib import Path

import pytest

from bihuan_profile.domain.behaviour import Behaviour, Event
from bihuan_profile.domain.governance import Consent, DataClass, Purpose
from bihuan_profile.domain.record import EMPTY
from bihuan_profile.profile_store.blob import DamagedBlobError, decode
from bihuan_profile.profile_store.in_redis import RedisProfileStore, blob_key, seen_key
from bihuan_profile.use_cases.ingesting import Outcome, Submission, ingest_events
from bihuan_profile.use_cases.ports import Backoff, Change
from bihuan_shared.embedded import EmbeddedValkey
from bihuan_shared.errors import Unavailable
from bihuan_shared.redis import open_redis

NOW_US = 1_500_000_000_000_000
AGREED = Consent(frozenset({Purpose.TARGETING}), frozenset(DataClass))
EVENT = Submission(Event(130, "a", Behaviour.ORDER, NOW_US, ("category:tea",)), AGREED)


def backoff() -> Backoff:
    return Backoff(random.Random(1), sleep)


async def test_keys_of_a_bucket_share_their_hash_tag_and_marks_expire(any_redis_url: str) -> None:
    client = await open_redis(any_redis_url)
    await ingest_events(RedisProfileStore(client), backoff(), NOW_US, [EVENT])
    assert sorted([name async for name in client.scan_iter()]) == [b"pf:{2}:130", b"pf:{2}:seen:201707"]
    assert 400 * 86_400 < await client.ttl(seen_key(2, 201707)) <= 432 * 86_400
    assert await client.ttl(blob_key(130)) == -1
    assert await client.object("ENCODING", seen_key(2, 201707)) == b"intset"
    await client.aclose()


async def test_forgotten_script_is_taught_again(any_redis_url: str) -> None:
    client = await open_redis(any_redis_url)
    store = RedisProfileStore(client)
    changes = [Change(person_id, 0, EMPTY) for person_id in range(1, 1_000, 64)]
    assert all(await store.compare_and_set(changes))
    await client.script_flush()
    again = [Change(change.person_id, 1, EMPTY) for change in changes]
    assert all(await store.compare_and_set(again))
    await client.aclose()


async def test_restart_of_the_engine_keeps_profiles_and_marks(tmp_path: Path) -> None:
    server = EmbeddedValkey.start(tmp_path)
    client = await open_redis(server.url)
    await ingest_events(RedisProfileStore(client), backoff(), NOW_US, [EVENT])
    await client.aclose()
    server.stop()
    server = EmbeddedValkey.start(tmp_path)
    client = await open_redis(server.url)
    store = RedisProfileStore(client)
    results = await ingest_events(store, backoff(), NOW_US, [EVENT])
    assert [result.outcome for result in results] == [Outcome.DUPLICATE]
    assert (await store.read([130]))[0].record.orders.frequency == 1
    await client.aclose()
    server.stop()


async def test_lost_engine_is_unavailable(tmp_path: Path) -> None:
    server = EmbeddedValkey.start(tmp_path)
    client = await open_redis(server.url)
    store = RedisProfileStore(client)
    server.stop()
    with pytest.raises(Unavailable):
        await store.read([1])
    with pytest.raises(Unavailable):
        await ingest_events(store, backoff(), NOW_US, [EVENT])
    with pytest.raises(Unavailable):
        _ = [batch async for batch in store.scan(10)]
    assert not await store.ping()
    await client.aclose()


@pytest.mark.parametrize("data", [b"", b"\x01\0\0", b"\x09\0\0\0\1\x90", b"\x01\0\0\0\1\xc1", b"\x01\0\0\0\1\x90"])
def test_damaged_blob_is_named_as_such(data: bytes) -> None:
    with pytest.raises(DamagedBlobError):
        decode(data)
