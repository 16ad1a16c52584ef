"""Audiences: idempotent creation, membership, building, erasure, and what a restart finds."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from pathlib import Path

import pytest

from bihuan_scoring.audience_store import METADATA, SqlAudienceStore
from bihuan_scoring.bitmap_store import BitmapFiles
from bihuan_scoring.domain.audiences import AudienceState, NewAudience, estimated_progress
from bihuan_scoring.domain.facts import PersonFacts
from bihuan_scoring.domain.readings import Reading
from bihuan_scoring.use_cases.audiences import Audiences
from bihuan_scoring.use_cases.building import AudienceBuilder
from bihuan_shared.clock import Clock, SystemClock
from bihuan_shared.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, Unavailable
from bihuan_shared.person_change import PersonPart, PersonsChange
from bihuan_shared.sql import Database
from bihuan_shared.targeting import ExpressionInvalid, TagType

TAXONOMY = {"gender": TagType.TEXT, "birth_year": TagType.NUMBER}
PERSONS = [
    PersonFacts(1, {"gender": "f"}, [("category:tea", 2.0, 0.0)], segments=frozenset({"loyal"})),
    PersonFacts(2, {"gender": "m"}, [("category:tea", 0.1, 3.0)]),
    PersonFacts(3, {"gender": "f"}),
]


class FakeProfiles:
    """Persons in memory; the first `failures` scans fail half-way."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.persons: list[PersonFacts] = list(PERSONS)
        self.known: Mapping[str, TagType] = TAXONOMY
        self.private: dict[str, dict[str, TagType]] = {}
        self.scanned_for: list[list[str]] = []

    async def taxonomy(self, advertiser_id: str) -> Mapping[str, TagType]:
        return {**self.known, **self.private.get(advertiser_id, {})}

    async def scan(self, advertiser_ids: Collection[str]) -> AsyncIterator[Sequence[PersonFacts]]:
        self.scanned_for.append(sorted(advertiser_ids))
        yield self.persons[:1]
        if self.failures:
            self.failures -= 1
            raise Unavailable("the profile service does not answer")
        yield self.persons[1:]

    async def readings(
        self, person_ids: Sequence[int] = (), advertiser_ids: Collection[str] = ()
    ) -> AsyncIterator[Sequence[Reading]]:
        yield [Reading(one.person_id, one, 0) for one in self.persons if not person_ids or one.person_id in person_ids]


class World:
    """One process after another over the same state."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.folder = folder
        self.profiles = FakeProfiles()
        self.delays: list[float] = []
        self.clock: Clock = SystemClock()
        self._database = database
        self.audiences = self._fresh()

    def _fresh(self) -> Audiences:
        return Audiences(SqlAudienceStore(self._database), BitmapFiles(self.folder), self.profiles, self.clock)

    async def restart(self) -> None:
        self.audiences = self._fresh()
        await self.audiences.load()

    async def build(self) -> None:
        async def sleep(delay_s: float) -> None:
            self.delays.append(delay_s)

        await AudienceBuilder(self.audiences, self.profiles, sleep).build_waiting()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database = await Database.open(f"sqlite:///{tmp_path}/scoring.db", METADATA, schema="scoring")
    yield World(database, tmp_path / "audiences")
    await database.close()


def _new(name: str, advertiser: str = "a1") -> NewAudience:
    return NewAudience(name, advertiser, "Tea", 5)


async def test_member_list_is_ready_at_once_and_survives_a_restart(world: World) -> None:
    audience = await world.audiences.create_from_members(_new("x"), [3, 1, 3, 2**40])
    assert (audience.state, audience.size, audience.progress) == (AudienceState.READY, 3, 1.0)
    await world.restart()
    assert world.audiences.memberships(2**40) == ["x"]
    assert world.audiences.memberships(2) == []
    assert await world.audiences.get("x") == audience


async def test_repeated_creation_answers_the_same_and_another_content_conflicts(world: World) -> None:
    first = await world.audiences.create_from_members(_new("x"), [1, 2])
    assert await world.audiences.create_from_members(_new("x"), [2, 1, 1]) == first
    for other, persons in ((_new("x"), [1]), (_new("x", "a2"), [1, 2])):
        with pytest.raises(AlreadyExists):
            await world.audiences.create_from_members(other, persons)
    with pytest.raises(AlreadyExists):
        await world.audiences.create_from_expression(_new("x"), 'gender == "f"')


async def test_concurrent_creations_agree(world: World) -> None:
    created = await asyncio.gather(*(world.audiences.create_from_members(_new("x"), [1, 2]) for _ in range(5)))
    assert len(set(created)) == 1


@pytest.mark.parametrize("person_id", [0, 2**63])
async def test_member_that_is_no_person_names_its_field(world: World, person_id: int) -> None:
    with pytest.raises(InvalidArgument) as raised:
        await world.audiences.create_from_members(_new("x"), [1, person_id])
    assert raised.value.violations[0].field == "definition.members.person_ids[1]"


@pytest.mark.parametrize(
    ("expression", "members"),
    [
        ('gender == "f"', [1, 3]),
        ('interest("category:tea") > 0.5 or instant_interest("category:tea") > 1', [1, 2]),
        ('segment("loyal")', [1]),
        ('gender == "f" and not audience("seed")', [1]),
        ("birth_year > 1980", []),
    ],
)
async def test_expression_is_built_in_the_background(world: World, expression: str, members: list[int]) -> None:
    await world.audiences.create_from_members(_new("seed"), [3])
    created = await world.audiences.create_from_expression(_new("x"), expression)
    assert (created.state, created.size) == (AudienceState.BUILDING, 0)
    assert not [person for person in range(5) if "x" in world.audiences.memberships(person)]
    await world.build()
    built = await world.audiences.get("x")
    assert (built.state, built.size) == (AudienceState.READY, len(members))
    assert [person for person in range(5) if "x" in world.audiences.memberships(person)] == members


async def test_one_meaning_in_two_spellings_is_one_definition(world: World) -> None:
    first = await world.audiences.create_from_expression(_new("x"), 'gender=="f"')
    assert await world.audiences.create_from_expression(_new("x"), '(gender == "f")') == first


async def test_wrong_expression_names_the_column(world: World) -> None:
    with pytest.raises(ExpressionInvalid) as raised:
        await world.audiences.create_from_expression(_new("x"), 'gender == "f" and shoe == 3')
    assert raised.value.column == 19


async def test_expression_over_an_audience_that_is_not_ready_is_refused(world: World) -> None:
    with pytest.raises(FailedPrecondition):
        await world.audiences.create_from_expression(_new("x"), 'audience("y")')


async def test_person_seen_twice_counts_as_written_last(world: World) -> None:
    world.profiles.persons.append(PersonFacts(1, {"gender": "m"}))
    await world.audiences.create_from_expression(_new("x"), 'gender == "f"')
    await world.build()
    assert (await world.audiences.get("x")).size == 1


async def test_failed_scan_is_repeated_with_growing_delays(world: World) -> None:
    world.profiles.failures = 3
    await world.audiences.create_from_expression(_new("x"), 'gender == "f"')
    await world.build()
    assert world.delays == [0.5, 1.0, 2.0]
    assert (await world.audiences.get("x")).size == 2


async def test_scan_that_always_fails_gives_up_and_says_why(world: World) -> None:
    world.profiles.failures = 100
    await world.audiences.create_from_expression(_new("x"), 'gender == "f"')
    await world.build()
    failed = await world.audiences.get("x")
    assert (failed.state, failed.failure) == (AudienceState.FAILED, "the profile service does not answer")
    assert len(world.delays) == 8


async def test_expression_that_fits_no_more_fails_alone(world: World) -> None:
    await world.audiences.create_from_expression(_new("x"), "birth_year > 1980")
    await world.audiences.create_from_expression(_new("y"), 'gender == "f"')
    world.profiles.known = {"gender": TagType.TEXT}
    await world.build()
    assert (await world.audiences.get("x")).state is AudienceState.FAILED
    assert (await world.audiences.get("y")).state is AudienceState.READY


async def test_building_goes_on_after_a_restart(world: World) -> None:
    await world.audiences.create_from_expression(_new("x"), 'gender == "f"')
    await world.restart()
    assert world.audiences.waiting.is_set()
    await world.build()
    assert world.audiences.memberships(3) == ["x"]


async def test_audience_deleted_while_it_is_built_stays_deleted(world: World) -> None:
    await world.audiences.create_from_expression(_new("x"), 'gender == "f"')
    waiting = (await world.audiences.to_build())[0]
    assert await world.audiences.delete("x")
    async with world.audiences.changing:
        await world.audiences.publish(waiting, world.audiences.build_set([1]))
    assert world.audiences.memberships(1) == []
    with pytest.raises(NotFound):
        await world.audiences.get("x")


async def test_deleted_audience_leaves_no_file(world: World) -> None:
    await world.audiences.create_from_members(_new("x"), [1])
    assert await world.audiences.delete("x")
    assert not await world.audiences.delete("x")
    assert list(world.folder.iterdir()) == []
    assert world.audiences.memberships(1) == []


async def test_erased_person_is_taken_out_and_stays_out(world: World) -> None:
    await world.audiences.create_from_members(_new("x"), [1, 2])
    await world.audiences.create_from_members(_new("y"), [2])
    await world.audiences.create_from_expression(_new("z"), 'gender == "f"')
    assert await world.audiences.delete_person(1) == 1
    assert await world.audiences.delete_person(1) == 0
    await world.restart()
    await world.build()
    await world.audiences.create_from_members(_new("w"), [1, 9])
    assert world.audiences.memberships(1) == []
    assert {name: (await world.audiences.get(name)).size for name in "wxyz"} == {"w": 1, "x": 1, "y": 1, "z": 1}
    assert len(list(world.folder.iterdir())) == 4


async def test_damaged_list_fails_and_damaged_expression_is_built_again(world: World) -> None:
    await world.audiences.create_from_members(_new("x"), [1])
    await world.audiences.create_from_expression(_new("y"), 'gender == "f"')
    await world.build()
    for path in world.folder.iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    await world.restart()
    assert (await world.audiences.get("x")).state is AudienceState.FAILED
    await world.build()
    assert world.audiences.memberships(3) == ["y"]


async def test_pages_go_on_where_they_ended(world: World) -> None:
    for name in ("a", "b", "c"):
        await world.audiences.create_from_members(_new(name), [1])
    first, following = await world.audiences.page("", "", 2)
    second, end = await world.audiences.page("", following, 2)
    assert [each.audience_id for each in (*first, *second)] == ["a", "b", "c"]
    assert end == ""


def test_progress_grows_and_stays_below_one() -> None:
    for expected in (0, 100):
        seen = [estimated_progress(scanned, expected) for scanned in (0, 50, 100, 10_000_000)]
        assert seen == sorted(seen)
        assert seen[0] == 0.0
        assert seen[-1] == 0.99


async def test_members_who_turn_out_to_be_one_are_one_member(world: World) -> None:
    await world.audiences.create_from_members(_new("x"), [1, 2, 7])
    await world.audiences.create_from_members(_new("y"), [7])
    change = PersonsChange(1, 0, (2, 7), (PersonPart(2),))
    for _ in range(2):
        await world.audiences.follow(change)
        assert [world.audiences.memberships(one) for one in (1, 2, 7)] == [["x"], ["x", "y"], []]
    await world.audiences.create_from_members(_new("z"), [7, 3])
    assert world.audiences.memberships(2) == ["x", "y", "z"]
    await world.restart()
    assert [(await world.audiences.get(name)).size for name in ("x", "y", "z")] == [2, 1, 2]
    assert await world.audiences.followed() == 1


async def test_membership_stays_with_the_part_that_keeps_the_id(world: World) -> None:
    await world.audiences.create_from_members(_new("x"), [7])
    await world.audiences.follow(PersonsChange(1, 0, (2, 7), (PersonPart(2),)))
    parts = (PersonPart(2, frozenset({5})), PersonPart(7, frozenset({6})))
    await world.audiences.follow(PersonsChange(2, 0, (2,), parts))
    assert [world.audiences.memberships(one) for one in (2, 7)] == [["x"], []]
    await world.audiences.create_from_members(_new("y"), [7])
    assert world.audiences.memberships(7) == ["y"]


async def test_erased_person_leaves_every_audience_for_good(world: World) -> None:
    await world.audiences.create_from_members(_new("x"), [1, 7])
    await world.audiences.follow(PersonsChange(1, 0, (7,), ()))
    await world.audiences.create_from_members(_new("y"), [7])
    assert world.audiences.memberships(7) == []


async def test_private_tags_serve_audiences_of_their_advertiser_only(world: World) -> None:
    world.profiles.private["a1"] = {"a1.vip": TagType.NUMBER}
    world.profiles.persons.append(PersonFacts(4, {"a1.vip": 3.0}))
    await world.audiences.create_from_expression(_new("mine"), "a1.vip >= 2")
    await world.audiences.create_from_expression(_new("plain", "a2"), 'gender == "f"')
    with pytest.raises(ExpressionInvalid) as raised:
        await world.audiences.create_from_expression(_new("theirs", "a2"), 'gender == "f" and a1.vip >= 2')
    assert raised.value.column == 19
    await world.build()
    assert world.profiles.scanned_for == [["a1"]]
    assert (world.audiences.memberships(4), world.audiences.memberships(1)) == (["mine"], ["plain"])


async def test_audience_whose_private_tags_are_lost_waits_for_them_and_holds_up_no_other(world: World) -> None:
    world.profiles.private["a1"] = {"a1.vip": TagType.NUMBER}
    world.profiles.persons.append(PersonFacts(4, {"a1.vip": 3.0}))
    await world.audiences.create_from_expression(_new("mine"), "a1.vip >= 2")
    await world.audiences.create_from_expression(_new("plain"), 'gender == "f"')
    lost, world.profiles.private = world.profiles.private, {}

    async def found_again(_delay_s: float) -> None:
        assert world.audiences.memberships(1) == ["plain"]
        world.profiles.private = lost

    await AudienceBuilder(world.audiences, world.profiles, found_again).build_waiting()
    assert world.audiences.memberships(4) == ["mine"]
