"""Reservations on one Valkey and on a cluster: money, slots, ends, idempotency, rebuilding."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bihuan_attribution.domain.reserve import ReserveOutcome
from bihuan_attribution.domain.terms import CapLevel, CapWindow, FrequencyCap
from bihuan_shared.clock import DAY_US, MINUTE_US

if TYPE_CHECKING:
    from tests.contract.attribution.conftest import Desk

R, CAPPED, BUDGET, BALANCE, NO_TERMS = (ReserveOutcome(n) for n in range(1, 6))
UNSEEN = ReserveOutcome.UNSPECIFIED


def cap(level: CapLevel, window: CapWindow, most: int = 1) -> tuple[FrequencyCap, ...]:
    return (FrequencyCap(level, window, most),)


async def test_money_is_taken_until_the_balance_is_empty(desk: "Desk") -> None:
    await desk.deposit(5)
    outcomes = [(await desk.take(f"r{n}", ("cpm-1", 2))).outcomes for n in range(3)]
    assert outcomes == [(R,), (R,), (BALANCE,)]
    await desk.deposit(1, "d2")
    assert (await desk.take("r9", ("cpm-1", 2))).outcomes == (R,)


async def test_daily_and_total_budgets_bound_what_is_reserved(desk: "Desk") -> None:
    await desk.deposit(10**12)
    await desk.put(replace(desk.terms, version=2, daily_micros=3, total_micros=5))
    assert (await desk.take("r1", ("cpm-1", 3_000))).outcomes == (R,)
    assert (await desk.take("r2", ("cpm-1", 1))).outcomes == (BUDGET,)
    desk.world.clock.advance_us(4 * MINUTE_US)
    assert (await desk.take("r3", ("cpm-1", 1))).outcomes == (BUDGET,)
    await desk.put(replace(desk.terms, version=3, daily_micros=4, total_micros=5))
    assert (await desk.take("r4", ("cpm-1", 1_000))).outcomes == (R,)
    assert (await desk.take("r5", ("cpm-1", 1))).outcomes == (BUDGET,)


async def test_the_first_candidate_that_has_money_is_taken_across_advertisers(desk: "Desk") -> None:
    await desk.put(replace(desk.terms, campaign_id="rival-1", advertiser_id="rival"))
    await desk.deposit(10)
    answer = await desk.take("r1", ("none", 1), ("rival-1", 1), ("cpm-1", 11), ("cpm-1", 10), ("cpm-1", 1))
    assert (answer.index, answer.outcomes) == (3, (NO_TERMS, BALANCE, BALANCE, R, UNSEEN))
    assert answer.expire_time_us == desk.world.clock.now_us() + 5 * MINUTE_US
    await desk.deposit(10**6, "d2")
    again = await desk.take("r1", ("none", 1), ("rival-1", 1), ("cpm-1", 11), ("cpm-1", 10), ("cpm-1", 1))
    assert again == replace(answer, outcomes=(UNSEEN, UNSEEN, UNSEEN, R, UNSEEN))


async def test_validate_only_takes_nothing_and_tells_of_all(desk: "Desk") -> None:
    await desk.deposit(2)
    for _ in range(3):
        answer = await desk.take("r1", ("cpm-1", 3), ("cpm-1", 2), ("cpm-1", 1), validate_only=True)
        assert (answer.index, answer.outcomes) == (None, (BALANCE, R, R))
    assert (await desk.take("r1", ("cpm-1", 2))).outcomes == (R,)


async def test_a_reservation_ends_after_five_minutes(desk: "Desk") -> None:
    await desk.deposit(2)
    await desk.put(replace(desk.terms, version=2, caps=cap(CapLevel.CAMPAIGN, CapWindow.LIFETIME)))
    assert (await desk.take("r1", ("cpm-1", 2))).outcomes == (R,)
    desk.world.clock.advance_us(5 * MINUTE_US - 1)
    assert (await desk.take("r2", ("cpm-1", 2))).outcomes == (CAPPED,)
    assert (await desk.take("r3", ("cpm-1", 2), person=8)).outcomes == (BALANCE,)
    desk.world.clock.advance_us(1)
    assert (await desk.take("r4", ("cpm-1", 2))).outcomes == (R,)


@pytest.mark.parametrize("level", list(CapLevel))
@pytest.mark.parametrize("window", list(CapWindow))
async def test_caps_count_at_each_level_over_each_window(desk: "Desk", level: CapLevel, window: CapWindow) -> None:
    await desk.put(replace(desk.terms, version=2, caps=cap(level, window, 2)))
    outcomes = [(await desk.take(f"r{n}", ("cps-1", 0), ("cpm-1", 0))).outcomes for n in range(3)]
    assert outcomes == [(NO_TERMS, R), (NO_TERMS, R), (NO_TERMS, CAPPED)]
    assert (await desk.take("r8", ("cpm-1", 0), person=8)).outcomes == (R,)
    assert (await desk.take("r9", ("cpm-1", 0), person=0)).outcomes == (R,)


async def test_an_impression_keeps_its_slot_for_good(desk: "Desk") -> None:
    await desk.deposit(10**9)
    await desk.put(replace(desk.terms, version=2, caps=cap(CapLevel.CAMPAIGN, CapWindow.LIFETIME)))
    assert (await desk.take("r-t1", ("cpm-1", 2_000_000))).outcomes == (R,)
    await desk.world.record(desk.world.beacon("impression", desk.world.token("t1", desk.terms)))
    await desk.bill()
    for _ in range(2):
        desk.world.clock.advance_us(40 * DAY_US)
        assert (await desk.take("r2", ("cpm-1", 2_000_000))).outcomes == (CAPPED,)


async def test_an_impression_after_the_end_of_its_reservation_counts_once(desk: "Desk") -> None:
    await desk.deposit(10**9)
    await desk.put(replace(desk.terms, version=2, caps=cap(CapLevel.CAMPAIGN, CapWindow.LIFETIME, 2)))
    assert (await desk.take("r-t1", ("cpm-1", 1))).outcomes == (R,)
    desk.world.clock.advance_us(6 * MINUTE_US)
    await desk.take("sweep", ("cpm-1", 1), validate_only=True)
    await desk.world.record(desk.world.beacon("impression", desk.world.token("t1", desk.terms)))
    await desk.bill()
    await desk.world.log.advance("budgets", 0)
    await desk.bill()
    assert (await desk.take("r2", ("cpm-1", 1))).outcomes == (R,)
    assert (await desk.take("r3", ("cpm-1", 1))).outcomes == (CAPPED,)


async def test_a_charge_replaces_its_reservation(desk: "Desk") -> None:
    await desk.deposit(4_000_000)
    for name in ("t1", "t2"):
        assert (await desk.take(f"r-{name}", ("cpm-1", 2_000_000))).outcomes == (R,)
        await desk.world.record(desk.world.beacon("impression", desk.world.token(name, desk.terms)))
        await desk.bill()
    desk.world.clock.advance_us(DAY_US)
    assert (await desk.take("r3", ("cpm-1", 1))).outcomes == (BALANCE,)


async def test_a_click_price_is_released_when_nobody_clicks(desk: "Desk") -> None:
    cpc = replace(desk.terms, campaign_id="cpc-1", pricing_model="cpc")
    await desk.put(cpc)
    await desk.deposit(10)
    assert (await desk.take("r-t1", ("cpc-1", 10))).outcomes == (R,)
    await desk.world.record(desk.world.beacon("impression", desk.world.token("t1", cpc)))
    await desk.bill()
    assert (await desk.take("r2", ("cpc-1", 1))).outcomes == (BALANCE,)
    desk.world.clock.advance_us(5 * MINUTE_US)
    assert (await desk.take("r3", ("cpc-1", 10))).outcomes == (R,)


@pytest.mark.parametrize("window", list(CapWindow))
async def test_after_flushall_charged_totals_balances_and_caps_are_honoured(desk: "Desk", window: CapWindow) -> None:
    caps = cap(CapLevel.ADVERTISER, window)
    await desk.put(replace(desk.terms, version=2, caps=caps, total_micros=5_000))
    await desk.deposit(5_000_000)
    for name in ("t1", "t2"):
        await desk.world.record(desk.world.beacon("impression", desk.world.token(name, desk.terms)))
    await desk.bill()
    await desk.redis.execute_command("FLUSHALL", **desk.everywhere)
    assert (await desk.take("r1", ("cpm-1", 1_000_000))).outcomes == (CAPPED,)
    assert (await desk.take("r2", ("cpm-1", 1_000_001), person=8)).outcomes == (BUDGET,)
    assert (await desk.take("r3", ("cpm-1", 1_000_000), person=8)).outcomes == (R,)


@pytest.mark.parametrize("window", list(CapWindow))
async def test_after_flushall_what_is_acknowledged_and_not_billed_counts_once(desk: "Desk", window: CapWindow) -> None:
    await desk.put(replace(desk.terms, version=2, caps=cap(CapLevel.CAMPAIGN, window, 3)))
    for name in ("t1", "t2"):
        assert (await desk.take(f"r-{name}", ("cpm-1", 0))).outcomes == (R,)
        await desk.world.record(desk.world.beacon("impression", desk.world.token(name, desk.terms, price=0)))
        if name == "t1":
            await desk.bill()
    await desk.redis.execute_command("FLUSHALL", **desk.everywhere)
    assert (await desk.take("r3", ("cpm-1", 0))).outcomes == (R,)
    assert (await desk.take("r4", ("cpm-1", 0))).outcomes == (CAPPED,)
    await desk.bill()
    desk.world.clock.advance_us(0 if window is CapWindow.MINUTE else 5 * MINUTE_US)
    outcomes = [(await desk.take(f"r{n}", ("cpm-1", 0))).outcomes for n in (5, 6)]
    assert outcomes == ([(CAPPED,), (CAPPED,)] if window is CapWindow.MINUTE else [(R,), (CAPPED,)])


async def test_a_cap_that_comes_later_counts_what_was_shown_before(desk: "Desk") -> None:
    await desk.deposit(10**9)
    await desk.world.record(desk.world.beacon("impression", desk.world.token("t1", desk.terms)))
    await desk.bill()
    assert (await desk.take("r1", ("cpm-1", 1))).outcomes == (R,)
    await desk.put(replace(desk.terms, version=2, caps=cap(CapLevel.CREATIVE, CapWindow.LIFETIME)))
    assert (await desk.take("r2", ("cpm-1", 1))).outcomes == (CAPPED,)


async def test_sixty_four_deciders_at_once_exceed_neither_cap_nor_budget(desk: "Desk") -> None:
    await desk.deposit(20)
    await desk.put(replace(desk.terms, version=2, caps=cap(CapLevel.CAMPAIGN, CapWindow.DAY, 3)))
    answers = await asyncio.gather(*(desk.take(f"r{n}", ("cpm-1", 1), person=1 + n % 8) for n in range(64)))
    taken = [n for n, answer in enumerate(answers) if answer.index == 0]
    assert len(taken) == 20
    assert max(sum(1 for n in taken if n % 8 == person) for person in range(8)) <= 3


async def test_money_beyond_what_a_double_holds_is_exact(desk: "Desk") -> None:
    await desk.deposit(10**18)
    assert (await desk.take("r1", ("cpm-1", 10**18 - 1))).outcomes == (R,)
    assert (await desk.take("r2", ("cpm-1", 2))).outcomes == (BALANCE,)
    assert (await desk.take("r3", ("cpm-1", 1))).outcomes == (R,)


async def test_a_stopped_campaign_reserves_nothing(desk: "Desk") -> None:
    await desk.put(replace(desk.terms, version=2, stopped=True))
    assert (await desk.take("r1", ("cpm-1", 0))).outcomes == (NO_TERMS,)


async def test_a_budget_of_commissions_pauses_serving(desk: "Desk") -> None:
    cps = replace(desk.terms, campaign_id="cps-1", pricing_model="cps", commission_rate_ppm=500_000, total_micros=50)
    await desk.put(cps)
    token = desk.world.token("t1", cps)
    assert (await desk.take("r-t1", ("cps-1", 0))).outcomes == (R,)
    await desk.world.record(desk.world.beacon("impression", token), desk.world.beacon("click", token))
    await desk.world.record(desk.world.order("e1", paid=[100]))
    await desk.bill()
    assert (await desk.take("r2", ("cps-1", 0))).outcomes == (BUDGET,)
