"""Profiles that were lost are made anew from the lake, and equal those that were made event by event."""

import asyncio
import random
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from profile_histories import EventWorld, same_profiles

from bihuan_profile.domain.record import EMPTY
from bihuan_profile.use_cases.ingesting import Outcome
from bihuan_profile.use_cases.ports import COMPLETE, REBUILD
from bihuan_profile.use_cases.rebuilding import Progress, adopt
from bihuan_shared.errors import Unavailable


@settings(max_examples=60, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.data())
def test_whatever_happened_the_rebuilt_profiles_equal_the_incremental_ones(data: st.DataObject) -> None:
    asyncio.run(_live_and_rebuild(data))


async def _live_and_rebuild(data: st.DataObject) -> None:
    world = EventWorld(None, random.Random(data.draw(st.integers(0, 2**32))))
    steps = ["tell", "tell", "set", "merge", "split", "erase", "repeat"]
    for _ in range(data.draw(st.integers(1, 25))):
        await world.step(data.draw(st.sampled_from(steps)))
    before = world.store
    world.lose_everything()
    if data.draw(st.booleans()):
        # What comes before who is who is known again, and what comes twice.
        for step in data.draw(st.lists(st.sampled_from(["tell", "repeat", "set"]), max_size=4)):
            await world.step(step, also=before)
    await world.rebuild()
    for _ in range(data.draw(st.integers(0, 3))):
        await world.step(data.draw(st.sampled_from(["tell", "repeat", "set"])), also=before)
    await same_profiles(world, before, world.store)
    assert await world.jobs.state(REBUILD) == COMPLETE


async def test_a_run_that_was_broken_off_goes_on_where_it_was(tmp_path: Path) -> None:
    world = EventWorld(tmp_path, random.Random(3))
    for step in ["tell", "set", "merge", "tell", "split", "tell", "erase", "set"] * 8:
        await world.step(step)
    before = world.store
    world.lose_everything()
    for steps in range(1, 200):
        world.breaking_after = steps
        try:
            await world.rebuild()
        except Unavailable:
            continue
        break
    world.breaking_after = None
    await world.rebuild()
    await same_profiles(world, before, world.store)


async def test_a_store_that_is_lost_during_a_rebuild_is_filled_by_the_next_run(tmp_path: Path) -> None:
    world = EventWorld(tmp_path, random.Random(4))
    for _ in range(40):
        await world.step("tell")
    before = world.store
    world.lose_everything()

    def lose(progress: Progress) -> None:
        if progress.phase == "events" and progress.done:
            world.watch = lambda _: None
            world.lose_everything(keep_object=True)

    world.watch = lose
    with pytest.raises(Unavailable, match="lost"):
        await world.rebuild()
    await world.rebuild()
    await same_profiles(world, before, world.store)


async def test_an_erased_person_stays_erased_in_a_new_store(tmp_path: Path) -> None:
    world = EventWorld(tmp_path, random.Random(5))
    await world.step("tell")
    event = world.events[0]
    await world.erase(event.person_id)
    world.lose_everything()
    await world.rebuild()
    assert (await world.tell(event))[0] is Outcome.REJECTED
    (held,) = await world.store.read([event.person_id])
    assert (held.erased, held.record) == (True, EMPTY)


async def test_events_told_beside_a_rebuild_are_counted_once(tmp_path: Path) -> None:
    world = EventWorld(tmp_path, random.Random(6))
    for step in ["tell"] * 20 + ["merge"] + ["tell"] * 20:
        await world.step(step)
    before = world.store
    world.lose_everything()

    async def keep_telling() -> None:
        for step in ["tell", "repeat"] * 40:
            await world.step(step, also=before)
            await asyncio.sleep(0)

    await asyncio.gather(keep_telling(), world.rebuild())
    await same_profiles(world, before, world.store)


async def test_changes_of_who_is_who_wait_until_profiles_are_complete(tmp_path: Path) -> None:
    world = EventWorld(tmp_path, random.Random(7))
    await world.step("tell")
    await world.step("merge")
    world.lose_everything()
    with pytest.raises(Unavailable):
        await world.follower.position()
    await world.rebuild()
    assert await world.follower.position() == 1


async def test_only_a_store_that_lost_something_is_filled(tmp_path: Path) -> None:
    world = EventWorld(tmp_path, random.Random(8))
    await adopt(world.store, world.jobs, world.history)
    assert await world.jobs.state(REBUILD) == COMPLETE
    await world.step("tell")
    world.lose_everything()
    await adopt(world.store, world.jobs, world.history)
    assert await world.jobs.state(REBUILD) is None
    await world.store.note_followed(3)
    await adopt(world.store, world.jobs, world.history)
    assert await world.jobs.state(REBUILD) == COMPLETE
