"""One process builds a generation, whoever it is, and what is too late is not published."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bihuan_profile.domain.behaviour import Amount, Behaviour, Event
from bihuan_profile.domain.population import Population
from bihuan_profile.domain.record import EMPTY, Record, fold
from bihuan_profile.profile_store.in_memory import MemoryProfileStore
from bihuan_profile.profile_store.population_in_memory import MemoryPopulationStore
from bihuan_profile.use_cases.populating import SCAN_BATCH, PopulationKeeper, PopulationRules
from bihuan_profile.use_cases.ports import Change
from bihuan_shared.clock import Clock, FixedClock, ReplayClock
from bihuan_shared.errors import Unavailable

NOW_US = 1_500_000_000_000_000


async def buyers(count: int) -> MemoryProfileStore:
    store = MemoryProfileStore()
    await more(store, range(1, count + 1))
    return store


async def more(store: MemoryProfileStore, person_ids: range) -> None:
    def order(person_id: int) -> Event:
        return Event(person_id, "order:1", Behaviour.ORDER, NOW_US - person_id, amount=Amount("USD", person_id))

    written = await store.compare_and_set([Change(one, 0, fold(EMPTY, [order(one)])) for one in person_ids])
    assert all(written)


class Time:
    """A clock that goes forward when told, and a sleep that does not take any."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.rests: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.rests.append(seconds)
        await asyncio.sleep(0)


def keeper(
    store: MemoryProfileStore,
    populations: MemoryPopulationStore,
    time: Time,
    holder: str = "one",
    clock: Clock | None = None,
    measured: list[Population] | None = None,
) -> PopulationKeeper:
    return PopulationKeeper(
        store,
        populations,
        clock or FixedClock(NOW_US),
        holder,
        PopulationRules(300.0, 0.25),
        time.sleep,
        (measured if measured is not None else []).append,
    )


async def test_a_generation_is_everyone_as_of_now() -> None:
    time, measured = Time(), list[Population]()
    populations = MemoryPopulationStore(time)
    one = keeper(await buyers(250), populations, time, measured=measured)
    await one.refresh()
    assert one.current is None
    assert await one.build()
    await one.refresh()
    assert one.current is not None
    assert measured == [one.current]
    assert (one.current.persons, one.current.built_us, one.current.recent_share) == (250, NOW_US, 0.25)
    assert one.current.currencies["USD"].persons == 250
    assert one.current.purchases is not None


async def test_one_of_several_builds_until_the_interval_is_over() -> None:
    time, store = Time(), await buyers(3)
    populations = MemoryPopulationStore(time)
    keepers = [keeper(store, populations, time, holder) for holder in ("one", "two", "three")]
    assert sorted(await asyncio.gather(*(one.build() for one in keepers))) == [False, False, True]
    time.now_s += 299
    assert not any(await asyncio.gather(*(one.build() for one in keepers)))
    await more(store, range(10, 12))
    time.now_s += 2
    assert sum(await asyncio.gather(*(one.build() for one in keepers))) == 1
    for one in keepers:
        await one.refresh()
        assert one.current is not None
        assert one.current.persons == 5


async def test_a_builder_that_lost_the_right_publishes_nothing() -> None:
    time, store = Time(), await buyers(SCAN_BATCH + 1)
    populations = MemoryPopulationStore(time)

    class Overtaken(Time):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            time.now_s += 301
            assert await populations.claim("two", 300)

    assert not await keeper(store, populations, Overtaken()).build()
    assert await populations.read() is None
    assert await populations.mark() == b""


async def test_a_scan_rests_four_times_as_long_as_it_works() -> None:
    time = Time()
    assert await keeper(await buyers(3 * SCAN_BATCH), MemoryPopulationStore(time), time).build()
    assert len(time.rests) == 3
    assert all(rest > 0 for rest in time.rests)


async def test_nothing_is_built_in_a_replay_that_has_not_begun() -> None:
    time = Time()
    populations = MemoryPopulationStore(time)
    assert not await keeper(await buyers(3), populations, time, clock=ReplayClock()).build()
    assert await populations.claim("anybody", 1)


async def test_a_generation_is_read_again_only_when_there_is_another() -> None:
    time = Time()
    populations = MemoryPopulationStore(time)
    one = keeper(await buyers(3), populations, time)
    await one.build()
    await one.refresh()
    held = one.current
    await one.refresh()
    assert one.current is held


async def test_a_store_that_does_not_answer_is_asked_again() -> None:
    time = Time()

    class Lost(MemoryPopulationStore):
        calls = 0

        async def claim(self, holder: str, ttl_s: float) -> bool:
            self.calls += 1
            if self.calls == 1:
                raise Unavailable("the store does not answer")
            return await super().claim(holder, ttl_s)

    one = keeper(await buyers(3), Lost(time), time)
    running = asyncio.create_task(one.run())
    async with asyncio.timeout(5):
        while one.current is None:
            await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_generation_that_cannot_be_built_leaves_the_published_one() -> None:
    time, store = Time(), await buyers(3)
    populations = MemoryPopulationStore(time)
    assert await keeper(store, populations, time, "one").build()
    time.now_s += 301
    failed = asyncio.Event()

    class Damaged(MemoryProfileStore):
        async def scan(self, batch_size: int) -> AsyncIterator[list[tuple[int, Record]]]:
            failed.set()
            raise ValueError(batch_size)
            yield []

    two = keeper(Damaged(), populations, time, "two")
    running = asyncio.create_task(two.run())
    async with asyncio.timeout(5):
        await failed.wait()
        while two.current is None:
            await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert two.current.persons == 3
