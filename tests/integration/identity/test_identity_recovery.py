"""A running identity server after crashes, lost or misleading index entries; and what it publishes."""

import asyncio
import time
from collections.abc import Sequence

from bihuan.common.v1.common_pb2 import Identifier, PersonsChanged
from bihuan_identity.domain.graph import CERTAIN_PPM, Attachment
from bihuan_identity.domain.keys import KeyHasher, parse_peppers
from bihuan_identity.index_store import RedisIdentifierIndex
from bihuan_shared.person_stream import SHARD, STREAM
from bihuan_shared.redis import open_redis
from bihuan_shared.streams import history
from tests.integration.identity.calls import batch, cookie, delete, link, login, persons, unlink
from tests.integration.identity.conftest import PEPPERS, Client, IdentityProcess

PUBLISHED_WITHIN_S = 20.0
HASHER = KeyHasher(parse_peppers(PEPPERS))


async def flush(redis_url: str) -> None:
    client = await open_redis(redis_url)
    assert await client.dbsize() > 0
    await client.flushall()
    await client.aclose()


async def published(redis_url: str, count: int) -> Sequence[PersonsChanged]:
    """The first `count` changes on the stream, once they are there."""
    client = await open_redis(redis_url)
    deadline = time.monotonic() + PUBLISHED_WITHIN_S
    while True:
        found = [message async for page in history(client, STREAM, SHARD, PersonsChanged) for message in page]
        if len(found) >= count:
            break
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.02)
    await client.aclose()
    return found[:count]


def key_of(identifier: Identifier) -> bytes:
    return HASHER.identify(identifier.namespace, identifier.value).key


async def test_kill_and_restart_keep_what_was_answered(process: IdentityProcess) -> None:
    items = [[login(f"p{at}"), cookie(f"k{at}")] for at in range(200)]
    before = await persons(process, *items, create=True)
    await process.stub.Link(link(login("p0"), login("p1"), request_id="r"))
    killed = asyncio.gather(
        *(persons(process, [cookie(f"late{at}"), login(f"p{at + 2}")], create=True) for at in range(50)),
        return_exceptions=True,
    )
    await process.kill()
    late = await killed
    await process.start()
    after = await persons(process, *items, create=True)
    assert after == [1, 1, *before[2:]]
    assert (await process.stub.Link(link(login("p0"), login("p1"), request_id="r"))).merged_person_ids == [2]
    for at, answer in enumerate(late):
        if not isinstance(answer, BaseException):
            assert await persons(process, [cookie(f"late{at}")]) == answer
    fresh = await persons(process, [cookie("fresh")], create=True)
    assert fresh == [201]
    assert await process.stop() == 0


async def test_kill_amid_merges_and_splits_leaves_index_and_truth_agreed(
    process: IdentityProcess, redis_url: str
) -> None:
    items = [[login(f"p{at}"), cookie(f"k{at}")] for at in range(60)]
    await persons(process, *items, create=True)
    done = [
        await process.stub.Link(link(login(f"p{at}"), login(f"p{at + 1}"), request_id=f"r{at}"))
        for at in range(0, 40, 2)
    ]
    await persons(process, *items)
    killed = asyncio.gather(
        *(unlink(process, answer.evidence_id, f"u{at}") for at, answer in enumerate(done)),
        *(process.stub.Link(link(login(f"p{at}"), cookie(f"k{at + 1}"), request_id=f"q{at}")) for at in range(41, 59)),
        *(delete(process, 60, "d") for _ in range(2)),
        return_exceptions=True,
    )
    await asyncio.wait([killed], timeout=0.05)
    await process.kill()
    answers = (await killed)[: len(done)]
    await process.start()
    indexed = await persons(process, *([identifier] for item in items for identifier in item))
    await flush(redis_url)
    assert await persons(process, *([identifier] for item in items for identifier in item)) == indexed
    for at, answer in enumerate(answers):
        if not isinstance(answer, BaseException):
            assert indexed[4 * at] != indexed[4 * at + 2]
            assert await unlink(process, done[at].evidence_id, f"u{at}") == answer
    assert await process.stop() == 0


async def test_flushed_index_changes_no_answer(server: Client, redis_url: str) -> None:
    items = [[login(f"p{at}"), cookie(f"k{at}")] for at in range(100)]
    await persons(server, *items, create=True)
    merged = await server.stub.Link(link(login("p0"), login("p99"), request_id="r"))
    before = await persons(server, *items)
    await flush(redis_url)
    assert await persons(server, *items) == before
    await unlink(server, merged.evidence_id, "u")
    await flush(redis_url)
    assert await persons(server, *items) == list(range(1, 101))


async def test_entry_that_was_left_behind_is_not_believed(server: Client, redis_url: str) -> None:
    await persons(server, [login("a"), cookie("a1")], [login("b"), cookie("b1")], [login("c")], create=True)
    index = RedisIdentifierIndex(redis_url, timeout_s=5.0)
    keys = [key_of(one) for one in (login("a"), cookie("a1"), login("b"), cookie("b1"), login("c"))]
    created = await index.get(keys)
    assert len(created) == 5
    merged = await server.stub.Link(link(login("a"), login("b"), request_id="r"))
    await index.put(created)
    assert await persons(server, [login("b")], [cookie("b1")]) == [1, 1]

    together = {key: Attachment(1, CERTAIN_PPM) for key in keys[:4]}
    await unlink(server, merged.evidence_id, "u")
    await delete(server, 3, "d")
    for stale in (together, created):
        await index.put(stale)
        assert await persons(server, [login("a")], [cookie("a1")], [login("b")], [cookie("b1")]) == [1, 1, 2, 2]
    assert await persons(server, [login("c")]) == [0]
    assert await index.get(keys[2:4]) == {key: Attachment(2, CERTAIN_PPM, 1) for key in keys[2:4]}
    await index.close()


async def test_entry_left_behind_by_a_process_that_is_gone_is_not_believed(
    process: IdentityProcess, redis_url: str
) -> None:
    await persons(process, [login("a")], [login("b")], [login("c")], create=True)
    index = RedisIdentifierIndex(redis_url, timeout_s=5.0)
    keys = [key_of(login(name)) for name in "abc"]
    created = await index.get(keys)
    merged = await process.stub.Link(link(login("a"), login("b"), request_id="r"))
    await delete(process, 3, "d")
    await process.kill()
    await index.put(created)
    await process.start()
    assert await persons(process, [login("a")], [login("b")], [login("c")]) == [1, 1, 0]
    merged_entries = await index.get(keys)
    await unlink(process, merged.evidence_id, "u")
    await process.kill()
    await index.put(merged_entries)
    await process.start()
    assert await persons(process, [login("a")], [login("b")], [login("c")]) == [1, 2, 0]
    await index.close()


async def test_changes_of_persons_arrive_on_the_stream_with_the_sightings_of_each_part(
    server: Client, redis_url: str
) -> None:
    results = (await server.stub.BatchResolve(batch([login("a")], [cookie("b1"), login("b")]))).results
    merged = await server.stub.Link(link(login("a"), login("b"), request_id="r"))
    (result,) = (await server.stub.BatchResolve(batch([login("b")]))).results
    await unlink(server, merged.evidence_id, "u")
    await delete(server, 2, "d")
    merge, split, erasure = await published(redis_url, 3)
    assert [change.change_id for change in (merge, split, erasure)] == [1, 2, 3]
    assert [list(change.before_person_ids) for change in (merge, split, erasure)] == [[1, 2], [1], [2]]
    assert [[part.person_id for part in change.parts] for change in (merge, split, erasure)] == [[1], [1, 2], []]
    assert list(split.parts[0].sighting_ids) == [results[0].sighting_id]
    assert set(split.parts[1].sighting_ids) == {results[1].sighting_id, result.sighting_id}


async def test_changes_are_published_anew_after_a_flush_and_by_the_next_process(
    process: IdentityProcess, redis_url: str
) -> None:
    await persons(process, *([login(f"p{at}")] for at in range(20)), create=True)
    for at in range(9):
        await process.stub.Link(link(login(f"p{2 * at}"), login(f"p{2 * at + 1}"), request_id=f"r{at}"))
    await process.kill()
    await flush(redis_url)
    await process.start()
    await process.stub.Link(link(login("p18"), login("p19"), request_id="last"))
    changes = await published(redis_url, 10)
    assert [change.change_id for change in changes] == list(range(1, 11))
    assert list(changes[-1].before_person_ids) == [19, 20]
