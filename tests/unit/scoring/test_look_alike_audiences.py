"""Look-alike audiences: creation, building, evidence, restarts, and that nothing outlives them."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from look_alike_people import AS_OF_US, belonging, persons

from bihuan_scoring.audience_store import METADATA, SqlAudienceStore
from bihuan_scoring.bitmap_store import BitmapFiles
from bihuan_scoring.domain.audiences import Audience, AudienceState, LookAlikeOf, NewAudience
from bihuan_scoring.domain.facts import PersonFacts
from bihuan_scoring.domain.readings import Reading
from bihuan_scoring.look_alike_files import LookAlikeFiles
from bihuan_scoring.lookalike.evidence import Evidence
from bihuan_scoring.rpc.evidence import evidence_message
from bihuan_scoring.use_cases.audiences import Audiences
from bihuan_scoring.use_cases.building import AudienceBuilder
from bihuan_scoring.use_cases.look_alikes import OLDEST_SNAPSHOT_US, LookAlikeBuilder, create_look_alike
from bihuan_shared.errors import AlreadyExists, FailedPrecondition, InvalidArgument, Unavailable
from bihuan_shared.sql import Database
from bihuan_shared.targeting import TagType

PEOPLE = persons(1_500)
BELONGING = belonging(PEOPLE)
SEEDS = BELONGING[: len(BELONGING) * 2 // 3].tolist()
OF = LookAlikeOf("buyers", target_size=50)


class Profiles:
    """Persons in memory; the first `failures` scans break off."""

    def __init__(self) -> None:
        self.failures = 0
        self.scans = 0

    async def taxonomy(self, advertiser_id: str) -> Mapping[str, TagType]:
        return {"city": TagType.TEXT}

    async def scan(self, advertiser_ids: Collection[str]) -> AsyncIterator[Sequence[PersonFacts]]:
        assert "a1" in advertiser_ids or not advertiser_ids
        self.scans += 1
        yield PEOPLE[:700]
        if self.failures:
            self.failures -= 1
            raise Unavailable("the profile service does not answer")
        # A person that is written meanwhile comes twice.
        yield PEOPLE[690:]

    async def readings(
        self, person_ids: Sequence[int] = (), advertiser_ids: Collection[str] = ()
    ) -> AsyncIterator[Sequence[Reading]]:
        yield [Reading(one.person_id, one, AS_OF_US) for one in PEOPLE if one.person_id in person_ids]


class World:
    """One process after another over the same state."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.folder = folder
        self.profiles = Profiles()
        self.now_us = AS_OF_US
        self._database = database
        self.fresh()

    def fresh(self) -> None:
        self.store = SqlAudienceStore(self._database)
        self.audiences = Audiences(self.store, BitmapFiles(self.folder / "audiences"), self.profiles)
        self.files = LookAlikeFiles(self.folder / "look_alikes")
        self.builder = LookAlikeBuilder(self.audiences, self.profiles, self.files, lambda: self.now_us, self._sleep)

    async def restart(self) -> None:
        self.fresh()
        await self.audiences.load()

    async def create(self, name: str = "alike", of: LookAlikeOf = OF) -> Audience:
        return await create_look_alike(self.audiences, NewAudience(name, "a1", "Alike", 5), of)

    async def evidence(self, name: str = "alike") -> Evidence:
        return Evidence.from_json(await self.audiences.evidence(name))

    def leftovers(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "look_alikes").glob("*"))

    async def _sleep(self, _delay_s: float) -> None:
        await asyncio.sleep(0)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database = await Database.open(f"sqlite:///{tmp_path}/scoring.db", METADATA, schema="scoring")
    world = World(database, tmp_path)
    await world.audiences.create_from_members(NewAudience("buyers", "a1", "Buyers", 4), SEEDS)
    yield world
    await database.close()


async def test_look_alike_is_built_with_its_evidence_and_leaves_nothing_behind(world: World) -> None:
    created = await world.create()
    assert (created.state, created.look_alike) == (AudienceState.BUILDING, OF)
    assert await world.create() == created
    await world.builder.build_waiting()
    built = await world.audiences.get("alike")
    assert (built.state, built.size) == (AudienceState.READY, 50)
    members = set(world.audiences.members("alike") or ())
    assert not members & set(SEEDS)
    assert len(members & set(BELONGING.tolist())) > 10
    evidence = await world.evidence()
    assert (evidence.seed_size, evidence.pool_size, evidence.package_size) == (len(SEEDS), len(PEOPLE), 50)
    assert world.leftovers() == []
    await world.restart()
    assert set(world.audiences.members("alike") or ()) == members
    assert await world.evidence() == evidence
    told = evidence_message(built, evidence.to_json())
    assert told is not None
    assert (told.seed_audience_id, told.seed_size, len(told.lifts)) == ("buyers", len(SEEDS), 4)
    assert told.curve_svg.startswith("<svg")
    assert [each.feature for each in told.reasons] == [each.feature for each in evidence.reasons]
    assert evidence_message(created, "") is None


async def test_expression_builder_leaves_look_alikes_alone(world: World) -> None:
    await world.create()

    async def sleep(_delay_s: float) -> None:
        raise AssertionError

    await AudienceBuilder(world.audiences, world.profiles, sleep).build_waiting()
    assert (await world.audiences.get("alike")).state is AudienceState.BUILDING


async def test_what_defines_the_seed_is_dropped_through_the_audiences_it_names(world: World) -> None:
    await world.audiences.create_from_expression(NewAudience("north", "a1", "North", 4), 'city == "north"')
    await AudienceBuilder(world.audiences, world.profiles, world.builder._sleep).build_waiting()
    inner = NewAudience("inner", "a1", "", 4)
    await world.audiences.create_from_expression(inner, 'audience("north") and interest("category:tea") > 1')
    await AudienceBuilder(world.audiences, world.profiles, world.builder._sleep).build_waiting()
    await world.create(of=replace(OF, seed_audience_id="inner"))
    await world.builder.build_waiting()
    dropped = {each.feature for each in (await world.evidence()).dropped}
    assert {"attribute_city", "tag_category:tea"} <= dropped


async def test_failed_scan_is_repeated_and_seeds_too_few_are_final(world: World) -> None:
    world.profiles.failures = 1
    await world.create()
    await world.builder.build_waiting()
    assert (await world.audiences.get("alike")).state is AudienceState.READY
    assert world.profiles.scans == 2
    await world.audiences.create_from_members(NewAudience("few", "a1", "", 4), SEEDS[:99])
    await world.create("small", replace(OF, seed_audience_id="few"))
    await world.builder.build_waiting()
    failed = await world.audiences.get("small")
    assert (failed.state, "100 seeds" in failed.failure) == (AudienceState.FAILED, True)
    assert world.leftovers() == []


async def test_restart_takes_up_a_finished_snapshot_while_it_is_young(world: World) -> None:
    audience = await world.create()
    await world.builder._take_snapshot(audience, f"alike.{audience.definition_sha256[:16]}")
    await world.restart()
    assert world.audiences.look_alikes_waiting.is_set()
    await world.builder.build_waiting()
    assert world.profiles.scans == 1
    assert (await world.audiences.get("alike")).state is AudienceState.READY


async def test_restart_takes_an_old_or_broken_snapshot_anew(world: World) -> None:
    audience = await world.create()
    name = f"alike.{audience.definition_sha256[:16]}"
    await world.builder._take_snapshot(audience, name)
    world.now_us += OLDEST_SNAPSHOT_US + 1
    world.files.begin_snapshot("other", world.now_us)
    await world.restart()
    await world.builder.build_waiting()
    assert world.profiles.scans == 2
    assert (await world.audiences.get("alike")).state is AudienceState.READY
    assert world.leftovers() == []


async def test_erased_person_is_in_no_package_though_the_snapshot_knows_it(world: World) -> None:
    audience = await world.create()
    await world.builder._take_snapshot(audience, f"alike.{audience.definition_sha256[:16]}")
    for person_id in np.setdiff1d(BELONGING, SEEDS).tolist():
        await world.audiences.delete_person(person_id)
    await world.builder.build_waiting()
    assert not set(world.audiences.members("alike") or ()) & set(BELONGING.tolist())


async def test_deleted_look_alike_stops_and_is_gone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.create()
    loop = asyncio.get_running_loop()
    expand = world.files.expand

    def delete_first(*arguments: object) -> object:
        asyncio.run_coroutine_threadsafe(world.audiences.delete("alike"), loop).result(10)
        return expand(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(world.files, "expand", delete_first)
    await world.builder.build_waiting()
    assert world.audiences.members("alike") is None
    assert world.leftovers() == []
    assert await world.audiences.evidence("alike") == ""


async def test_look_alike_is_refused_where_it_makes_no_sense(world: World) -> None:
    with pytest.raises(InvalidArgument):
        await world.create(of=LookAlikeOf("buyers"))
    with pytest.raises(InvalidArgument):
        await world.create(of=LookAlikeOf("buyers", 10, 0.5))
    with pytest.raises(FailedPrecondition):
        await world.create(of=replace(OF, seed_audience_id="nobody"))
    await world.create()
    with pytest.raises(AlreadyExists):
        await world.create(of=replace(OF, target_size=51))
    with pytest.raises(FailedPrecondition):
        await world.audiences.update_members("alike", "a1", [1], [])
