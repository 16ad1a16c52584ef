"""An erased person leaves nothing but the note of it: not in the store, not in a folder, not in a bucket."""

import asyncio
import random
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from profile_persons import merge, split

from bihuan_profile.domain.behaviour import Amount, Behaviour, Event
from bihuan_profile.domain.governance import Consent, DataClass, Purpose
from bihuan_profile.domain.record import Fact
from bihuan_profile.journal import ATTRIBUTES, BEHAVIOUR, LakeHistory, LakeJournal, LakeRows
from bihuan_profile.profile_store.in_redis import RedisProfileStore
from bihuan_profile.profile_store.jobs import MemoryJobs, RedisJobs
from bihuan_profile.taxonomy_file import packaged_taxonomy
from bihuan_profile.use_cases.erasing import delete_profile, keep_erasure
from bihuan_profile.use_cases.following import ProfileFollower
from bihuan_profile.use_cases.ingesting import Outcome, Submission, ingest_events
from bihuan_profile.use_cases.knowing import FactUpdate, set_attributes
from bihuan_profile.use_cases.ports import Backoff, Jobs
from bihuan_profile.use_cases.removing import Eraser, Removed
from bihuan_shared.errors import Unavailable
from bihuan_shared.lake import Lake, open_lake
from bihuan_shared.redis import RedisClient, open_redis

NOW_US = 1_500_000_000_000_000
AGREED = Consent(frozenset({Purpose.TARGETING}), frozenset(DataClass))
CANARY, FORMER, OTHER, NEW = 7_123_456_789_012_345, 7_123_456_789_012_301, 7_123_456_789_012_399, 8_000_000_000_000_001
MINE, THEIRS = 11, 12


class World:
    """Profiles over a store and a lake."""

    def __init__(self, client: RedisClient, lake: Lake) -> None:
        self.client, self.lake = client, lake
        self.store, self.jobs = RedisProfileStore(client), RedisJobs(client)
        self.journal, self.history = LakeJournal(lake), LakeHistory(lake)
        self.backoff = Backoff(random.Random(1), asyncio.sleep)

    async def tell(self, *events: Event, shared_by: int = 0) -> list[Outcome]:
        submissions = [Submission(event, AGREED, shared_by) for event in events]
        results = await ingest_events(self.store, self.backoff, NOW_US, submissions, self.journal)
        return [result.outcome for result in results]

    async def set(self, person_id: int, sighting_id: int, value: str) -> None:
        updates = [FactUpdate(person_id, (("region", Fact(value, NOW_US, sighting_id, "crm")),), sighting_id)]
        await set_attributes(self.store, self.backoff, packaged_taxonomy(), NOW_US, updates, self.journal)

    async def follow(self, change_id: int, *, survivor: int, absorbed: int) -> None:
        change = merge(change_id, survivor, absorbed)
        await self.journal.write_changes([change])
        await ProfileFollower(self.store, self.backoff, self.journal, self.history).follow(change)

    async def erase(self, person_id: int) -> bool:
        return await delete_profile(self.store, self.backoff, self.journal, person_id, NOW_US)

    def eraser(self, settle_s: float = 0.0, jobs: Jobs | None = None) -> Eraser:
        rows = LakeRows(self.lake)
        return Eraser(
            self.store, self.backoff, self.history, rows, self.journal, jobs or self.jobs, "one", settle_s=settle_s
        )


@pytest.fixture(params=["folder", "bucket"])
async def world(request: pytest.FixtureRequest, any_redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    url = str(tmp_path) if request.param == "folder" else request.getfixturevalue("bucket_url")
    client = await open_redis(any_redis_url)
    yield World(client, open_lake(url))
    await client.aclose()


def order(person: int, key: str, sighting: int = 0) -> Event:
    return Event(person, key, Behaviour.ORDER, NOW_US, ("category:tea",), Amount("USD", 5), sighting)


async def live(world: World) -> None:
    await world.tell(order(FORMER, "f", MINE), order(CANARY, "c", MINE), order(OTHER, "o", THEIRS))
    await world.set(CANARY, MINE, "CH-ZH")
    await world.set(OTHER, THEIRS, "CH-BE")
    await world.follow(1, survivor=CANARY, absorbed=FORMER)
    await world.tell(order(CANARY, "shared"), shared_by=OTHER)


def spellings(person_id: int) -> list[bytes]:
    return [
        str(person_id).encode(),
        f"{person_id:x}".encode(),
        struct.pack("<Q", person_id),
        struct.pack(">Q", person_id),
    ]


def rows_under(lake: Lake, ids: set[int]) -> int:
    found = 0
    for dataset in (BEHAVIOUR, ATTRIBUTES):
        for path in lake.list(dataset):
            table = lake.read(path)
            text = str(table.to_pylist())
            found += sum(text.count(str(one)) for one in ids)
    return found


async def test_nothing_is_left_but_the_note(world: World) -> None:
    await live(world)
    assert rows_under(world.lake, {CANARY, FORMER}) > 0
    assert await world.erase(FORMER) is True
    eraser = world.eraser()
    first = await eraser.work_off()
    assert (first.rows, first.closed, first.open) == (4, 0, 2)
    assert rows_under(world.lake, {CANARY, FORMER}) == 0
    assert await eraser.work_off() == Removed(0, 2, 0)
    assert await eraser.work_off() == Removed()
    assert {one.person_id for one in await world.history.erased()} == {CANARY, FORMER}
    assert await world.history.erasures_to_do() == []
    assert {one.key for one in await world.journal.read([OTHER], [])} >= {"o"}
    assert len(await world.journal.read_facts([OTHER], [])) == 1
    assert await world.tell(order(FORMER, "g"), order(CANARY, "h")) == [Outcome.REJECTED] * 2


async def test_the_store_holds_the_note_alone(world: World) -> None:
    await live(world)
    await world.erase(CANARY)
    await world.eraser().work_off()
    for key in [key async for key in world.client.scan_iter(match="pf:*")]:
        if await world.client.type(key) == b"string":
            value = await world.client.get(key) or b""
            assert isinstance(value, bytes)
        else:
            value = b"\n".join(bytes(one) for one in await world.client.smembers(key) if isinstance(one, bytes))
        named = any(spelling in bytes(key) for one in (CANARY, FORMER) for spelling in spellings(one))
        assert not any(spelling in value for one in (CANARY, FORMER) for spelling in spellings(one)), key
        assert not named or len(value) == 5, key


async def test_what_lands_while_a_person_is_erased_goes_with_the_second_look(world: World) -> None:
    await live(world)
    await world.erase(CANARY)
    eraser = world.eraser()
    await eraser.work_off()
    await world.journal.write([order(CANARY, "late")])
    assert await world.journal.read([CANARY], []) == []
    assert (await eraser.work_off()).rows == 1
    assert rows_under(world.lake, {CANARY, FORMER}) == 0


async def test_an_erasure_that_was_broken_off_is_finished_by_another_process(world: World) -> None:
    await live(world)
    (held,) = await world.store.read([CANARY])
    await keep_erasure(world.journal, CANARY, held, NOW_US)
    await world.eraser(jobs=MemoryJobs()).work_off()
    assert [one.erased for one in await world.store.read([CANARY, FORMER, OTHER])] == [True, True, False]
    assert rows_under(world.lake, {CANARY, FORMER}) == 0


async def test_only_one_process_takes_rows_out(world: World) -> None:
    await live(world)
    await world.erase(CANARY)
    assert await world.jobs.lease("erase", "another", 60)
    assert await world.eraser().work_off() == Removed(open=2)
    await world.jobs.release("erase", "another")
    assert (await world.eraser().work_off()).rows == 4


async def test_what_went_to_another_person_before_stays(world: World) -> None:
    await world.tell(order(CANARY, "a", MINE), order(CANARY, "b", THEIRS))
    change = split(1, CANARY, {CANARY: [MINE], NEW: [THEIRS]})
    await world.journal.write_changes([change])
    await ProfileFollower(world.store, world.backoff, world.journal, world.history).follow(change)
    await world.erase(CANARY)
    eraser = world.eraser()
    assert (await eraser.work_off()).rows == 1
    assert [one.key for one in await world.journal.read([], [THEIRS])] == ["b"]
    await world.tell(order(NEW, "c", THEIRS))
    await world.erase(NEW)
    assert (await eraser.work_off()).rows == 2
    assert await world.journal.read([CANARY, NEW], [MINE, THEIRS]) == []


async def test_a_person_that_goes_into_an_erased_one_is_erased_too(world: World) -> None:
    await world.tell(order(OTHER, "o", THEIRS))
    await world.erase(CANARY)
    await world.follow(1, survivor=CANARY, absorbed=OTHER)
    await world.eraser().work_off()
    assert rows_under(world.lake, {OTHER}) == 0


async def test_a_lake_that_cannot_be_written_erases_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await live(world)

    async def refuse(*_: object, **__: object) -> str:
        raise OSError(28, "no space left")

    monkeypatch.setattr(type(world.lake), "write", refuse)
    with pytest.raises(Unavailable):
        await world.erase(CANARY)
    assert not (await world.store.read([CANARY]))[0].erased
