"""Changes of persons on the stream, on one node and on a cluster."""

import asyncio

from bihuan.common.v1.common_pb2 import PersonsChanged
from bihuan_identity.change_stream import RedisChangeStream
from bihuan_identity.domain.graph import Part, PersonsChange
from bihuan_shared.person_change import PersonPart
from bihuan_shared.person_stream import SHARD, STREAM, change_of
from bihuan_shared.redis import open_redis
from bihuan_shared.streams import history

CHANGES = [
    PersonsChange(1, 1_500_000_000, 7, (1, 2), (Part(1),)),
    PersonsChange(2, 1_500_000_001, 0, (1,), (Part(1, (2**64 - 1, 5)), Part(9, (6,)))),
    PersonsChange(3, 1_500_000_002, 0, (9,), ()),
]


async def published(redis_url: str) -> list[PersonsChanged]:
    """Everything on the stream."""
    client = await open_redis(redis_url)
    found = [message async for page in history(client, STREAM, SHARD, PersonsChanged) for message in page]
    await client.aclose()
    return found


async def test_changes_are_published_in_order_with_their_parts(any_redis_url: str) -> None:
    stream = RedisChangeStream(any_redis_url)
    assert await stream.last_change_id() == 0
    await stream.publish(CHANGES)
    assert await stream.last_change_id() == 3
    merge, split, erasure = map(change_of, await published(any_redis_url))
    assert (merge.change_id, merge.before_ids, merge.survivor_id) == (1, (1, 2), 1)
    assert split.parts == (PersonPart(1, frozenset({5, 2**64 - 1})), PersonPart(9, frozenset({6})))
    assert (erasure.erased_ids, erasure.change_time_us) == ((9,), 1_500_000_002_000_000)
    await stream.close()


async def test_repeats_and_publishers_at_once_publish_each_change_once(any_redis_url: str) -> None:
    streams = [RedisChangeStream(any_redis_url) for _ in range(4)]
    await streams[0].publish(CHANGES[:2])
    await asyncio.gather(*(stream.publish(CHANGES) for stream in streams))
    assert [message.change_id for message in await published(any_redis_url)] == [1, 2, 3]
    for stream in streams:
        await stream.close()
