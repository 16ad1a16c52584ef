"""Versions of audiences, and when they are built anew unasked."""

import asyncio
from dataclasses import replace

import pytest

from bihuan_scoring.domain.audiences import AudienceState, LookAlikeOf, NewAudience
from bihuan_scoring.domain.facts import PersonFacts
from bihuan_scoring.domain.versions import KEPT_VERSIONS, VersionCause
from bihuan_scoring.use_cases.look_alikes import create_look_alike
from bihuan_scoring.use_cases.scheduling import LONGEST_NAP_S, RefreshSchedule
from bihuan_shared.clock import SECOND_US, FixedClock
from bihuan_shared.errors import InvalidArgument
from bihuan_shared.person_change import PersonsChange
from tests.unit.scoring.test_audiences import World, _new
from tests.unit.scoring.test_audiences import world as world  # noqa: PLC0414  # a fixture

WOMEN = 'gender == "f"'
START_US = 1_000_000 * SECOND_US


@pytest.fixture
async def clock(world: World) -> FixedClock:
    clock = FixedClock(START_US)
    world.clock = clock
    await world.restart()
    return clock


def _move(clock: FixedClock, to_us: int) -> None:
    clock.advance_us(to_us - clock.now_us())


def _every(name: str, interval_s: int) -> NewAudience:
    return NewAudience(name, "a1", "Tea", START_US, interval_s)


async def _no_sleep(_delay_s: float) -> None:
    raise AssertionError("nobody sleeps here")


async def test_every_change_of_the_members_is_a_version_that_says_why(world: World, clock: FixedClock) -> None:
    await world.audiences.create_from_expression(_new("x"), WOMEN)
    assert (await world.audiences.get("x")).version is None
    await world.build()
    _move(clock, START_US + 7)
    world.profiles.persons = [PersonFacts(9, {"gender": "f"}), *world.profiles.persons]
    await world.audiences.refresh("x", "a1")
    await world.build()
    await world.audiences.delete_person(9)
    await world.audiences.follow(PersonsChange(1, 0, (3,), ()))
    told = [(one.version, one.size, one.time_us, one.cause) for one in await world.audiences.history("x")]
    assert told == [
        (4, 1, START_US + 7, VersionCause.PERSONS_CHANGED),
        (3, 2, START_US + 7, VersionCause.PERSONS_CHANGED),
        (2, 3, START_US + 7, VersionCause.REFRESHED),
        (1, 2, START_US, VersionCause.BUILT),
    ]
    _move(clock, START_US + 20)
    await world.audiences.delete_person(1)
    found = await world.audiences.get("x")
    assert (found.revision, found.refresh_time_us) == (5, START_US + 7)


async def test_a_list_has_versions_of_changes_and_no_building(world: World, clock: FixedClock) -> None:
    await world.audiences.create_from_members(_new("list"), [1])
    await world.audiences.update_members("list", "a1", [2], [])
    assert [one.cause for one in await world.audiences.history("list")] == [
        VersionCause.LIST_CHANGED,
        VersionCause.BUILT,
    ]
    assert (await world.audiences.get("list")).refresh_time_us == 0
    assert clock.now_us() == START_US


async def test_only_the_last_versions_are_remembered_and_none_of_what_was_deleted(world: World) -> None:
    await world.audiences.create_from_members(_new("list"), [])
    for person_id in range(1, KEPT_VERSIONS + 5):
        await world.audiences.update_members("list", "a1", [person_id], [])
    told = [one.version for one in await world.audiences.history("list")]
    assert told == list(range(KEPT_VERSIONS + 5, 5, -1))
    await world.audiences.delete("list")
    await world.audiences.create_from_members(_new("list"), [1])
    assert [one.version for one in await world.audiences.history("list")] == [1]


async def test_each_audience_is_asked_for_by_its_own_interval(world: World, clock: FixedClock) -> None:
    for name, interval_s in (("often", 60), ("seldom", 7_200), ("usual", 0)):
        await world.audiences.create_from_expression(_every(name, interval_s), WOMEN)
    await world.audiences.create_from_members(_new("list"), [1])
    await world.build()
    schedule = RefreshSchedule(world.audiences, clock, _no_sleep, 3_600.0)
    asked: list[tuple[int, list[str]]] = []
    for after_s in (59, 60, 119, 120, 3_600, 7_200):
        _move(clock, START_US + after_s * SECOND_US)
        await schedule.ask_due()
        asked.append((after_s, sorted(world.audiences.refreshes.asked())))
        await world.build()
    assert asked == [
        (59, []),
        (60, ["often"]),
        (119, []),
        (120, ["often"]),
        (3_600, ["often", "usual"]),
        (7_200, ["often", "seldom", "usual"]),
    ]


async def test_without_an_interval_of_the_service_only_those_of_audiences_count(
    world: World, clock: FixedClock
) -> None:
    for name, interval_s in (("often", 60), ("usual", 0)):
        await world.audiences.create_from_expression(_every(name, interval_s), WOMEN)
    await world.build()
    _move(clock, START_US * 2)
    await RefreshSchedule(world.audiences, clock, _no_sleep, 0.0).ask_due()
    assert list(world.audiences.refreshes.asked()) == ["often"]


async def test_what_is_overdue_after_a_restart_is_asked_for_at_once(world: World, clock: FixedClock) -> None:
    await world.audiences.create_from_expression(_every("x", 60), WOMEN)
    await world.build()
    _move(clock, START_US + 61 * SECOND_US)
    await world.restart()
    await RefreshSchedule(world.audiences, clock, _no_sleep, 3_600.0).ask_due()
    assert list(world.audiences.refreshes.asked()) == ["x"]


async def test_a_building_that_fails_is_asked_for_again_one_interval_later(world: World, clock: FixedClock) -> None:
    await world.audiences.create_from_expression(_every("x", 60), WOMEN)
    await world.build()
    schedule = RefreshSchedule(world.audiences, clock, _no_sleep, 3_600.0)
    world.profiles.failures = 100
    asked = []
    for after_s in (60, 61, 119, 120):
        _move(clock, START_US + after_s * SECOND_US)
        await schedule.ask_due()
        asked.append(bool(world.audiences.refreshes.asked()))
        await world.build()
    assert asked == [True, False, False, True]


async def test_the_schedule_sleeps_until_something_is_due_and_never_past_a_new_audience(
    world: World, clock: FixedClock
) -> None:
    await world.audiences.create_from_expression(_every("x", 60), WOMEN)
    await world.build()
    slept: list[float] = []

    async def sleep(delay_s: float) -> None:
        slept.append(delay_s)
        _move(clock, clock.now_us() + round(delay_s * SECOND_US))
        if len(slept) == 3:
            await asyncio.Event().wait()

    _move(clock, START_US + 10 * SECOND_US)
    running = asyncio.create_task(RefreshSchedule(world.audiences, clock, sleep, 0.0).run())
    world.audiences.waiting.clear()
    while not world.audiences.refreshes.asked():
        await world.audiences.waiting.wait()
        world.audiences.waiting.clear()
    assert slept[:2] == [LONGEST_NAP_S, 20.0]
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_intervals_below_a_minute_and_of_what_is_not_built_anew_are_refused(world: World) -> None:
    with pytest.raises(InvalidArgument):
        await world.audiences.create_from_expression(_every("x", 59), WOMEN)
    with pytest.raises(InvalidArgument):
        await world.audiences.create_from_members(_every("x", 60), [1])
    await world.audiences.create_from_members(_new("seed"), [1])
    with pytest.raises(InvalidArgument):
        await create_look_alike(world.audiences, _every("x", 60), LookAlikeOf("seed", 5))
    made = await world.audiences.create_from_expression(_every("x", 60), WOMEN)
    assert made.refresh_interval_s == 60


async def test_an_audience_of_before_there_were_versions_gets_its_first_when_it_is_built(world: World) -> None:
    await world.audiences.create_from_expression(_new("x"), WOMEN)
    await world.build()
    old = replace(await world.audiences.get("x"), version=None, refresh_time_us=0, revision=7)
    await world.audiences.store.update([old])
    assert await world.audiences.get("x") == old
    await world.audiences.refresh("x", "a1")
    await world.build()
    assert (await world.audiences.history("x"))[0].version == 8


async def test_an_audience_is_not_ready_before_its_members_can_be_looked_up(world: World) -> None:
    await world.audiences.create_from_members(_new("list"), [1])
    held = world.audiences.held.pop("list")
    assert (await world.audiences.get("list")).state is AudienceState.BUILDING
    world.audiences.held["list"] = held
    assert (await world.audiences.get("list")).state is AudienceState.READY
