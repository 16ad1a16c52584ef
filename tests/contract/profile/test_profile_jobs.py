"""Leases and states of jobs, in memory and in Redis; and what a store forgets."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bihuan_profile.domain.record import EMPTY
from bihuan_profile.profile_store.jobs import MemoryJobs, RedisJobs
from bihuan_profile.use_cases.ports import Change, Jobs, ProfileStore
from bihuan_shared.redis import open_redis


@pytest.fixture(params=["memory", "redis_url", "redis_cluster_url"])
async def jobs(request: pytest.FixtureRequest) -> AsyncIterator[Jobs]:
    if request.param == "memory":
        yield MemoryJobs()
        return
    client = await open_redis(request.getfixturevalue(request.param))
    yield RedisJobs(client)
    await client.aclose()


async def test_one_holds_a_job_until_it_lets_go_or_its_time_is_over(jobs: Jobs) -> None:
    assert await jobs.lease("a", "one", 60)
    assert await jobs.lease("a", "one", 60)
    assert not await jobs.lease("a", "two", 60)
    assert await jobs.lease("b", "two", 60)
    await jobs.release("a", "two")
    assert not await jobs.lease("a", "two", 60)
    await jobs.release("a", "one")
    assert await jobs.lease("a", "two", 0.02)
    async with asyncio.timeout(5):
        while not await jobs.lease("a", "one", 60):
            await asyncio.sleep(0.01)


async def test_only_who_knows_the_state_moves_it_on(jobs: Jobs) -> None:
    assert await jobs.state("a") is None
    assert not await jobs.note("a", "1", "2")
    assert await jobs.note("a", None, "1")
    assert not await jobs.note("a", None, "1")
    assert not await jobs.note("a", "0", "2")
    assert await jobs.note("a", "1", "2")
    assert (await jobs.state("a"), await jobs.state("b")) == ("2", None)


async def test_a_forgotten_person_is_as_one_who_never_was(store: ProfileStore) -> None:
    await store.compare_and_set([Change(1, 0, EMPTY)])
    assert await store.compare_and_set([Change(1, 7, EMPTY, forget=True)]) == [False]
    assert await store.compare_and_set([Change(1, 1, EMPTY, forget=True)]) == [True]
    assert (await store.read([1]))[0].revision == 0
    assert [batch async for batch in store.scan(10)] == []
