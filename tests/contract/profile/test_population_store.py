"""The contract of where generations are published: memory, Valkey, a cluster of three masters."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bihuan_profile.domain.behaviour import Amount, Behaviour, Event
from bihuan_profile.domain.lifetime import PurchaseModel, SpendModel
from bihuan_profile.domain.population import CurrencyScales, Population, Scale
from bihuan_profile.domain.record import EMPTY, fold
from bihuan_profile.profile_store.in_redis import RedisProfileStore
from bihuan_profile.profile_store.population_blob import decode_population, encode_population
from bihuan_profile.profile_store.population_in_memory import MemoryPopulationStore
from bihuan_profile.profile_store.population_in_redis import CURRENT, RedisPopulationStore
from bihuan_profile.use_cases.populating import PopulationKeeper, PopulationStore
from bihuan_profile.use_cases.ports import Change
from bihuan_shared.clock import SystemClock
from bihuan_shared.redis import open_redis

POPULATION = Population(
    built_us=1_500_000_000_000_000,
    persons=3,
    rank_error=0.0084,
    recency=Scale(b"\0\1recency", (1.0, 2.0, 2.0, 3.5)),
    frequency=Scale(b"frequency", ()),
    currencies={
        "USD": CurrencyScales(2, Scale(b"m", (1.0,)), Scale(b"o", (2.0,)), SpendModel(1.0, 2.0, 3.0)),
        "EUR": CurrencyScales(1, Scale(b"", ()), Scale(b"", ())),
    },
    purchases=PurchaseModel(0.1, 2.0, 3.0, 4.0),
    recent_share=0.5,
)
LONG_S = 60.0


@pytest.fixture(params=["memory", "redis_url", "redis_cluster_url"])
async def populations(request: pytest.FixtureRequest) -> AsyncIterator[PopulationStore]:
    """Nothing published, nobody building."""
    if request.param == "memory":
        yield MemoryPopulationStore()
        return
    client = await open_redis(request.getfixturevalue(request.param))
    yield RedisPopulationStore(client)
    await client.aclose()


async def test_there_is_nothing_at_first(populations: PopulationStore) -> None:
    assert await populations.mark() == b""
    assert await populations.read() is None


async def test_one_at_a_time_has_the_right_to_build(populations: PopulationStore) -> None:
    claimed = await asyncio.gather(*(populations.claim(f"holder-{i}", LONG_S) for i in range(16)))
    assert sum(claimed) == 1
    holder = f"holder-{claimed.index(True)}"
    assert not await populations.claim(holder, LONG_S)
    assert await populations.renew(holder, LONG_S)
    assert not await populations.renew("somebody else", LONG_S)


async def test_the_right_ends_by_itself(populations: PopulationStore) -> None:
    assert await populations.claim("one", 0.02)
    async with asyncio.timeout(5):
        while not await populations.claim("two", LONG_S):
            await asyncio.sleep(0.005)
    assert not await populations.renew("one", LONG_S)
    assert not await populations.publish("one", POPULATION)
    assert await populations.read() is None


async def test_what_the_holder_publishes_is_read_whole(populations: PopulationStore) -> None:
    assert await populations.claim("one", LONG_S)
    assert await populations.publish("one", POPULATION)
    assert await populations.read() == POPULATION
    found = await populations.read()
    assert found is not None
    assert list(found.currencies) == ["USD", "EUR"]


async def test_another_generation_has_another_mark(populations: PopulationStore) -> None:
    assert await populations.claim("one", LONG_S)
    assert await populations.publish("one", POPULATION)
    first = await populations.mark()
    assert len(first) == 8
    other = Population(1, 0, 0.0, Scale(b"", ()), Scale(b"", ()))
    assert await populations.publish("one", other)
    assert await populations.mark() != first
    assert await populations.read() == other


async def test_nobody_publishes_without_the_right(populations: PopulationStore) -> None:
    assert not await populations.publish("one", POPULATION)
    assert await populations.claim("one", LONG_S)
    assert not await populations.publish("two", POPULATION)
    assert await populations.mark() == b""


async def test_a_generation_that_is_damaged_or_of_another_version_is_none(any_redis_url: str) -> None:
    client = await open_redis(any_redis_url)
    populations = RedisPopulationStore(client)
    whole = encode_population(POPULATION)
    for bad in (b"", b"short", whole[:-1], whole[:8] + b"\2" + whole[9:], b"\0" * 8 + whole[8:]):
        await client.set(CURRENT, bad)
        assert await populations.read() is None
    assert decode_population(whole) == POPULATION
    await client.aclose()


async def test_a_scan_of_persons_does_not_meet_the_population(any_redis_url: str) -> None:
    client = await open_redis(any_redis_url)
    populations, store = RedisPopulationStore(client), RedisProfileStore(client)
    order = Event(7, "order:1", Behaviour.ORDER, 1_500_000_000_000_000, amount=Amount("USD", 5))
    assert await store.compare_and_set([Change(7, 0, fold(EMPTY, [order]))]) == [True]
    keepers = [PopulationKeeper(store, populations, SystemClock(), f"holder-{i}") for i in range(4)]
    assert sorted(await asyncio.gather(*(one.build() for one in keepers))) == [False, False, False, True]
    assert [person_id async for batch in store.scan(10) for person_id, _ in batch] == [7]
    for one in keepers:
        await one.refresh()
        assert one.current is not None
        assert one.current.persons == 1
    await client.aclose()
