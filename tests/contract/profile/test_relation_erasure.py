"""Relations of an erased person leave the lake, and what is left tells nothing of the person."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from made_up_tags import no_private_tags
from profile_persons import merge

from bihuan_profile.domain.behaviour import Amount, Behaviour, Event
from bihuan_profile.domain.community import EDGE_RETENTION_US, Edge
from bihuan_profile.domain.governance import Consent, DataClass, Purpose
from bihuan_profile.domain.holding import Holding
from bihuan_profile.domain.retention import Retention
from bihuan_profile.domain.taxonomy import Taxonomy
from bihuan_profile.edge_journal import DATASET, LakeEdges, latest_edges
from bihuan_profile.journal import LakeHistory, LakeJournal, LakeRows
from bihuan_profile.profile_store.in_redis import RedisProfileStore
from bihuan_profile.profile_store.jobs import RedisJobs
from bihuan_profile.taxonomy_file import packaged_taxonomy
from bihuan_profile.use_cases.erasing import delete_profile
from bihuan_profile.use_cases.exporting import Sources, export_profile
from bihuan_profile.use_cases.following import ProfileFollower
from bihuan_profile.use_cases.ingesting import Submission, ingest_events
from bihuan_profile.use_cases.ports import Backoff, Kept
from bihuan_profile.use_cases.relating import Relating, put_edges
from bihuan_profile.use_cases.removing import Eraser, Removed
from bihuan_profile.use_cases.taking import PERSON_ERASED, Outcome
from bihuan_shared.clock import DAY_US
from bihuan_shared.lake import Lake, open_lake
from bihuan_shared.redis import RedisClient, open_redis

NOW_US = 1_500_000_000_000_000
AGREED = Consent(frozenset({Purpose.TARGETING}), frozenset(DataClass))
ANNA, OLD_ANNA, BERT, CARL = 20, 21, 30, 40


class World:
    """Relations over a store and a lake."""

    def __init__(self, client: RedisClient, lake: Lake) -> None:
        self.lake, self.store, self.jobs = lake, RedisProfileStore(client), RedisJobs(client)
        self.journal, self.edges, self.history = LakeJournal(lake), LakeEdges(lake), LakeHistory(lake)
        self.backoff = Backoff(random.Random(1), asyncio.sleep)
        self.eraser = Eraser(
            self.store, self.backoff, self.history, LakeRows(lake), self.journal, self.jobs, "one", settle_s=0
        )

    async def relate(self, *pairs: tuple[int, int], time_us: int = NOW_US) -> list[tuple[Outcome, str]]:
        relations = [Relating(Edge(one, other, 0.5, time_us), AGREED) for one, other in pairs]
        results = await put_edges(self.store, self.edges, NOW_US, relations)
        return [(one.outcome, one.reason) for one in results]

    async def merge(self) -> None:
        change = merge(1, ANNA, OLD_ANNA)
        await self.journal.write_changes([change])
        await ProfileFollower(self.store, self.backoff, self.journal, self.history).follow(change)

    async def export(self, person_id: int) -> list[Holding]:
        async def taxonomy_for(_: object) -> Taxonomy:
            return packaged_taxonomy()

        sources = Sources(
            self.store, self.journal, self.edges, self.history, taxonomy_for, no_private_tags(Retention())
        )
        return [one async for some in export_profile(sources, None, NOW_US, person_id) for one in some]

    def kept(self) -> list[tuple[int, int]]:
        rows = [row for path in self.lake.list(DATASET) for row in self.lake.read(path).to_pylist()]
        return sorted((row["person_id"], row["other_id"]) for row in rows)


@pytest.fixture(params=["folder", "bucket"])
async def world(request: pytest.FixtureRequest, any_redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    url = str(tmp_path) if request.param == "folder" else request.getfixturevalue("bucket_url")
    client = await open_redis(any_redis_url)
    yield World(client, open_lake(url))
    await client.aclose()


async def test_an_erased_persons_relations_leave_the_lake_at_either_end_and_others_stay(world: World) -> None:
    await world.relate((ANNA, BERT), (BERT, CARL))
    await world.relate((CARL, ANNA))
    await world.relate((BERT, OLD_ANNA))
    await world.merge()
    assert await delete_profile(world.store, world.backoff, world.journal, OLD_ANNA, NOW_US) is False
    assert (await world.eraser.work_off()).rows == 3
    assert world.kept() == [(BERT, CARL)]
    ids, others, _ = await latest_edges(world.lake, 0)
    assert (ids.tolist(), others.tolist()) == ([BERT], [CARL])


async def test_relations_that_land_while_a_person_is_erased_go_with_the_second_look(world: World) -> None:
    await world.relate((ANNA, BERT))
    await delete_profile(world.store, world.backoff, world.journal, ANNA, NOW_US)
    await world.eraser.work_off()
    await world.edges.write([Edge(CARL, ANNA, 1.0, NOW_US)])
    assert await world.edges.read([CARL]) == []
    assert await world.eraser.work_off() == Removed(1, 1, 0)
    assert world.kept() == []


async def test_no_relation_with_an_erased_person_is_taken_in_under_any_id_that_it_had(world: World) -> None:
    await world.merge()
    await delete_profile(world.store, world.backoff, world.journal, ANNA, NOW_US)
    assert await world.relate((BERT, ANNA), (OLD_ANNA, BERT), (BERT, CARL)) == [
        (Outcome.REJECTED, PERSON_ERASED),
        (Outcome.REJECTED, PERSON_ERASED),
        (Outcome.ACCEPTED, ""),
    ]
    assert world.kept() == [(BERT, CARL)]


async def test_a_person_is_told_own_relations_and_that_others_told_some_but_not_who(world: World) -> None:
    await world.relate((OLD_ANNA, BERT), time_us=NOW_US - DAY_US)
    await world.relate((CARL, ANNA), (BERT, CARL))
    await world.merge()
    own, others = [one for one in await world.export(ANNA) if one.kind == "social_edge"]
    assert own.value == {"strength": 0.5, "told_by": "this person", "other_person": str(BERT)}
    assert others.value == {"strength": 0.5, "told_by": "the other person"}
    assert (own.origin, own.time_us, own.expire_us) == ("call", NOW_US - DAY_US, NOW_US - DAY_US + EDGE_RETENTION_US)
    assert own.data_class is DataClass.SOCIAL
    await delete_profile(world.store, world.backoff, world.journal, BERT, NOW_US)
    assert [one.value for one in await world.export(ANNA) if one.kind == "social_edge"] == [others.value]


async def test_relations_are_removed_once_all_of_a_file_are_older_than_they_may_be(world: World) -> None:
    await world.relate((ANNA, BERT), time_us=NOW_US - EDGE_RETENTION_US)
    await world.relate((BERT, CARL))
    rows = LakeRows(world.lake)
    assert await rows.remove_before(Kept.EVENTS, NOW_US) == await rows.remove_before(Kept.FACTS, NOW_US) == 0
    assert await rows.remove_before(Kept.EDGES, NOW_US - DAY_US) == 1
    assert world.kept() == [(BERT, CARL)]


async def test_derived_values_are_told_with_their_rule_and_the_age_of_their_evidence(world: World) -> None:
    events = [
        Event(ANNA, f"o{n}", Behaviour.ORDER, NOW_US - n * DAY_US, ("brand:acme",), Amount("USD", 5)) for n in range(3)
    ]
    await ingest_events(world.store, world.backoff, NOW_US, [Submission(one, AGREED) for one in events], world.journal)
    told = {one.name: one for one in await world.export(ANNA) if one.kind == "derived"}
    assert {"relation:acme", "aipl:acme", "segment:loyal"} <= told.keys()
    assert (told["relation:acme"].value, told["relation:acme"].time_us) == ("strong", NOW_US)
    assert told["segment:loyal"].time_us == NOW_US
    assert all(one.origin and one.purposes for one in told.values())
