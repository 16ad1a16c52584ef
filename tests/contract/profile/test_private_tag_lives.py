"""Private tags end, and are kept as long as they say: what becomes of their values in the store."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from made_up_tags import private_tag

from bihuan_profile.domain.record import Fact, FactValue
from bihuan_profile.domain.retention import retention_of
from bihuan_profile.domain.taxonomy import Tag, TagType
from bihuan_profile.journal import ATTRIBUTES, LakeHistory, LakeJournal, LakeRows
from bihuan_profile.profile_store.in_redis import RedisProfileStore
from bihuan_profile.profile_store.jobs import RedisJobs
from bihuan_profile.profile_store.retaining import RetainingProfileStore
from bihuan_profile.profile_store.tags_in_redis import RedisPrivateTagStore
from bihuan_profile.taxonomy_file import packaged_taxonomy
from bihuan_profile.use_cases.knowing import FactUpdate, set_attributes
from bihuan_profile.use_cases.ports import Backoff
from bihuan_profile.use_cases.private_retention import PrivateRetention
from bihuan_profile.use_cases.private_tags import PrivateTags, delete_tags, put_tags
from bihuan_profile.use_cases.rebuilding import Rebuild
from bihuan_profile.use_cases.sweeping import Sweep, Swept
from bihuan_shared.clock import DAY_US, FixedClock
from bihuan_shared.errors import FailedPrecondition, InvalidArgument
from bihuan_shared.lake import open_lake
from bihuan_shared.redis import RedisClient, open_redis

NOW_US = 1_500_000_000_000_000
PERSON = 7
VIP = private_tag()


class World:
    """A store that lets go of what is too old, over the one that holds it."""

    def __init__(self, client: RedisClient, folder: Path) -> None:
        self.client, self.clock = client, FixedClock(NOW_US)
        self.lake = open_lake(str(folder))
        self.private = PrivateTags(RedisPrivateTagStore(client), time.monotonic)
        self.inner, self.jobs = RedisProfileStore(client), RedisJobs(client)
        platform = packaged_taxonomy()
        self.retention = PrivateRetention(retention_of(platform), platform, self.private)
        self.store = RetainingProfileStore(self.inner, self.clock, self.retention)
        self.backoff = Backoff(random.Random(1), asyncio.sleep)
        self.journal = LakeJournal(self.lake)

    async def declare(self, *tags: Tag, version: int = 0) -> int:
        return await put_tags(self.private, self.backoff, "acme", version, tags)

    async def delete(self, *names: str, version: int = 0, lives: int = 0) -> int:
        return await delete_tags(self.private, self.backoff, "acme", version, dict.fromkeys(names, lives))

    async def set(self, value: FactValue, name: str = VIP.name, time_us: int = NOW_US) -> int:
        taxonomy = await self.private.for_names(packaged_taxonomy(), [name])
        updates = [FactUpdate(PERSON, ((name, Fact(value, time_us)),))]
        return await set_attributes(self.store, self.backoff, taxonomy, self.clock.now_us(), updates, self.journal)

    async def told(self) -> dict[str, FactValue]:
        """By the names that the API tells."""
        (held,) = await self.store.read([PERSON])
        taxonomy = await self.private.for_names(packaged_taxonomy(), held.record.facts)
        facts = [(taxonomy.held(name), fact.value) for name, fact in held.record.facts.items()]
        return {tag.name: value for tag, value in facts if tag is not None}

    async def stored(self) -> Mapping[str, Fact]:
        (held,) = await self.inner.read([PERSON])
        return held.record.facts

    async def sweep(self) -> Swept | None:
        now_us = self.clock.now_us
        rows = LakeRows(self.lake)
        sweep = Sweep(self.inner, self.backoff, rows, self.jobs, self.retention, now_us, f"{now_us()}", 0.001)
        await asyncio.sleep(0.002)
        return await sweep.sweep()


@pytest.fixture
async def world(any_redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    client = await open_redis(any_redis_url)
    yield World(client, tmp_path)
    await client.aclose()


async def test_a_private_tags_own_retention_holds_at_the_store(world: World) -> None:
    brief, long = private_tag("brief", retention_us=2 * DAY_US), private_tag("long", retention_us=3_000 * DAY_US)
    await world.declare(VIP, brief, long)
    for name in (VIP.name, brief.name, long.name):
        await world.set(1.0, name)
    world.clock.advance_us(2 * DAY_US + 1)
    assert set(await world.told()) == {VIP.name, long.name}
    assert await world.sweep() == Swept(1, 1, 0)
    assert set(await world.stored()) == {VIP.name, long.name}


async def test_facts_stay_in_the_lake_as_long_as_the_longest_private_tag_that_is_held(world: World) -> None:
    await world.declare(private_tag("long", retention_us=3_000 * DAY_US))
    await world.set(1.0, "acme.long")
    world.clock.advance_us(2_000 * DAY_US)
    assert await world.sweep() == Swept(1, 0, 0)
    assert world.lake.list(ATTRIBUTES)
    world.clock.advance_us(1_002 * DAY_US)
    assert (await world.sweep()) == Swept(1, 1, 1)
    assert not world.lake.list(ATTRIBUTES)


async def test_values_of_a_deleted_tag_are_gone_at_once_and_from_the_blob_with_the_sweep(world: World) -> None:
    await world.declare(VIP, private_tag("other"))
    await world.set(3.0)
    await world.set(4.0, "acme.other")
    assert await world.delete(VIP.name) == 1
    assert await world.told() == {"acme.other": 4.0}
    assert VIP.name in await world.stored()
    await world.sweep()
    assert set(await world.stored()) == {"acme.other"}
    assert await world.delete(VIP.name) == 0


async def test_a_tag_that_is_declared_again_shows_nothing_of_before_swept_or_not_rebuilt_or_not(world: World) -> None:
    await world.declare(VIP)
    await world.set(3.0, time_us=NOW_US + 60_000_000)
    await world.delete(VIP.name)
    assert await world.declare(replace(VIP, type=TagType.TEXT)) == 1
    assert await world.told() == {}
    assert await world.set("gold", time_us=NOW_US - DAY_US) == 1
    assert await world.told() == {VIP.name: "gold"}
    lives = (await world.private.store.read(["acme"]))[0]
    await world.client.flushall()
    await world.private.store.compare_and_set("acme", replace(lives, revision=0))
    world.private.forget("acme")
    history = LakeHistory(world.lake)
    assert await Rebuild(world.store, world.backoff, world.journal, history, world.jobs, "p").run()
    assert await world.told() == {VIP.name: "gold"}


async def test_values_outlive_that_their_tag_is_not_known_for_a_while(world: World) -> None:
    await world.declare(VIP)
    await world.set(3.0)
    await world.client.delete("pf:tags:{acme}")
    world.private.forget("acme")
    await world.sweep()
    await world.declare(VIP)
    assert await world.told() == {VIP.name: 3.0}


async def test_a_sender_that_counts_ends_lives_in_order_and_repeats_nothing(world: World) -> None:
    await world.declare(VIP, version=1)
    assert await world.delete(VIP.name, version=2, lives=1) == 1
    assert await world.declare(replace(VIP, life=1), version=3) == 1
    assert await world.delete(VIP.name, version=2, lives=1) == 0
    assert await world.delete(VIP.name, version=3, lives=1) == 0
    assert [one.life for one in (await world.private.store.read(["acme"]))[0].tags] == [1]


async def test_names_of_others_are_refused_and_nothing_ends(world: World) -> None:
    await world.declare(VIP)
    with pytest.raises(InvalidArgument) as refused:
        await world.delete(VIP.name, "globex.vip")
    assert [one.field for one in refused.value.violations] == ["tags[1].name"]
    with pytest.raises(FailedPrecondition):
        await world.delete(*(f"acme.t{number}" for number in range(4_097)), lives=1)
    assert len((await world.private.store.read(["acme"]))[0].tags) == 1
