"""Audiences that are built anew: when asked, regularly, and without losing members on the way."""

import pytest

from bihuan_scoring.domain.audiences import AudienceState
from bihuan_scoring.domain.facts import PersonFacts
from bihuan_shared.errors import FailedPrecondition, NotFound
from tests.unit.scoring.test_audiences import World, _new
from tests.unit.scoring.test_audiences import world as world  # noqa: PLC0414  # a fixture

WOMEN = 'gender == "f"'


async def built(world: World) -> None:
    await world.audiences.create_from_expression(_new("x"), WOMEN)
    await world.build()
    assert world.audiences.memberships(1) == ["x"]
    world.profiles.persons = [PersonFacts(1, {"gender": "m"}), PersonFacts(2, {"gender": "f"})]


async def test_refresh_takes_persons_out_and_in_and_members_serve_on_until_then(world: World) -> None:
    await built(world)
    asked = await world.audiences.refresh("x", "a1")
    assert (asked.state, asked.size, asked.progress) == (AudienceState.BUILDING, 2, 0.0)
    assert world.audiences.memberships(1) == ["x"]
    await world.build()
    assert [world.audiences.memberships(person) for person in (1, 2, 3)] == [[], ["x"], []]
    found = await world.audiences.get("x")
    assert (found.state, found.size, found.progress) == (AudienceState.READY, 1, 1.0)
    assert await world.audiences.to_build() == []
    await world.restart()
    assert world.audiences.memberships(2) == ["x"]


async def test_refresh_that_fails_keeps_the_members_and_says_why(world: World) -> None:
    await built(world)
    world.profiles.failures = 100
    await world.audiences.refresh("x", "a1")
    await world.build()
    found = await world.audiences.get("x")
    assert (found.state, found.size) == (AudienceState.READY, 2)
    assert "does not answer" in found.failure
    await world.restart()
    assert world.audiences.memberships(1) == ["x"]
    world.profiles.failures = 0
    await world.audiences.refresh("x", "a1")
    await world.build()
    assert (await world.audiences.get("x")).failure == ""
    assert world.audiences.memberships(1) == []


async def test_refresh_asked_while_one_is_under_way_is_not_lost(world: World) -> None:
    await built(world)
    await world.audiences.refresh("x", "a1")
    asked = world.audiences.refreshes.asked()
    await world.audiences.refresh("x", "a1")
    world.audiences.refreshes.done("x", asked["x"])
    assert [one.audience_id for one in await world.audiences.to_build()] == ["x"]


async def test_person_erased_while_an_audience_is_built_anew_stays_out(world: World) -> None:
    await built(world)
    await world.audiences.refresh("x", "a1")
    await world.audiences.delete_person(1)
    assert [one.audience_id for one in await world.audiences.to_build()] == ["x"]
    world.profiles.persons = [PersonFacts(1, {"gender": "f"}), PersonFacts(2, {"gender": "f"})]
    await world.build()
    assert [world.audiences.memberships(person) for person in (1, 2)] == [[], ["x"]]


async def test_lists_and_audiences_of_others_are_not_refreshed(world: World) -> None:
    await built(world)
    await world.audiences.create_from_members(_new("list"), [1])
    with pytest.raises(FailedPrecondition):
        await world.audiences.refresh("list", "a1")
    for name, advertiser in (("x", "a2"), ("y", "a1")):
        with pytest.raises(NotFound):
            await world.audiences.refresh(name, advertiser)
    await world.audiences.refresh_all()
    assert list(world.audiences.refreshes.asked()) == ["x"]
    await world.audiences.delete("x")
    assert list(world.audiences.refreshes.asked()) == []
