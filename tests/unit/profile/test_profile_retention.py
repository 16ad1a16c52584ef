"""What is older than its retention is gone, and nothing else changes."""

import asyncio
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_tags import no_private_tags

from bihuan_profile.domain import retention
from bihuan_profile.domain.behaviour import INTEREST_WEIGHTS, Amount, Behaviour, Event, Item, data_class_of
from bihuan_profile.domain.governance import DataClass
from bihuan_profile.domain.record import EMPTY, Fact, fold, with_facts
from bihuan_profile.domain.retention import DEFAULTS, Retention, expired, retention_of
from bihuan_profile.domain.taxonomy import TagType
from bihuan_profile.journal import ATTRIBUTES, BEHAVIOUR, LakeJournal, LakeRows
from bihuan_profile.profile_store.in_memory import MemoryProfileStore
from bihuan_profile.profile_store.jobs import MemoryJobs
from bihuan_profile.profile_store.retaining import RetainingProfileStore
from bihuan_profile.taxonomy_file import packaged_taxonomy
from bihuan_profile.use_cases.ingesting import take_in
from bihuan_profile.use_cases.ports import Backoff, Change
from bihuan_profile.use_cases.sweeping import Sweep, Swept
from bihuan_shared.clock import DAY_US, FixedClock
from bihuan_shared.lake import open_lake

NOW_US = 1_700_000_000_000_000
KEPT = Retention()
BEHAVIOURS = [one for one in Behaviour if one is not Behaviour.REFUND]


def event(
    behaviour: Behaviour, age_days: float, tag: str = "category:tea", key: str = "k", *, echo: bool = False
) -> Event:
    items = (Item("tea"),) if behaviour is Behaviour.ORDER else ()
    time_us = NOW_US - round(age_days * DAY_US)
    return Event(1, key, behaviour, time_us, (tag, "brand:acme"), Amount("USD", 5), 0, items, echo)


@pytest.mark.parametrize("behaviour", list(Behaviour))
def test_a_person_who_is_silent_for_the_retention_of_a_class_leaves_nothing_of_it(behaviour: Behaviour) -> None:
    days = DEFAULTS[data_class_of(behaviour)] / DAY_US
    young, old = (fold(EMPTY, [event(behaviour, age)]) for age in (days, days + 0.001))
    if behaviour in (Behaviour.REFUND, Behaviour.COUPON):
        # A bond without an order is kept as long as behaviour is.
        young = replace(young, bonds={})
    assert expired(young, NOW_US, KEPT) is young
    assert replace(expired(old, NOW_US, KEPT), reference_us=0) == EMPTY


def test_influence_goes_after_half_a_year_and_facts_with_their_tag() -> None:
    record = fold(EMPTY, [event(Behaviour.CLICK, 181, echo=True)])
    assert replace(expired(record, NOW_US, KEPT), reference_us=0) == EMPTY
    facts = {"region": Fact("CH", NOW_US - 100 * DAY_US), "language": Fact("de", NOW_US - 100 * DAY_US)}
    told, _ = with_facts(EMPTY, facts.items())
    kept = Retention(by_attribute={"region": 99 * DAY_US, "language": 0})
    assert set(expired(told, NOW_US, kept).facts) == {"language"}
    assert set(expired(told, NOW_US + 10_000 * DAY_US, kept).facts) == {"language"}


@given(
    st.lists(
        st.tuples(st.sampled_from(BEHAVIOURS), st.integers(0, 2_000), st.sampled_from(["a:1", "a:2", "a:3"])),
        min_size=1,
        max_size=12,
    )
)
def test_only_what_has_no_evidence_within_its_retention_goes(lived: list[tuple[Behaviour, int, str]]) -> None:
    events = [event(behaviour, age, tag, str(n)) for n, (behaviour, age, tag) in enumerate(lived)]
    whole = fold(EMPTY, events)
    record = expired(whole, NOW_US, KEPT)
    young = [one for one in events if NOW_US - one.time_us <= DEFAULTS[data_class_of(one.behaviour)]]
    assert set(record.counts) == {int(one.behaviour) for one in young}
    for data_class, held, before in (
        (DataClass.OPERATION, record.operation_interests, whole.operation_interests),
        (DataClass.TRANSACTION, record.transaction_interests, whole.transaction_interests),
    ):
        alive = [one for one in young if data_class_of(one.behaviour) is data_class]
        tags = {tag for one in alive if INTEREST_WEIGHTS[one.behaviour] for tag in one.tags}
        assert tags <= set(held.long)
        assert all(held.long[tag] == before.long[tag] for tag in held.long)
        assert alive or not held.long
    assert expired(record, NOW_US, KEPT) is record


@given(
    st.lists(
        st.tuples(st.sampled_from(Behaviour), st.integers(0, 1_200), st.booleans(), st.sampled_from(["a:1", "a:2"])),
        max_size=6,
    ),
    st.dictionaries(st.sampled_from(["region", "language", "age"]), st.integers(0, 1_200), max_size=3),
)
def test_a_glance_says_young_only_of_what_the_whole_rule_leaves_as_it_is(
    lived: list[tuple[Behaviour, int, bool, str]], told: dict[str, int]
) -> None:
    events = [event(one, age, tag, str(n), echo=echo) for n, (one, age, echo, tag) in enumerate(lived)]
    facts = [(name, Fact("x", NOW_US - age * DAY_US)) for name, age in told.items()]
    record, _ = with_facts(fold(EMPTY, events), facts)
    kept = Retention(by_attribute={"region": 99 * DAY_US, "language": 0})
    glanced = expired(record, NOW_US, kept)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retention, "_is_young", lambda *_: False)
        assert glanced == expired(record, NOW_US, kept)


def test_the_taxonomy_says_how_long_attributes_are_kept() -> None:
    kept = retention_of(packaged_taxonomy())
    for tag in packaged_taxonomy().tags:
        if not tag.derived and tag.type is not TagType.INTEREST:
            assert kept.of_attribute(tag.name) == tag.retention_us > 0
    assert kept.by_class == {
        DataClass.REGISTRATION: DEFAULTS[DataClass.REGISTRATION],
        DataClass.OPERATION: 400 * DAY_US,
        DataClass.TRANSACTION: 1_095 * DAY_US,
        DataClass.SOCIAL: 400 * DAY_US,
    }
    assert kept.longest_us == 1_095 * DAY_US
    assert Retention(by_attribute={"region": 0}).longest_us == 0


async def test_what_has_expired_neither_shows_nor_counts_again() -> None:
    clock, inner = FixedClock(NOW_US - 500 * DAY_US), MemoryProfileStore()
    store = RetainingProfileStore(inner, clock, no_private_tags(KEPT))
    backoff = Backoff(random.Random(1), asyncio.sleep)
    await take_in(store, backoff, None, [event(Behaviour.VIEW, 500, key="old")])
    clock.advance_us(500 * DAY_US)
    assert not (await store.read([1]))[0].record.counts
    assert [batch[0][1].counts async for batch in store.scan(10)] == [{}]
    await take_in(store, backoff, None, [event(Behaviour.VIEW, 0, key="new")])
    assert (await inner.read([1]))[0].record.counts[Behaviour.VIEW].total == 1


async def test_a_sweep_prunes_forgets_and_removes_old_files_once_an_interval(tmp_path: Path) -> None:
    store, lake = MemoryProfileStore(), open_lake(str(tmp_path))
    backoff = Backoff(random.Random(1), asyncio.sleep)
    old, mixed, young = (
        fold(EMPTY, [event(Behaviour.VIEW, 500)]),
        fold(EMPTY, [event(Behaviour.VIEW, 500, key="1"), event(Behaviour.ORDER, 500, key="2")]),
        fold(EMPTY, [event(Behaviour.VIEW, 1)]),
    )
    await store.compare_and_set([Change(one, 0, record) for one, record in enumerate((old, mixed, young), 1)])
    journal = LakeJournal(lake)
    for age in (1_098, 1_094):
        await journal.write([event(Behaviour.ORDER, age, key=str(age))])
    jobs = MemoryJobs()
    sweeps = [
        Sweep(store, backoff, LakeRows(lake), jobs, no_private_tags(KEPT), lambda: NOW_US, name, 3_600.0)
        for name in ("one", "two")
    ]
    assert await sweeps[0].sweep() == Swept(3, 2, 1)
    assert [await sweep.sweep() for sweep in sweeps] == [None, None]
    assert [held.revision for held in await store.read([1, 2, 3])] == [0, 2, 1]
    assert set((await store.read([2]))[0].record.counts) == {Behaviour.ORDER}
    assert (len(lake.list(BEHAVIOUR)), lake.list(ATTRIBUTES)) == (1, [])
