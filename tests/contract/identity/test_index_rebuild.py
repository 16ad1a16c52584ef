"""The index filled anew from the database, on real stores."""

import asyncio
from pathlib import Path

from bihuan_identity.domain.graph import Attachment
from bihuan_identity.graph_store import SqlGraphStore
from bihuan_identity.index_store import RedisIdentifierIndex
from bihuan_identity.rebuild import Rebuilt, rebuild, rebuild_index
from bihuan_identity.use_cases.linking import write_links
from bihuan_identity.use_cases.resolving import batch_resolve
from tests.unit.identity.builders import identity_of, item, key, link_of
from tests.unit.identity.memory_identity import MemoryIdentifierIndex

KEYS = [key(f"a{at}") for at in range(300)] + [key(f"b{at}") for at in range(300)]
INDEX_TIMEOUT_S = 5.0


async def filled_store(database_url: str) -> SqlGraphStore:
    """A store of 300 persons of two identifiers, of which two merged."""
    store = await SqlGraphStore.open(database_url, epoch=1)
    identity = identity_of(store, MemoryIdentifierIndex())
    await batch_resolve(identity, [item(f"a{at} b{at}") for at in range(300)])
    await write_links(identity.graph, [link_of("a0 a1")])
    return store


async def test_pages_tell_every_identifier_once_in_the_order_of_keys(database_url: str) -> None:
    store = await filled_store(database_url)
    told: dict[bytes, Attachment] = {}
    after = b""
    while page := await store.attachments_after(after, 97):
        assert list(page) == sorted(page)
        assert min(page) > after
        told |= page
        after = max(page)
    assert told == await store.find(KEYS)
    assert len(told) == 600
    await store.close()


async def test_rebuilt_index_says_what_the_database_says(database_url: str, any_redis_url: str) -> None:
    store = await filled_store(database_url)
    done = await rebuild_index(database_url, any_redis_url)
    assert (done.read_count, done.added_count) == (600, 600)
    index = RedisIdentifierIndex(any_redis_url, timeout_s=INDEX_TIMEOUT_S)
    assert await index.get(KEYS) == await store.find(KEYS)
    await index.put({KEYS[0]: Attachment(99, 1)})
    assert (await rebuild_index(database_url, any_redis_url)).added_count == 0
    assert await index.get(KEYS[:1]) == {KEYS[0]: Attachment(99, 1)}
    assert (await rebuild_index(database_url, any_redis_url, clear=True)).added_count == 600
    assert await index.get(KEYS) == await store.find(KEYS)
    await index.close()
    await store.close()


async def test_persons_that_change_during_a_rebuild_are_as_they_are(tmp_path: Path, any_redis_url: str) -> None:
    store = await filled_store(f"sqlite:///{tmp_path}/identity.db")
    index = RedisIdentifierIndex(any_redis_url, timeout_s=INDEX_TIMEOUT_S)
    identity = identity_of(store, index)
    links = [link_of(f"a{at} a{at + 1}") for at in range(2, 200, 2)]

    async def change() -> None:
        for link in links:
            await write_links(identity.graph, [link])

    _, done = await asyncio.gather(change(), rebuild(store, index, page=7))
    assert isinstance(done, Rebuilt)
    assert done.read_count == 600
    names = [f"{letter}{at}" for letter in "ab" for at in range(300)]
    answers = await batch_resolve(identity, [item(name, create=False) for name in names])
    truth = await store.find([key(name) for name in names])
    assert [answer.person_id for answer in answers] == [truth[key(name)].person_id for name in names]
    await index.close()
    await store.close()
