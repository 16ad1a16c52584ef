"""What every store of private tags keeps to."""

from collections.abc import AsyncIterator

import pytest
from made_up_tags import private_tag

from bihuan_profile.domain.taxonomy import TagType
from bihuan_profile.profile_store.tags_in_memory import MemoryPrivateTagStore
from bihuan_profile.profile_store.tags_in_redis import RedisPrivateTagStore, tags_key
from bihuan_profile.use_cases.private_tags import NOTHING_HELD, HeldTags, PrivateTagStore
from bihuan_shared.clock import DAY_US
from bihuan_shared.errors import Internal
from bihuan_shared.redis import open_redis


@pytest.fixture(params=["memory", "redis_url", "redis_cluster_url"])
async def tags(request: pytest.FixtureRequest) -> AsyncIterator[PrivateTagStore]:
    """An empty store."""
    if request.param == "memory":
        yield MemoryPrivateTagStore()
        return
    client = await open_redis(request.getfixturevalue(request.param))
    yield RedisPrivateTagStore(client)
    await client.aclose()


async def test_what_was_written_is_read_back_whole(tags: PrivateTagStore) -> None:
    rich = private_tag(
        "tier",
        type=TagType.TEXT,
        values=("gold", "白银"),
        retention_us=9 * DAY_US,
        half_life_us=DAY_US // 3,
        iab_audience_id=2,
    )
    assert await tags.compare_and_set("acme", HeldTags((private_tag(), rich), 4))
    other = private_tag("tier", "globex")
    assert await tags.compare_and_set("globex", HeldTags((other,)))
    assert await tags.read(["globex", "nobody", "acme"]) == [
        HeldTags((other,), 0, 1),
        NOTHING_HELD,
        HeldTags((private_tag(), rich), 4, 1),
    ]
    assert await tags.read([]) == []


async def test_write_over_a_revision_that_moved_on_is_refused(tags: PrivateTagStore) -> None:
    assert await tags.compare_and_set("acme", HeldTags((private_tag(),)))
    assert not await tags.compare_and_set("acme", HeldTags((private_tag("other"),)))
    assert await tags.compare_and_set("acme", HeldTags((private_tag("other"),), revision=1))
    (held,) = await tags.read(["acme"])
    assert (held.tags, held.revision) == ((private_tag("other"),), 2)


async def test_epoch_lasts_as_long_as_what_is_held(tags: PrivateTagStore) -> None:
    first = await tags.epoch()
    await tags.compare_and_set("acme", HeldTags((private_tag(),)))
    assert first
    assert await tags.epoch() == first


async def test_epoch_is_another_one_after_everything_was_lost(any_redis_url: str) -> None:
    client = await open_redis(any_redis_url)
    store = RedisPrivateTagStore(client)
    first = await store.epoch()
    await client.flushall()
    assert await store.epoch() not in {first, ""}
    await client.aclose()


async def test_damaged_tags_are_a_failure_and_never_fewer_tags(any_redis_url: str) -> None:
    client = await open_redis(any_redis_url)
    await client.hset(tags_key("acme"), mapping={"revision": "1", "tags": "no MessagePack"})
    with pytest.raises(Internal):
        await RedisPrivateTagStore(client).read(["acme"])
    await client.aclose()


async def test_lives_are_kept_where_no_tag_is_left(tags: PrivateTagStore) -> None:
    held = HeldTags((private_tag(life=3),), 4, 0, {"acme.vip_level": 3})
    assert await tags.compare_and_set("acme", held)
    assert await tags.compare_and_set("acme", HeldTags((), 5, 1, {"acme.vip_level": 4}))
    assert await tags.read(["acme"]) == [HeldTags((), 5, 2, {"acme.vip_level": 4})]
