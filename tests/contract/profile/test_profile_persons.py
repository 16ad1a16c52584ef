"""Profiles follow changes of who is who, on memory, on Valkey and on a cluster."""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from profile_persons import MemoryJournal, merge, split

from bihuan_profile.domain.behaviour import Amount, Behaviour, Event
from bihuan_profile.domain.governance import Consent, DataClass, Purpose
from bihuan_profile.domain.marks import mark_of_merge
from bihuan_profile.domain.record import EMPTY, Fact, Record, fold
from bihuan_profile.journal import LakeJournal
from bihuan_profile.taxonomy_file import packaged_taxonomy
from bihuan_profile.use_cases.erasing import delete_profile
from bihuan_profile.use_cases.following import ProfileFollower
from bihuan_profile.use_cases.ingesting import Outcome, Submission, ingest_events
from bihuan_profile.use_cases.knowing import FactUpdate, read_now, set_attributes
from bihuan_profile.use_cases.ports import Backoff, Change, ProfileStore
from bihuan_shared.errors import Unavailable
from bihuan_shared.lake import open_lake
from bihuan_shared.person_change import PersonsChange

NOW_US = 1_500_000_000_000_000
AGREED = Consent(frozenset({Purpose.TARGETING}), frozenset(DataClass))
A, B, NEW = 130, 70, 5_000
AS_A, AS_B = 1, 2**64 - 1


class World:
    """Profiles that follow."""

    def __init__(self, store: ProfileStore) -> None:
        self.store = store
        self.journal = MemoryJournal()
        self.backoff = Backoff(random.Random(1), asyncio.sleep)
        self.follower = ProfileFollower(store, self.backoff, self.journal, self.journal)

    async def tell(self, *events: Event) -> list[Outcome]:
        submissions = [Submission(event, AGREED) for event in events]
        results = await ingest_events(self.store, self.backoff, NOW_US, submissions, self.journal)
        return [result.outcome for result in results]

    async def set(self, person_id: int, sighting_id: int, **facts: str) -> None:
        pairs = tuple((name, Fact(value, NOW_US, sighting_id)) for name, value in facts.items())
        await set_attributes(
            self.store,
            self.backoff,
            packaged_taxonomy(),
            NOW_US,
            [FactUpdate(person_id, pairs, sighting_id)],
            self.journal,
        )

    async def record(self, person_id: int) -> Record:
        return (await read_now(self.store, [person_id]))[0].record


@pytest.fixture
def world(store: ProfileStore) -> World:
    return World(store)


def order(person: int, key: str, sighting: int, tag: str = "category:tea", age_us: int = 0) -> Event:
    return Event(person, key, Behaviour.ORDER, NOW_US - age_us, (tag,), Amount("USD", 5_000_000), sighting)


def same(one: Record, other: Record) -> bool:
    return (
        one.counts == other.counts
        and one.orders.frequency == other.orders.frequency
        and {code: spend.micros for code, spend in one.orders.monetary.items()}
        == {code: spend.micros for code, spend in other.orders.monetary.items()}
        and dict(one.transaction_interests.long) == pytest.approx(dict(other.transaction_interests.long))
        and one.reference_us == other.reference_us
    )


def alone(events: Sequence[Event]) -> Record:
    return fold(EMPTY, events)


async def test_merged_profiles_add_up_and_a_repeated_change_adds_nothing(world: World) -> None:
    mine, theirs = order(A, "a", AS_A, age_us=10**12), order(B, "b", AS_B)
    await world.tell(mine, theirs)
    change = merge(1, B, A)
    for _ in range(3):
        await world.follower.follow(change)
        assert same(await world.record(B), alone([mine, theirs]))
    assert await world.record(A) == await world.record(B)
    scanned = [person_id async for batch in world.store.scan(10) for person_id, _ in batch]
    assert (scanned, await world.store.followed()) == ([B], 1)


async def test_merge_that_was_broken_off_anywhere_ends_the_same(world: World) -> None:
    mine, theirs = order(A, "a", AS_A), order(B, "b", AS_B)
    await world.tell(mine, theirs)
    for writes in range(5):
        store = _Breaking(world.store, writes)
        follower = ProfileFollower(store, world.backoff, world.journal, world.journal)
        try:
            await follower.follow(merge(1, B, A))
        except Unavailable:
            continue
    await world.follower.follow(merge(1, B, A))
    assert same(await world.record(B), alone([mine, theirs]))


async def test_late_events_under_an_absorbed_id_reach_the_survivor_once(world: World) -> None:
    first = order(A, "a", AS_A)
    await world.tell(first)
    await world.follower.follow(merge(1, B, A))
    late = order(A, "late", AS_A)
    assert await world.tell(first, late) == [Outcome.DUPLICATE, Outcome.ACCEPTED]
    assert await world.tell(order(B, "a", AS_A), order(B, "late", AS_A)) == [Outcome.DUPLICATE] * 2
    assert (await world.record(B)).orders.frequency == 2


async def test_split_profiles_are_what_their_own_events_make(world: World) -> None:
    mine = [order(A, f"a{n}", AS_A, f"category:{n}", n * 10**11) for n in range(3)]
    theirs = [order(B, f"b{n}", AS_B, "category:coffee", n * 10**12) for n in range(2)]
    await world.tell(*mine, *theirs)
    await world.follower.follow(merge(1, B, A))
    shared = order(B, "c", AS_A)
    await world.tell(shared)
    change = split(2, B, {A: [AS_A], B: [AS_B]})
    for _ in range(2):
        await world.follower.follow(change)
        assert same(await world.record(A), alone([*mine, shared]))
        assert same(await world.record(B), alone(theirs))
    again = [order(B, "c", AS_A), *mine, *theirs]
    assert set(await world.tell(*again)) == {Outcome.DUPLICATE}
    assert same(await world.record(A), alone([*mine, shared]))


async def test_events_of_a_sighting_that_went_to_a_new_person_go_there(world: World) -> None:
    await world.tell(order(A, "a", AS_A), order(A, "b", AS_B))
    await world.follower.follow(split(1, A, {A: [AS_A], NEW: [AS_B]}))
    assert await world.tell(order(A, "c", AS_B), order(A, "d", AS_A)) == [Outcome.ACCEPTED] * 2
    assert [(await world.record(one)).orders.frequency for one in (A, NEW)] == [2, 2]
    await world.follower.follow(merge(2, A, NEW))
    assert await world.tell(order(A, "e", AS_B), order(NEW, "f", AS_B)) == [Outcome.ACCEPTED] * 2
    assert (await world.record(A)).orders.frequency == 6
    await world.follower.follow(split(3, A, {A: [AS_A], NEW: [AS_B]}))
    assert [(await world.record(one)).orders.frequency for one in (A, NEW)] == [2, 4]


async def test_attributes_follow_their_sighting_and_others_stay_with_the_id(world: World) -> None:
    await world.set(A, AS_A, gender="f")
    await world.set(B, 0, age="25-34")
    await world.follower.follow(merge(1, B, A))
    assert set((await world.record(B)).facts) == {"gender", "age"}
    await world.follower.follow(split(2, B, {B: [AS_B], NEW: [AS_A]}))
    assert [set((await world.record(one)).facts) for one in (B, NEW)] == [{"age"}, {"gender"}]
    await world.set(B, AS_A, gender="m")
    assert [(await world.record(one)).facts.get("gender") for one in (B, NEW)] == [None, Fact("m", NOW_US, AS_A)]


async def test_erased_person_stays_erased_under_every_id(world: World) -> None:
    await world.tell(order(A, "a", AS_A))
    await world.follower.follow(merge(1, B, A))
    await world.follower.follow(PersonsChange(2, NOW_US, (B,), ()))
    assert await world.tell(order(A, "c", AS_A), order(B, "d", AS_B)) == [Outcome.REJECTED] * 2
    assert await delete_profile(world.store, world.backoff, world.journal, A, NOW_US) is False


async def test_events_told_while_a_person_is_split_are_counted_once(world: World) -> None:
    await world.tell(*(order(A, f"a{n}", AS_A if n % 2 else AS_B) for n in range(20)))

    async def keep_telling() -> None:
        for number in range(20, 60):
            await world.tell(order(A, f"a{number}", AS_A if number % 2 else AS_B))

    await asyncio.gather(keep_telling(), world.follower.follow(split(1, A, {A: [AS_A], NEW: [AS_B]})))
    assert [(await world.record(one)).orders.frequency for one in (A, NEW)] == [30, 30]


@pytest.mark.parametrize("kept", ["folder", "bucket"])
async def test_journal_gives_back_what_it_was_given(kept: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    lake = open_lake(request.getfixturevalue("bucket_url") if kept == "bucket" else str(tmp_path))
    journal = LakeJournal(lake)
    assert await journal.read([1], [1]) == []
    mine, theirs, view = order(A, "a", AS_A), order(B, "b", AS_B), Event(7, "v", Behaviour.VIEW, NOW_US)
    await asyncio.gather(journal.write([mine]), journal.write([theirs, view]))
    await journal.write([mine, view])
    files = lake.list("behaviour")
    await LakeJournal(lake).write([mine, view])
    assert lake.list("behaviour") == files
    assert set(await journal.read([A], [])) == {mine}
    assert set(await journal.read([7], [AS_B])) == {theirs, view}
    assert mark_of_merge(1, 2, 3, NOW_US) != mark_of_merge(1, 2, 4, NOW_US)
    await journal.close()


class _Breaking:
    """A store that is lost after some writes."""

    def __init__(self, store: ProfileStore, writes: int) -> None:
        self._store = store
        self._left = writes
        self.read = store.read
        self.ask = store.ask
        self.scan = store.scan
        self.ping = store.ping
        self.followed = store.followed
        self.note_followed = store.note_followed

    async def compare_and_set(self, changes: Sequence[Change]) -> list[bool]:
        if not self._left:
            raise Unavailable("lost")
        self._left -= 1
        return await self._store.compare_and_set(changes)
