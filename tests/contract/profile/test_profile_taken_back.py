"""A person that comes back under an id that had gone into somebody else: what was told of the id is counted once."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from profile_persons import merge, split

from bihuan_profile.domain.behaviour import Behaviour, Event
from bihuan_profile.domain.governance import Consent, DataClass, Purpose
from bihuan_profile.domain.record import EMPTY
from bihuan_profile.journal import LakeHistory, LakeJournal, LakeRows
from bihuan_profile.profile_store.in_redis import RedisProfileStore
from bihuan_profile.profile_store.jobs import RedisJobs
from bihuan_profile.use_cases.erasing import delete_profile
from bihuan_profile.use_cases.following import ProfileFollower
from bihuan_profile.use_cases.ingesting import Submission, ingest_events
from bihuan_profile.use_cases.ports import COMPLETE, REBUILD, Backoff, Change
from bihuan_profile.use_cases.rebuilding import Rebuild
from bihuan_profile.use_cases.removing import Eraser
from bihuan_profile.use_cases.taking_back import Remade, TakingBack
from bihuan_shared.errors import Unavailable
from bihuan_shared.lake import Lake, open_lake
from bihuan_shared.person_change import PersonsChange
from bihuan_shared.redis import RedisClient, open_redis

NOW_US = 1_500_000_000_000_000
AGREED = Consent(frozenset({Purpose.TARGETING}), frozenset(DataClass))
HOLDER, OLD, THIRD = 11, 12, 100
S1, S2, S3 = 1, 2, 3


class World:
    """Profiles over a store and a lake."""

    def __init__(self, client: RedisClient, lake: Lake) -> None:
        self.client, self.lake = client, lake
        self.store, self.jobs = RedisProfileStore(client), RedisJobs(client)
        self.journal, self.history = LakeJournal(lake), LakeHistory(lake)
        self.backoff = Backoff(random.Random(1), asyncio.sleep)

    async def tell(self, person_id: int, key: str, sighting_id: int = 0) -> None:
        event = Event(person_id, key, Behaviour.VIEW, NOW_US, (), None, sighting_id)
        await ingest_events(self.store, self.backoff, NOW_US, [Submission(event, AGREED)], self.journal)

    async def follow(self, *changes: PersonsChange) -> None:
        follower = ProfileFollower(self.store, self.backoff, self.journal, self.history)
        for change in changes:
            await self.journal.write_changes([change])
            await follower.follow(change)
            await follower.follow(change)

    async def views(self, *person_ids: int) -> list[int]:
        held = await self.store.read(person_ids)
        return [one.record.counts[Behaviour.VIEW].total if Behaviour.VIEW in one.record.counts else 0 for one in held]

    async def rebuild(self) -> None:
        await self.client.flushall()
        run = Rebuild(self.store, self.backoff, self.journal, self.history, self.jobs, "p")
        assert await run.run()
        assert await self.jobs.state(REBUILD) == COMPLETE


@pytest.fixture
async def world(any_redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    client = await open_redis(any_redis_url)
    world = World(client, open_lake(str(tmp_path)))
    await world.tell(HOLDER, "h1", S1)
    await world.tell(OLD, "o1")
    await world.tell(OLD, "o2", S2)
    await world.tell(OLD, "o3", S3)
    # The id goes into one person, the sighting on from there to a third, and comes back from that one.
    await world.follow(
        merge(1, HOLDER, OLD),
        split(2, HOLDER, {HOLDER: [S1, S3], THIRD: [S2]}),
    )
    await world.tell(THIRD, "t1")
    yield world
    await client.aclose()


BACK = split(3, THIRD, {THIRD: [], OLD: [S2]})


async def test_what_was_told_of_the_id_is_counted_at_the_one_who_has_it_and_nobody_else(world: World) -> None:
    assert await world.views(HOLDER, THIRD) == [3, 2]
    await world.follow(BACK)
    assert await world.views(HOLDER, OLD, THIRD) == [2, 2, 1]
    await world.tell(OLD, "o4")
    assert await world.views(HOLDER, OLD, THIRD) == [2, 3, 1]
    await world.rebuild()
    assert await world.views(HOLDER, OLD, THIRD) == [2, 3, 1]


async def test_a_damaged_profile_is_made_anew_from_the_lake_and_a_whole_one_stays(world: World) -> None:
    await world.follow(BACK)
    anew = TakingBack(world.store, world.backoff, world.journal, world.history)
    for person_id in (HOLDER, OLD, THIRD):
        made = await anew.remake(person_id)
        assert made is not None
        assert [made.events] == await world.views(person_id)
    (held,) = await world.store.read([OLD])
    damaged = replace(EMPTY, moved_sightings=held.record.moved_sightings)
    await world.store.compare_and_set([Change(OLD, held.revision, damaged)])
    assert await world.views(OLD) == [0]
    assert await anew.remake(OLD) == Remade(OLD, 2, 0)
    assert await world.views(HOLDER, OLD, THIRD) == [2, 2, 1]
    await world.tell(OLD, "o2", S2)
    assert await world.views(OLD) == [2]
    assert await anew.remake(4_711) == Remade(4_711, 0, 0)
    assert (await world.store.read([4_711]))[0].revision == 0
    await delete_profile(world.store, world.backoff, world.journal, OLD, NOW_US)
    assert await anew.remake(OLD) is None
    await world.journal.write_changes([merge(4, HOLDER, THIRD)])
    with pytest.raises(Unavailable):
        await anew.remake(HOLDER)


async def test_erasing_the_one_whom_the_id_had_gone_into_leaves_the_person_that_came_back(world: World) -> None:
    await world.follow(BACK)
    await delete_profile(world.store, world.backoff, world.journal, HOLDER, NOW_US)
    eraser = Eraser(
        world.store, world.backoff, world.history, LakeRows(world.lake), world.journal, world.jobs, "p", settle_s=0
    )
    assert (await eraser.work_off()).rows == 2
    await world.rebuild()
    assert await world.views(HOLDER, OLD, THIRD) == [0, 2, 1]


async def test_what_was_erased_does_not_come_back_with_the_id(world: World) -> None:
    await delete_profile(world.store, world.backoff, world.journal, HOLDER, NOW_US)
    await world.follow(BACK)
    (held,) = await world.store.read([OLD])
    assert held.erased
    await world.rebuild()
    assert await world.views(HOLDER, OLD, THIRD) == [0, 0, 1]


async def test_a_sighting_that_had_left_an_erased_person_stays_with_whom_it_came_to(world: World) -> None:
    await world.follow(BACK)
    await world.tell(OLD, "o5", S2)
    await delete_profile(world.store, world.backoff, world.journal, THIRD, NOW_US)
    await world.follow(merge(4, HOLDER, OLD))
    await world.tell(HOLDER, "o6", S2)
    assert await world.views(HOLDER) == [6]
    before = await world.views(HOLDER)
    await world.rebuild()
    assert await world.views(HOLDER) == before
