"""Following changes of who is who: credits of later orders see the new persons, and what was billed stays."""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bihuan.attribution.v1 import event_pb2
from bihuan_attribution import schema
from bihuan_attribution.domain.reserve import ReserveOutcome
from bihuan_attribution.domain.terms import CampaignTerms, CapLevel, CapWindow, FrequencyCap
from bihuan_attribution.person_history import PersonHistory
from bihuan_attribution.use_cases.explain import explain_order
from bihuan_shared.clock import HOUR_US
from bihuan_shared.errors import Unavailable
from bihuan_shared.person_change import PersonPart, PersonsChange

if TYPE_CHECKING:
    from tests.contract.attribution.conftest import Desk, World

A, B, NEW = 7, 9, 30
SEEN_AS_A, SEEN_AS_B = 5, 2**63 + 5
"""Handles beyond 2^63 are as good as others."""


def merge(change_id: int, survivor: int, *absorbed: int) -> PersonsChange:
    return PersonsChange(change_id, 0, tuple(sorted((survivor, *absorbed))), (PersonPart(survivor),))


def split(change_id: int, person: int, parts: dict[int, Sequence[int]]) -> PersonsChange:
    return PersonsChange(
        change_id, 0, (person,), tuple(PersonPart(one, frozenset(parts[one])) for one in sorted(parts))
    )


async def click(world: "World", name: str, terms: CampaignTerms, person: int, sighting: int) -> None:
    token = world.token(name, terms, person=person, sighting=sighting)
    await world.record(world.beacon("impression", token), world.beacon("click", token))
    await world.bill()


async def buy(world: "World", order_id: str, person: int, sighting: int) -> str:
    """The click that the order is credited to."""
    world.clock.advance_us(HOUR_US)
    await world.record(world.order(f"e-{order_id}", order_id, person=person, sighting=sighting))
    await world.bill()
    await world.reconcile()
    return await credited(world, order_id)


async def credited(world: "World", order_id: str) -> str:
    found = await explain_order("acme", order_id, world.orders)
    return next((part.touch.ad.token_id for part in found.parts if part.credit_ppm), "")


async def touched(world: "World") -> dict[str, int]:
    query = sa.select(schema.touches.c.token_id, schema.touches.c.person_id).where(schema.touches.c.event_type == 3)
    rows = await world.database.read(lambda c: c.execute(query).all())
    return {row.token_id: row.person_id for row in rows}


async def test_order_on_one_device_is_credited_to_the_click_on_another_while_they_are_linked(
    world: "World", cps: CampaignTerms
) -> None:
    await click(world, "c1", cps, B, SEEN_AS_B)
    assert await buy(world, "before", A, SEEN_AS_A) == ""
    await world.persons.follow(merge(1, A, B))
    assert await buy(world, "linked", A, SEEN_AS_A) == "c1"
    await world.persons.follow(split(2, A, {A: [SEEN_AS_A], B: [SEEN_AS_B]}))
    assert await touched(world) == {"c1": B}
    assert await buy(world, "unlinked", A, SEEN_AS_A) == ""
    assert await buy(world, "same device", B, SEEN_AS_B) == "c1"


async def test_what_was_credited_stays_whatever_becomes_of_the_person(world: "World", cps: CampaignTerms) -> None:
    await click(world, "c1", cps, B, SEEN_AS_B)
    await world.persons.follow(merge(1, A, B))
    assert await buy(world, "o1", A, SEEN_AS_A) == "c1"
    charged = await world.charged()
    assert charged > 0
    await world.persons.follow(split(2, A, {A: [SEEN_AS_A], B: [SEEN_AS_B]}))
    await world.record(world.order("u1", "o1", update=True, status=event_pb2.ORDER_STATUS_COMPLETED, person=A))
    await world.bill()
    assert (await world.charged(), await credited(world, "o1")) == (charged, "c1")


async def test_order_that_found_no_click_gets_none_by_a_later_merge(world: "World", cps: CampaignTerms) -> None:
    await click(world, "c1", cps, B, SEEN_AS_B)
    assert await buy(world, "o1", A, SEEN_AS_A) == ""
    await world.persons.follow(merge(1, A, B))
    await world.record(world.order("u1", "o1", update=True, status=event_pb2.ORDER_STATUS_COMPLETED, person=A))
    await world.bill()
    assert await world.charged() == 0


async def test_click_under_an_id_of_before_counts_for_the_person_of_now(world: "World", cps: CampaignTerms) -> None:
    await world.persons.follow(merge(1, A, B))
    await click(world, "c1", cps, B, SEEN_AS_B)
    assert await buy(world, "o1", A, SEEN_AS_A) == "c1"
    await world.persons.follow(split(2, A, {A: [SEEN_AS_A], NEW: [SEEN_AS_B]}))
    await click(world, "c2", cps, A, SEEN_AS_B)
    assert await touched(world) == {"c1": NEW, "c2": NEW}
    assert await buy(world, "o2", NEW, SEEN_AS_B) == "c2"


async def test_event_that_waits_for_its_impression_is_counted_for_the_person_of_then(
    world: "World", cps: CampaignTerms
) -> None:
    token = world.token("c1", cps, person=B, sighting=SEEN_AS_B)
    await world.record(world.beacon("click", token))
    await world.bill()
    await world.persons.follow(merge(1, A, B))
    await world.record(world.beacon("impression", token))
    await world.bill()
    assert await touched(world) == {"c1": A}
    assert await buy(world, "o1", A, SEEN_AS_A) == "c1"


async def test_repeated_change_does_nothing_and_one_too_early_is_refused(world: "World", cps: CampaignTerms) -> None:
    await click(world, "c1", cps, B, SEEN_AS_B)
    await world.persons.follow(merge(1, A, B))
    await world.persons.follow(split(2, A, {A: [SEEN_AS_A], B: [SEEN_AS_B]}))
    await world.persons.follow(merge(1, A, B))
    assert (await touched(world), await world.persons.position()) == ({"c1": B}, 2)
    with pytest.raises(Unavailable):
        await world.persons.follow(merge(4, A, B))
    assert (await touched(world), await world.persons.position()) == ({"c1": B}, 2)


async def test_touches_of_an_erased_person_are_nobodys(world: "World", cps: CampaignTerms) -> None:
    await click(world, "c1", cps, A, SEEN_AS_A)
    await world.persons.follow(PersonsChange(1, 0, (A,), ()))
    assert await touched(world) == {"c1": 0}
    await click(world, "c2", cps, A, SEEN_AS_A)
    assert await touched(world) == {"c1": 0, "c2": 0}
    assert await buy(world, "o1", A, SEEN_AS_A) == ""


async def test_more_touches_than_a_page_move(
    world: "World", cps: CampaignTerms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bihuan_attribution.person_store.PAGE", 3)
    for number in range(10):
        await click(world, f"c{number}", cps, B, SEEN_AS_B if number % 2 else SEEN_AS_A)
    await world.persons.follow(merge(1, A, B))
    assert set((await touched(world)).values()) == {A}
    await world.persons.follow(split(2, A, {A: [SEEN_AS_A], B: [SEEN_AS_B]}))
    assert await touched(world) == {f"c{number}": B if number % 2 else A for number in range(10)}


async def test_no_log_entry_or_lake_body_names_the_sighting(world: "World") -> None:
    await world.record(world.order("e1", person=A, sighting=SEEN_AS_B))
    (event,) = await world.log.read(0, 10)
    assert (event.person_id, event.sighting_id) == (A, SEEN_AS_B)
    assert event_pb2.Event.FromString(event.body).sighting_id == 0


async def test_without_consent_to_measurement_neither_person_nor_sighting_is_kept(world: "World") -> None:
    order = world.order("e1", person=A, sighting=SEEN_AS_A)
    order.consent.Clear()
    await world.record(order)
    (event,) = await world.log.read(0, 10)
    assert (event.person_id, event.sighting_id) == (0, 0)


@pytest.mark.parametrize("seed", range(3))
async def test_books_agree_with_the_fold_whatever_becomes_of_persons(
    world: "World", cps: CampaignTerms, seed: int
) -> None:
    chance = random.Random(seed)
    owner = {sighting: 10 + sighting for sighting in range(1, 6)}
    known = [dict(owner)]
    for step in range(30):
        world.clock.advance_us(HOUR_US)
        sighting = chance.randrange(1, 6)
        # Whoever tells an event may have known an older state.
        person = chance.choice(known)[sighting]
        match chance.randrange(4):
            case 0:
                token = world.token(f"c{step}", cps, person=person, sighting=sighting)
                kinds = chance.choice([("impression", "click"), ("click",), ("click", "impression")])
                await world.record(*(world.beacon(kind, token) for kind in kinds))
            case 1:
                await world.record(world.order(f"e{step}", f"o{step}", person=person, sighting=sighting))
            case 2:
                order_id = f"o{chance.randrange(step + 1)}"
                await world.record(world.order(f"u{step}", order_id, update=True, person=person, sighting=sighting))
            case _:
                change = any_change(chance, owner, len(known))
                await world.persons.follow(change)
                known.append(dict(owner))
        if chance.random() < 0.7:
            await world.bill(limit=chance.choice([1, 3, 1_000]))
        if chance.random() < 0.2:
            await world.reconcile()
    await world.bill()
    await world.reconcile()
    assert await world.charged() > 0
    found = await held(world)
    assert [person_id for person_id, _ in found] == [owner[sighting] for _, sighting in found]


def any_change(chance: random.Random, owner: dict[int, int], change_id: int) -> PersonsChange:
    """Merge two persons or split one, and bring the owners of the sightings up to it."""
    persons = sorted(set(owner.values()))
    person = chance.choice(persons)
    mine = [one for one, held_by in owner.items() if held_by == person]
    if len(mine) > 1 and (len(persons) == 1 or chance.random() < 0.5):
        leaving = chance.sample(mine, chance.randrange(1, len(mine)))
        old = 10 + min(leaving)
        new = old if old not in persons else 100 + change_id
        owner |= dict.fromkeys(leaving, new)
        return split(change_id, person, {person: [one for one in mine if one not in leaving], new: leaving})
    survivor, absorbed = sorted(chance.sample(persons, 2))
    owner |= {one: survivor for one, held_by in owner.items() if held_by == absorbed}
    return merge(change_id, survivor, absorbed)


async def held(world: "World") -> list[tuple[int, int]]:
    """The person that each touch is of now, and the sighting that it was told under."""
    touches, events = schema.touches, schema.events
    query = sa.select(touches.c.person_id, events.c.sighting_id)
    query = query.join(events, events.c.position == touches.c.position)
    return [(row.person_id, row.sighting_id) for row in await world.database.read(lambda c: c.execute(query).all())]


async def show(desk: "Desk", name: str, person: int, sighting: int) -> None:
    token = desk.world.token(name, person=person, sighting=sighting)
    await desk.world.record(desk.world.beacon("impression", token))
    await desk.world.bill()
    while await desk.settler.step():
        pass


async def test_caps_count_what_the_parts_of_a_person_saw(desk: "Desk") -> None:
    daily = (FrequencyCap(CapLevel.CAMPAIGN, CapWindow.DAY, 2), FrequencyCap(CapLevel.CAMPAIGN, CapWindow.LIFETIME, 2))
    await desk.put(replace(desk.terms, version=2, caps=daily))
    await desk.deposit(10**9)

    async def may_see(person: int) -> bool:
        answer = await desk.take(f"ask-{person}", ("cpm-1", 1), person=person, validate_only=True)
        return answer.outcomes == (ReserveOutcome.RESERVED,)

    await show(desk, "i1", A, SEEN_AS_A)
    await show(desk, "i2", B, SEEN_AS_B)
    assert [await may_see(one) for one in (A, B)] == [True, True]
    await desk.world.persons.follow(merge(1, A, B))
    while await desk.settler.step():
        pass
    assert not await may_see(A)
    await desk.world.persons.follow(split(2, A, {A: [SEEN_AS_A], NEW: [SEEN_AS_B]}))
    while await desk.settler.step():
        pass
    assert [await may_see(one) for one in (A, NEW)] == [True, True]
    await show(desk, "i3", NEW, SEEN_AS_B)
    assert [await may_see(one) for one in (A, NEW)] == [True, False]


async def test_what_was_reserved_before_a_merge_counts_for_the_survivor_once_it_is_shown(desk: "Desk") -> None:
    await desk.put(replace(desk.terms, version=2, caps=(FrequencyCap(CapLevel.CAMPAIGN, CapWindow.DAY, 1),)))
    await desk.deposit(10**9)
    assert (await desk.take("r-i1", ("cpm-1", 1), person=B)).outcomes == (ReserveOutcome.RESERVED,)
    await desk.world.persons.follow(merge(1, A, B))
    await show(desk, "i1", B, SEEN_AS_B)
    answer = await desk.take("r2", ("cpm-1", 1), person=A)
    assert answer.outcomes == (ReserveOutcome.CAPPED,)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_history_of_the_fold_knows_who_was_who(data: st.DataObject) -> None:
    """The fold's own history gives, for any two sightings, what connected parts say."""
    history = PersonHistory()
    owner = {sighting: sighting for sighting in range(1, 6)}
    told: list[tuple[int, int]] = [(owner[one], one) for one in owner]
    for number in range(data.draw(st.integers(0, 6))):
        persons = sorted(set(owner.values()))
        if data.draw(st.booleans()) and len(persons) > 1:
            pair = data.draw(st.lists(st.sampled_from(persons), min_size=2, max_size=2, unique=True))
            survivor, absorbed = min(pair), max(pair)
            history.add(number, sorted(pair), {survivor: []})
            owner = {sighting: survivor if held == absorbed else held for sighting, held in owner.items()}
        else:
            person = data.draw(st.sampled_from(persons))
            mine = [sighting for sighting, held in owner.items() if held == person]
            leaving = data.draw(st.lists(st.sampled_from(mine), unique=True, max_size=len(mine) - 1))
            if not leaving:
                continue
            fresh = min(leaving) if min(leaving) not in owner.values() else 100 + number
            owner |= dict.fromkeys(leaving, fresh)
            history.add(number, [person], {person: [one for one in mine if one not in leaving], fresh: leaving})
        told += [(owner[one], one) for one in owner]
    for one in told:
        for other in told:
            assert history.same(one, other, 1_000) == (owner[one[1]] == owner[other[1]])
