"""A reservation that is asked for again, as after a lost answer: it names what it holds and leaves nothing behind."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bihuan_attribution.domain.reserve import Candidate, Item, ReserveOutcome
from bihuan_attribution.domain.terms import CapLevel, CapWindow, FrequencyCap
from bihuan_shared.clock import MINUTE_US

if TYPE_CHECKING:
    from tests.contract.attribution.conftest import Desk

UNSEEN, R, CAPPED, BUDGET, BALANCE, NO_TERMS = ReserveOutcome
ONCE = (FrequencyCap(CapLevel.CAMPAIGN, CapWindow.LIFETIME, 1),)
ONE, TWO, RIVAL = ("cpm-1", 0), ("cpm-2", 0), ("rival-1", 0)


@pytest.fixture
async def capped(desk: "Desk") -> "Desk":
    """Three campaigns of two advertisers, each shown to a person once in a lifetime."""
    await desk.put(
        replace(desk.terms, version=2, caps=ONCE),
        replace(desk.terms, campaign_id="cpm-2", caps=ONCE),
        replace(desk.terms, campaign_id="rival-1", advertiser_id="rival", caps=ONCE),
    )
    return desk


async def test_validating_again_does_not_see_its_own_slot_as_taken(capped: "Desk") -> None:
    assert (await capped.take("r1", TWO, ONE)).index == 0
    for _ in range(2):
        assert (await capped.take("r1", ONE, TWO, RIVAL, validate_only=True)).outcomes == (R, R, R)
    assert (await capped.take("r2", ONE, TWO, RIVAL, validate_only=True)).outcomes == (R, CAPPED, R)


async def test_what_a_reservation_holds_is_free_for_itself_while_validating(capped: "Desk") -> None:
    caps = (FrequencyCap(CapLevel.ADVERTISER, CapWindow.LIFETIME, 1),)
    await capped.put(replace(capped.terms, version=3, caps=caps))
    await capped.deposit(10)
    assert (await capped.take("r1", ("cpm-1", 7))).index == 0
    asked = (("cpm-1", 10), ("cpm-2", 10), ("cpm-2", 11))
    assert (await capped.take("r1", *asked, validate_only=True)).outcomes == (R, R, BALANCE)
    assert (await capped.take("r2", *asked, validate_only=True, person=8)).outcomes == (BALANCE, BALANCE, BALANCE)
    assert (await capped.take("r3", ("cpm-1", 1), validate_only=True)).outcomes == (CAPPED,)


@pytest.mark.parametrize("first", [ONE, RIVAL])
async def test_reserving_again_gives_what_is_held_wherever_it_stands(capped: "Desk", first: tuple[str, int]) -> None:
    held = await capped.take("r1", first, TWO)
    others = [one for one in (ONE, TWO, RIVAL) if one != first]
    for wanted in ([*others, first], [others[0], first, others[1]], [first]):
        again = await capped.take("r1", *wanted)
        assert again.index == wanted.index(first)
        assert again.outcomes[again.index] is R
        assert again.expire_time_us == held.expire_time_us
    assert (await capped.take("r2", *others)).index == 0
    assert (await capped.take("r3", first)).outcomes == (CAPPED,)


@pytest.mark.parametrize("first", [ONE, RIVAL])
async def test_what_is_no_candidate_any_more_is_released(capped: "Desk", first: tuple[str, int]) -> None:
    assert (await capped.take("r1", first)).index == 0
    assert (await capped.take("r1", TWO)).index == 0
    assert (await capped.take("r2", first, TWO, validate_only=True)).outcomes == (R, CAPPED)
    capped.world.clock.advance_us(5 * MINUTE_US)
    assert (await capped.take("r2", first, TWO, validate_only=True)).outcomes == (R, R)


async def test_money_that_is_no_candidates_any_more_is_released(capped: "Desk") -> None:
    await capped.deposit(10)
    assert (await capped.take("r1", ("cpm-1", 10))).index == 0
    assert (await capped.take("r1", ("cpm-2", 10))).index == 0
    assert (await capped.take("r2", ("cpm-1", 1))).outcomes == (BALANCE,)


async def test_a_refusal_is_not_remembered(capped: "Desk") -> None:
    assert (await capped.take("r1", ("cpm-1", 10))).outcomes == (BALANCE,)
    await capped.deposit(10)
    assert (await capped.take("r1", ("cpm-1", 10))).outcomes == (R,)


async def test_another_creative_of_the_held_campaign_takes_the_reservation_over(capped: "Desk") -> None:
    caps = (FrequencyCap(CapLevel.CREATIVE, CapWindow.LIFETIME, 1),)
    await capped.put(replace(capped.terms, version=3, caps=caps))
    items = [Item("r1", 7, (Candidate("cpm-2", "acme", "ag", "a", 0), Candidate("cpm-1", "acme", "ag", "b", 0)))]
    assert (await capped.take("r1", ONE)).index == 0
    (answer,) = await capped.reserver.reserve(items, validate_only=False)
    assert answer.index == 1
    assert (await capped.take("r2", ONE)).index == 0
    (answer,) = await capped.reserver.reserve([replace(items[0], reservation_id="r3")], validate_only=False)
    assert answer.outcomes == (R, UNSEEN)
    (answer,) = await capped.reserver.reserve([replace(items[0], reservation_id="r4")], validate_only=False)
    assert answer.outcomes == (CAPPED, CAPPED)


async def test_a_reservation_that_ended_is_decided_anew(capped: "Desk") -> None:
    assert (await capped.take("r1", ONE)).index == 0
    capped.world.clock.advance_us(5 * MINUTE_US)
    answer = await capped.take("r1", TWO, ONE)
    assert answer.expire_time_us == capped.world.clock.now_us() + 5 * MINUTE_US
    capped.world.clock.advance_us(1)
    assert [(await capped.take("r2", one)).outcomes for one in (ONE, TWO)].count((CAPPED,)) == 1


async def test_eight_repetitions_at_once_hold_one_slot(capped: "Desk") -> None:
    answers = await asyncio.gather(*(capped.take("r1", ONE, TWO) for _ in range(8)))
    assert {answer.index for answer in answers} == {0}
    assert (await capped.take("r2", ONE, TWO)).index == 1


async def test_an_impression_after_a_repetition_counts_once_and_charges_once(capped: "Desk") -> None:
    await capped.deposit(4_000_000)
    twice = (FrequencyCap(CapLevel.CAMPAIGN, CapWindow.LIFETIME, 2),)
    await capped.put(replace(capped.terms, version=3, caps=twice))
    for wanted in ((("cpm-1", 2_000_000),), (TWO, ("cpm-1", 2_000_000))):
        assert (await capped.take("r-t1", *wanted)).index == len(wanted) - 1
    await capped.world.record(capped.world.beacon("impression", capped.world.token("t1", capped.terms)))
    await capped.bill()
    assert (await capped.take("r-t1", TWO, ("cpm-1", 1))).index == 1
    assert (await capped.take("r2", ("cpm-1", 2_000_000))).outcomes == (R,)
    assert (await capped.take("r3", ("cpm-1", 0))).outcomes == (CAPPED,)
    assert (await capped.take("r4", ("cpm-1", 1), person=8)).outcomes == (BALANCE,)


async def test_an_impression_of_a_campaign_that_was_released_counts_for_itself(capped: "Desk") -> None:
    await capped.deposit(10**9)
    assert (await capped.take("r-t1", ("cpm-1", 1))).index == 0
    assert (await capped.take("r-t1", ("cpm-2", 1))).index == 0
    await capped.world.record(capped.world.beacon("impression", capped.world.token("t1", capped.terms)))
    await capped.bill()
    assert (await capped.take("r2", ("cpm-1", 1), ("cpm-2", 1))).outcomes == (CAPPED, CAPPED)
    capped.world.clock.advance_us(5 * MINUTE_US)
    assert (await capped.take("r3", ("cpm-1", 1), ("cpm-2", 1))).outcomes == (CAPPED, R)


async def test_an_impression_that_a_rebuilt_state_has_counted_is_not_counted_again(capped: "Desk") -> None:
    thrice = (FrequencyCap(CapLevel.CAMPAIGN, CapWindow.LIFETIME, 3),)
    await capped.put(replace(capped.terms, version=3, caps=thrice))
    assert (await capped.take("r-t1", ONE)).index == 0
    capped.world.clock.advance_us(5 * MINUTE_US)
    await capped.take("sweep", ONE, validate_only=True)
    await capped.world.record(capped.world.beacon("impression", capped.world.token("t1", capped.terms)))
    await capped.world.bill()
    await capped.budgets.forget("acme")
    assert (await capped.take("r2", ONE)).outcomes == (R,)
    await capped.bill()
    assert (await capped.take("r3", ONE)).outcomes == (R,)
    assert (await capped.take("r4", ONE)).outcomes == (CAPPED,)
