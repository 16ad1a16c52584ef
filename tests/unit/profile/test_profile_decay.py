"""Decayed weights equal the direct sum over history, whatever the order, batching or duplicates."""

import asyncio
import random
from collections.abc import Sequence
from math import exp2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bihuan_profile.domain.behaviour import INTEREST_WEIGHTS, Amount, Behaviour, Event, data_class_of
from bihuan_profile.domain.decay import INSTANT_HALF_LIFE_US, LONG_HALF_LIFE_US
from bihuan_profile.domain.governance import Consent, DataClass, Permit, Purpose
from bihuan_profile.domain.record import EMPTY, MAX_INTERESTS, Record, fold
from bihuan_profile.domain.view import ProfileView, release
from bihuan_profile.profile_store.in_memory import MemoryProfileStore
from bihuan_profile.taxonomy_file import packaged_taxonomy
from bihuan_profile.use_cases.ingesting import Outcome, Submission, ingest_events
from bihuan_profile.use_cases.ports import Backoff
from bihuan_shared.clock import DAY_US, HOUR_US

NOW_US = 1_500_000_000_000_000
EVERYTHING = Permit(Purpose.TARGETING, frozenset(DataClass))
AGREED = Consent(frozenset({Purpose.TARGETING}), frozenset(DataClass))
TAGS = ("category:tea", "category:cheese", "coupon:soft drinks", "茶")

events_of_a_person = st.lists(
    st.builds(
        lambda key, behaviour, age_us, tags, micros: Event(
            1, f"event-{key}", behaviour, NOW_US - age_us, tuple(tags), Amount("USD", micros)
        ),
        st.integers(0, 40),
        st.sampled_from(Behaviour),
        st.one_of(st.integers(0, 3 * HOUR_US), st.integers(0, 390 * DAY_US)),
        st.lists(st.sampled_from(TAGS), max_size=4),
        st.integers(0, 10**9),
    ),
    max_size=30,
)


def distinct(events: Sequence[Event]) -> list[Event]:
    """One event a key: the same key always comes with the same content."""
    return list({event.key: event for event in events}.values())


def direct_interest(
    events: Sequence[Event], tag: str, data_class: DataClass, half_life_us: int, query_us: int
) -> float:
    return sum(
        INTEREST_WEIGHTS[event.behaviour] * exp2(-(query_us - event.time_us) / half_life_us)
        for event in events
        if tag in event.tags and data_class_of(event.behaviour) is data_class
    )


def view_of(record: Record, query_us: int) -> ProfileView:
    return release(record, EVERYTHING, query_us, packaged_taxonomy())


async def ingested(batches: Sequence[Sequence[Event]]) -> Record:
    store = MemoryProfileStore()
    backoff = Backoff(random.Random(1), asyncio.sleep)
    for batch in batches:
        await ingest_events(store, backoff, NOW_US, [Submission(event, AGREED) for event in batch])
    return (await store.read([1]))[0].record


@settings(max_examples=150)
@given(events_of_a_person, st.randoms(use_true_random=False), st.integers(0, 60 * DAY_US))
def test_interests_equal_the_direct_sum(events: list[Event], shuffle: random.Random, later_us: int) -> None:
    history = distinct(events)
    told = history + [event for event in history if shuffle.random() < 0.3]
    shuffle.shuffle(told)
    batches = []
    while told:
        size = shuffle.randint(1, len(told))
        batches.append(told[:size])
        told = told[size:]
    record = asyncio.run(ingested(batches))
    query_us = NOW_US + later_us
    told_interests = {interest.tag: interest for interest in view_of(record, query_us).interests}
    for tag in TAGS:
        for name, half_life_us in (("long_term", LONG_HALF_LIFE_US), ("instant", INSTANT_HALF_LIFE_US)):
            expected = sum(
                direct_interest(history, tag, data_class, half_life_us, query_us)
                for data_class in (DataClass.OPERATION, DataClass.TRANSACTION)
            )
            actual = getattr(told_interests.get(tag), name, 0.0)
            assert actual == pytest.approx(max(0.0, expected), rel=1e-9, abs=2e-6)


@settings(max_examples=150)
@given(events_of_a_person, st.integers(0, 60 * DAY_US))
def test_activity_and_orders_equal_the_direct_sum(events: list[Event], later_us: int) -> None:
    history = distinct(events)
    record = EMPTY
    for event in history:
        record = fold(record, [event])
    query_us = NOW_US + later_us
    view = view_of(record, query_us)
    for activity in view.activities:
        same = [event for event in history if event.behaviour == activity.behaviour]
        left = sum(2.0 ** (-(query_us - event.time_us) / LONG_HALF_LIFE_US) for event in same)
        assert activity.total == len(same)
        assert activity.long_term == pytest.approx(left, rel=1e-9)
    orders = [event for event in history if event.behaviour is Behaviour.ORDER]
    signed = [
        (event, 1 if event.behaviour is Behaviour.ORDER else -1)
        for event in history
        if event.behaviour in {Behaviour.ORDER, Behaviour.REFUND} and event.amount
    ]
    if view.rfm is None:
        assert not signed
        return
    assert view.rfm.frequency == len(orders)
    assert view.rfm.last_order_time_us == max((event.time_us for event in orders), default=0)
    assert dict(view.rfm.monetary) == {"USD": sum(sign * e.amount.micros for e, sign in signed if e.amount)}
    decayed = sum(
        sign * e.amount.micros * 2.0 ** (-(query_us - e.time_us) / LONG_HALF_LIFE_US) for e, sign in signed if e.amount
    )
    assert view.rfm.decayed_micros == pytest.approx(max(0.0, decayed), rel=1e-6, abs=1e-3)


def test_halves_after_one_half_life() -> None:
    record = fold(EMPTY, [Event(1, "a", Behaviour.ORDER, NOW_US, ("category:tea",))])
    assert view_of(record, NOW_US + LONG_HALF_LIFE_US).interests[0].long_term == pytest.approx(0.5)
    assert view_of(record, NOW_US + INSTANT_HALF_LIFE_US).interests[0].instant == pytest.approx(0.5)


def test_read_before_the_newest_event_is_answered_as_of_that_event() -> None:
    record = fold(EMPTY, [Event(1, "a", Behaviour.ORDER, NOW_US, ("category:tea",))])
    assert view_of(record, NOW_US - 390 * DAY_US).interests[0].instant == pytest.approx(1.0)


def test_refund_takes_one_order_back_and_never_reads_negative() -> None:
    order = Event(1, "o", Behaviour.ORDER, NOW_US, ("category:tea",), Amount("USD", 5_000_000))
    refund = Event(1, "r", Behaviour.REFUND, NOW_US, ("category:tea",), Amount("USD", 5_000_000))
    for events in ([order, refund], [refund, order]):
        record = EMPTY
        for event in events:
            record = fold(record, [event])
        view = view_of(record, NOW_US)
        assert view.interests == ()
        assert view.rfm is not None
        assert view.rfm.monetary == (("USD", 0),)
        assert view.rfm.frequency == 1
    lone = view_of(fold(EMPTY, [refund]), NOW_US)
    assert lone.interests == ()
    assert lone.rfm is not None
    assert lone.rfm.decayed_micros == 0.0


def test_repeated_tag_of_one_event_counts_once() -> None:
    record = fold(EMPTY, [Event(1, "a", Behaviour.ORDER, NOW_US, ("category:tea", "category:tea"))])
    assert view_of(record, NOW_US).interests[0].long_term == pytest.approx(1.0)


def test_impression_is_counted_and_forms_no_interest() -> None:
    view = view_of(fold(EMPTY, [Event(1, "a", Behaviour.IMPRESSION, NOW_US, ("category:tea",))]), NOW_US)
    assert view.interests == ()
    assert [(activity.behaviour, activity.total) for activity in view.activities] == [(Behaviour.IMPRESSION, 1)]


def test_weakest_interests_are_evicted_beyond_the_bound() -> None:
    strong = [Event(1, f"s{i}", Behaviour.ORDER, NOW_US, (f"category:{i}",)) for i in range(MAX_INTERESTS)]
    weak = Event(1, "w", Behaviour.ORDER, NOW_US - 40 * DAY_US, ("category:weak",))
    record = fold(fold(EMPTY, [weak]), strong)
    assert len(record.transaction_interests.long) == MAX_INTERESTS
    assert "category:weak" not in record.transaction_interests.long
    assert "category:weak" not in record.transaction_interests.instant


def test_the_same_id_is_accepted_once_in_a_batch_and_over_batches() -> None:
    async def outcomes() -> list[Outcome]:
        store = MemoryProfileStore()
        backoff = Backoff(random.Random(1), asyncio.sleep)
        event = Submission(Event(1, "a", Behaviour.CLICK, NOW_US), AGREED)
        first = await ingest_events(store, backoff, NOW_US, [event, event])
        second = await ingest_events(store, backoff, NOW_US, [event])
        return [result.outcome for result in first + second]

    assert asyncio.run(outcomes()) == [Outcome.ACCEPTED, Outcome.DUPLICATE, Outcome.DUPLICATE]
