"""Changes of persons on the stream: in order, each once, whoever publishes them and however often."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bihuan.common.v1.common_pb2 import PersonsChanged
from bihuan_identity.change_stream import NoChangeStream, RedisChangeStream
from bihuan_identity.domain.graph import Part, PersonsChange
from bihuan_identity.use_cases.linking import link
from bihuan_identity.use_cases.publishing import publish_changes
from bihuan_identity.use_cases.resolving import batch_resolve
from bihuan_shared.errors import Unavailable
from bihuan_shared.person_stream import SHARD, STREAM
from bihuan_shared.redis import RedisClient, open_redis
from bihuan_shared.streams import history
from tests.unit.identity.builders import identity_of, item, link_of
from tests.unit.identity.memory_identity import MemoryGraphStore, MemoryIdentifierIndex


def change(change_id: int) -> PersonsChange:
    return PersonsChange(change_id, 1_500_000_000 + change_id, 7, (1, 2), (Part(1, (5, 2**64 - 1)), Part(3)), ((1, 1),))


def changes(first: int, last: int) -> list[PersonsChange]:
    return [change(at) for at in range(first, last + 1)]


@pytest.fixture
async def stream(any_redis_url: str) -> AsyncIterator[RedisChangeStream]:
    opened = RedisChangeStream(any_redis_url)
    yield opened
    await opened.close()


@pytest.fixture
async def redis(any_redis_url: str) -> AsyncIterator[RedisClient]:
    client = await open_redis(any_redis_url)
    yield client
    await client.aclose()


async def published(redis: RedisClient) -> list[PersonsChanged]:
    return [message async for page in history(redis, STREAM, SHARD, PersonsChanged) for message in page]


async def ids(redis: RedisClient) -> list[int]:
    return [message.change_id for message in await published(redis)]


async def test_message_says_who_belongs_to_whom_now(stream: RedisChangeStream, redis: RedisClient) -> None:
    await stream.publish([change(1)])
    (message,) = await published(redis)
    assert list(message.before_person_ids) == [1, 2]
    assert [(part.person_id, list(part.sighting_ids)) for part in message.parts] == [(1, [5, 2**64 - 1]), (3, [])]
    assert message.change_time.seconds == 1_500_000_001


async def test_stream_knows_how_far_it_goes(stream: RedisChangeStream) -> None:
    assert await stream.last_change_id() == 0
    await stream.publish(changes(1, 3))
    assert await stream.last_change_id() == 3
    await stream.publish([])
    assert await stream.last_change_id() == 3


async def test_what_is_published_already_is_left_out(stream: RedisChangeStream, redis: RedisClient) -> None:
    await stream.publish(changes(1, 3))
    await stream.publish(changes(2, 5))
    await stream.publish(changes(1, 2))
    assert await ids(redis) == [1, 2, 3, 4, 5]


async def test_publishers_that_race_publish_everything_once_and_in_order(
    stream: RedisChangeStream, redis: RedisClient, any_redis_url: str
) -> None:
    other = RedisChangeStream(any_redis_url)
    for start in range(1, 200, 20):
        await asyncio.gather(
            *(publisher.publish(changes(start, start + 19)) for publisher in (stream, other) for _ in range(3))
        )
    assert await ids(redis) == list(range(1, 201))
    await other.close()


async def test_log_is_published_to_its_end_and_again_after_a_flush(
    stream: RedisChangeStream, redis: RedisClient, any_redis_url: str
) -> None:
    store = MemoryGraphStore()
    identity = identity_of(store, MemoryIdentifierIndex())
    await batch_resolve(identity, [item(f"n{at}") for at in range(1_201)])
    for at in range(0, 1_200, 2):
        await link(identity, link_of(f"n{at} n{at + 1}"))
    other = RedisChangeStream(any_redis_url)
    counts = await asyncio.gather(*(publish_changes(store, one) for one in (stream, other)))
    # Which of the two published how much is up to them.
    assert sum(counts) >= 600
    assert await ids(redis) == list(range(1, 601))
    assert await publish_changes(store, stream) == 0
    await redis.flushall()
    assert await publish_changes(store, stream) == 600
    assert await ids(redis) == list(range(1, 601))
    await other.close()


async def test_lost_stream_is_unavailable_and_no_stream_has_everything() -> None:
    lost = RedisChangeStream("redis://127.0.0.1:1")
    with pytest.raises(Unavailable):
        await lost.last_change_id()
    with pytest.raises(Unavailable):
        await lost.publish([change(1)])
    await lost.close()
    none = NoChangeStream()
    await none.publish([change(1)])
    assert await publish_changes(MemoryGraphStore(), none) == 0
    await none.close()
