"""What every profile store keeps to."""

import asyncio
import random
from dataclasses import replace

from profile_persons import MemoryJournal

from bihuan_profile.domain.behaviour import Amount, Behaviour, Event
from bihuan_profile.domain.governance import Consent, DataClass, Purpose
from bihuan_profile.domain.marks import Mark
from bihuan_profile.domain.record import EMPTY, Fact, Record, fold, with_facts
from bihuan_profile.use_cases.erasing import delete_profile
from bihuan_profile.use_cases.ingesting import PERSON_ERASED, Outcome, Result, Submission, ingest_events
from bihuan_profile.use_cases.ports import Ask, Backoff, Change, Held, ProfileStore

NOW_US = 1_500_000_000_000_000
AGREED = Consent(frozenset({Purpose.TARGETING}), frozenset(DataClass))
SPREAD = [1, 63, 64, 65, 5_000, 2**40, 2**64 - 1]
"""Persons of one bucket, of several, and of the far end of the id space."""


def backoff(seed: int = 1) -> Backoff:
    return Backoff(random.Random(seed), asyncio.sleep)


def rich_record() -> Record:
    record, _ = with_facts(
        EMPTY,
        [
            ("age", Fact("25-34", NOW_US)),
            ("birth_year", Fact(1980.0, NOW_US)),
            ("newsletter", Fact(value=False, time_us=NOW_US - 7)),
        ],
    )
    return fold(
        record,
        [
            Event(1, "a", Behaviour.ORDER, NOW_US, ("category:茶", "coupon:soft drinks"), Amount("USD", 2**62)),
            Event(1, "b", Behaviour.VIEW, NOW_US - 10**13, ("category:tea",)),
            Event(1, "c", Behaviour.CLICK, NOW_US - 1, ("category:tea",)),
            Event(1, "d", Behaviour.REFUND, NOW_US - 2, (), Amount("EUR", 3)),
        ],
    )


async def test_what_is_written_is_read_back(store: ProfileStore) -> None:
    record = rich_record()
    assert await store.compare_and_set([Change(person_id, 0, record) for person_id in SPREAD]) == [True] * len(SPREAD)
    held = await store.read([*SPREAD, 7])
    assert [one.record for one in held] == [record] * len(SPREAD) + [EMPTY]
    assert all(one.revision for one in held[:-1])
    assert held[-1] == Held()


async def test_reads_answer_in_the_order_asked_and_repeats_too(store: ProfileStore) -> None:
    one, other = rich_record(), replace(rich_record(), first_operation_us=5)
    await store.compare_and_set([Change(1, 0, one), Change(200, 0, other)])
    assert [held.record for held in await store.read([200, 1, 200, 9])] == [other, one, other, EMPTY]


async def test_write_over_a_revision_that_moved_on_is_refused(store: ProfileStore) -> None:
    await store.compare_and_set([Change(1, 0, EMPTY)])
    revision = (await store.read([1]))[0].revision
    assert await store.compare_and_set([Change(1, 0, rich_record()), Change(2, 0, EMPTY)]) == [False, True]
    assert (await store.read([1]))[0] == Held(EMPTY, revision)
    assert await store.compare_and_set([Change(1, revision, rich_record())]) == [True]
    assert await store.compare_and_set([Change(1, revision, EMPTY)]) == [False]


async def test_marks_are_written_with_the_record_or_not_at_all(store: ProfileStore) -> None:
    low, high, other_month = Mark(202501, -(2**63)), Mark(202501, 2**63 - 1), Mark(202412, 2**63 - 1)
    await store.compare_and_set([Change(1, 0, EMPTY, (low,))])
    assert await store.compare_and_set([Change(1, 0, EMPTY, (high,))]) == [False]
    answers = await store.ask([Ask(1, (high, low, other_month)), Ask(64, (low,))])
    assert [answer.seen for answer in answers] == [(False, True, False), (False,)]
    assert answers[0].held.revision == (await store.read([1]))[0].revision


async def test_an_erased_person_is_only_a_note(store: ProfileStore) -> None:
    await store.compare_and_set([Change(1, 0, rich_record())])
    revision = (await store.read([1]))[0].revision
    await store.compare_and_set([Change(1, revision, None)])
    held = (await store.read([1]))[0]
    assert held.erased
    assert held.record == EMPTY
    assert await store.compare_and_set([Change(1, revision, rich_record())]) == [False]


async def test_scan_tells_everyone_once_but_the_erased(store: ProfileStore) -> None:
    person_ids = [*range(1, 300), *SPREAD[-2:]]
    await store.compare_and_set([Change(person_id, 0, rich_record(), (Mark(202501, 5),)) for person_id in person_ids])
    await store.compare_and_set([Change(300, 0, None)])
    batches = [batch async for batch in store.scan(50)]
    assert max(map(len, batches)) <= 50
    assert sorted(person_id for batch in batches for person_id, _ in batch) == person_ids
    assert all(record == rich_record() for batch in batches for _, record in batch)


async def test_empty_batches_do_nothing(store: ProfileStore) -> None:
    assert await store.read([]) == []
    assert await store.ask([]) == []
    assert await store.compare_and_set([]) == []
    assert [batch async for batch in store.scan(10)] == []
    assert await store.ping()


async def test_64_writers_of_one_person_lose_no_update(store: ProfileStore) -> None:
    async def write(writer: int) -> list[Result]:
        own = Submission(Event(1, f"own-{writer}", Behaviour.ORDER, NOW_US, (f"category:{writer}",)), AGREED)
        shared = Submission(Event(1, f"shared-{writer % 8}", Behaviour.CLICK, NOW_US), AGREED)
        return await ingest_events(store, backoff(writer), NOW_US, [own, shared])

    results = await asyncio.gather(*(write(writer) for writer in range(64)))
    record = (await store.read([1]))[0].record
    assert all(own.outcome is Outcome.ACCEPTED for own, _ in results)
    assert sum(shared.outcome is Outcome.ACCEPTED for _, shared in results) == 8
    assert record.counts[Behaviour.ORDER].total == 64
    assert record.counts[Behaviour.CLICK].total == 8
    assert record.orders.frequency == 64
    assert set(record.transaction_interests.long) == {f"category:{writer}" for writer in range(64)}


async def test_late_events_of_an_erased_person_are_refused(store: ProfileStore) -> None:
    event = Submission(Event(1, "a", Behaviour.CLICK, NOW_US), AGREED)
    await ingest_events(store, backoff(), NOW_US, [event])
    assert await delete_profile(store, backoff(), MemoryJournal(), 1, NOW_US) is True
    assert await delete_profile(store, backoff(), MemoryJournal(), 1, NOW_US) is False
    late = Submission(Event(1, "b", Behaviour.CLICK, NOW_US), AGREED)
    results = await ingest_events(store, backoff(), NOW_US, [event, late])
    assert results == [Result(Outcome.REJECTED, PERSON_ERASED)] * 2
    assert (await store.read([1]))[0].erased


async def test_one_batch_over_many_persons_and_months(store: ProfileStore) -> None:
    submissions = [
        Submission(
            Event(index % 700 + 1, f"e{index}", Behaviour.ORDER, NOW_US - index * 10**10, (f"category:{index % 9}",)),
            AGREED,
        )
        for index in range(1_000)
    ]
    first = await ingest_events(store, backoff(), NOW_US, submissions)
    second = await ingest_events(store, backoff(), NOW_US, submissions)
    assert {result.outcome for result in first} == {Outcome.ACCEPTED}
    assert {result.outcome for result in second} == {Outcome.DUPLICATE}
    held = await store.read(range(1, 701))
    assert sum(one.record.orders.frequency for one in held) == 1_000
