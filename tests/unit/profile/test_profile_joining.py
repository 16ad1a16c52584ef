"""Whatever is merged and split: a profile is what the events of its own sightings make."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profile_persons import MemoryJournal, merge, split

from bihuan_profile.domain.behaviour import Amount, Behaviour, Event
from bihuan_profile.domain.governance import Consent, DataClass, Purpose
from bihuan_profile.domain.record import EMPTY, Record, fold
from bihuan_profile.profile_store.in_memory import MemoryProfileStore
from bihuan_profile.use_cases.following import ProfileFollower
from bihuan_profile.use_cases.ingesting import Submission, ingest_events
from bihuan_profile.use_cases.knowing import read_now
from bihuan_profile.use_cases.ports import Backoff

NOW_US = 1_500_000_000_000_000
AGREED = Consent(frozenset({Purpose.TARGETING}), frozenset(DataClass))
SIGHTINGS = range(1, 5)
BEHAVIOURS = st.sampled_from([Behaviour.VIEW, Behaviour.CLICK, Behaviour.ORDER, Behaviour.REFUND, Behaviour.COUPON])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_after_any_merges_and_splits_each_profile_is_made_of_its_own_events(data: st.DataObject) -> None:
    asyncio.run(_run(data))


async def _run(data: st.DataObject) -> None:
    store, journal = MemoryProfileStore(), MemoryJournal()
    backoff = Backoff(random.Random(1), asyncio.sleep)
    follower = ProfileFollower(store, backoff, journal, journal)
    owner = {sighting: 10 + sighting for sighting in SIGHTINGS}
    told = [dict(owner)]
    events: list[Event] = []
    for step in range(1, data.draw(st.integers(1, 8))):
        sighting = data.draw(st.sampled_from(list(SIGHTINGS)))
        # Whoever tells an event may have known an older state.
        person = data.draw(st.sampled_from(told))[sighting]
        event = Event(
            person,
            f"e{step}",
            data.draw(BEHAVIOURS),
            NOW_US - data.draw(st.integers(0, 10**13)),
            (f"category:{step % 3}",),
            Amount("USD", step),
            sighting,
        )
        events.append(event)
        await ingest_events(store, backoff, NOW_US, [Submission(event, AGREED)] * 2, journal)
        persons = sorted(set(owner.values()))
        if data.draw(st.booleans()) and len(persons) > 1:
            survivor, absorbed = sorted(
                data.draw(st.lists(st.sampled_from(persons), min_size=2, max_size=2, unique=True))
            )
            await follower.follow(merge(step, survivor, absorbed))
            owner = {one: survivor if held == absorbed else held for one, held in owner.items()}
        else:
            parent = data.draw(st.sampled_from(persons))
            mine = [one for one, held in owner.items() if held == parent]
            leaving = data.draw(st.lists(st.sampled_from(mine), unique=True, max_size=len(mine) - 1))
            if leaving:
                old = 10 + min(leaving)
                fresh = old if old not in owner.values() else 100 + step
                owner |= dict.fromkeys(leaving, fresh)
                parts = {parent: [one for one in mine if one not in leaving], fresh: leaving}
                await follower.follow(split(step, parent, parts))
        told.append(dict(owner))
    for sighting in SIGHTINGS:
        own = [event for event in events if owner[event.sighting_id] == owner[sighting]]
        (held,) = await read_now(store, [owner[sighting]])
        _same(held.record, fold(EMPTY, own))


def _same(one: Record, other: Record) -> None:
    assert (one.counts, one.reference_us, one.first_operation_us) == (
        other.counts, other.reference_us, other.first_operation_us,
    )  # fmt: skip
    for mine, theirs in (
        (one.operation_interests, other.operation_interests),
        (one.transaction_interests, other.transaction_interests),
    ):
        assert dict(mine.long) == pytest.approx(dict(theirs.long))
    assert (one.orders.frequency, one.orders.last_time_us) == (other.orders.frequency, other.orders.last_time_us)
    assert {code: spend.micros for code, spend in one.orders.monetary.items()} == {
        code: spend.micros for code, spend in other.orders.monetary.items()
    }
