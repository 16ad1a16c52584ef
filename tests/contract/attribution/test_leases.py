"""Leases on one Valkey and on a cluster: what they hold, what is billed out of them, and how they end."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bihuan_attribution.domain.budget_day import budget_day, day_end_us
from bihuan_attribution.domain.lease import LeaseWish
from bihuan_attribution.domain.lease_part import LeasePart, lease_part
from bihuan_attribution.domain.reserve import ReserveOutcome
from bihuan_attribution.domain.terms import CapLevel, CapWindow, FrequencyCap
from bihuan_shared.clock import DAY_US, MINUTE_US, SECOND_US
from bihuan_shared.errors import FailedPrecondition, InvalidArgument

if TYPE_CHECKING:
    from tests.contract.attribution.conftest import Desk

R, _, BUDGET, BALANCE, NO_TERMS = (ReserveOutcome(n) for n in range(1, 6))
PRICE = 2_000_000


async def show(desk: "Desk", name: str, reservation: str, campaign_id: str = "cpm-1", price: int = PRICE) -> None:
    """An impression of a decision that was made on a lease, billed and settled."""
    terms = replace(desk.terms, campaign_id=campaign_id)
    token = desk.world.token(name, terms, price=price, reservation=reservation)
    await desk.world.record(desk.world.beacon("impression", token))
    await desk.bill()


async def left(desk: "Desk", campaign_id: str = "cpm-1") -> int:
    """What could still be set aside of a campaign; nothing is."""
    ((_, granted),) = await desk.lease("probe", (campaign_id, 10**15))
    await desk.lease("probe")
    return granted


async def test_a_lease_holds_what_is_asked_or_what_is_left(desk: "Desk") -> None:
    await desk.deposit(10)
    assert await desk.lease("l1", ("cpm-1", 4)) == [(R, 4)]
    assert await desk.lease("l2", ("cpm-1", 10)) == [(R, 6)]
    assert await desk.lease("l3", ("cpm-1", 10)) == [(BALANCE, 0)]
    assert (await desk.take("r1", ("cpm-1", 1))).outcomes == (BALANCE,)


@pytest.mark.parametrize(("daily", "total"), [(3, 5), (5, 3), (3, 0), (0, 3)])
async def test_the_smallest_of_total_daily_and_balance_is_granted_and_nothing_else_is_gone(
    desk: "Desk", daily: int, total: int
) -> None:
    await desk.deposit(100_000)
    await desk.put(replace(desk.terms, version=2, daily_micros=daily, total_micros=total))
    await desk.put(replace(desk.terms, campaign_id="cpm-2"))
    assert await desk.lease("l1", ("cpm-1", 50_000)) == [(R, 3_000)]
    assert await desk.lease("l2", ("cpm-1", 1)) == [(BUDGET, 0)]
    assert await left(desk, "cpm-2") == 97_000
    await desk.lease("l1")
    assert await left(desk) == 3_000


async def test_a_failed_wish_leaves_every_budget_as_it_was(desk: "Desk") -> None:
    await desk.put(replace(desk.terms, version=2, daily_micros=3, total_micros=5))
    assert await desk.lease("l1", ("cpm-1", 3_000)) == [(BALANCE, 0)]
    await desk.deposit(10_000)
    assert await desk.lease("l1", ("cpm-1", 3_000)) == [(R, 3_000)]


async def test_reservations_and_leases_share_a_budget(desk: "Desk") -> None:
    await desk.deposit(10)
    assert (await desk.take("r1", ("cpm-1", 7))).outcomes == (R,)
    assert await desk.lease("l1", ("cpm-1", 7)) == [(R, 3)]
    assert (await desk.take("r2", ("cpm-1", 1))).outcomes == (BALANCE,)


async def test_repeating_a_lease_replaces_what_it_holds(desk: "Desk") -> None:
    await desk.put(
        replace(desk.terms, campaign_id="cpm-2"), replace(desk.terms, campaign_id="rival-1", advertiser_id="rival")
    )
    await desk.deposit(10)
    assert await desk.lease("l1", ("cpm-1", 8)) == await desk.lease("l1", ("cpm-1", 8)) == [(R, 8)]
    assert await desk.lease("l1", ("cpm-1", 3), ("cpm-2", 9)) == [(R, 3), (R, 7)]
    assert await desk.lease("l1", ("cpm-2", 9)) == [(R, 9)]
    assert await desk.lease("l1", ("rival-1", 9)) == [(BALANCE, 0)]
    assert await left(desk) == 10


async def test_a_billed_event_takes_its_part_out_once(desk: "Desk") -> None:
    await desk.deposit(5 * PRICE)
    await desk.lease("l1", ("cpm-1", 3 * PRICE))
    for name in ("t1", "t2"):
        await show(desk, name, f"lease:l1:{PRICE}")
        assert await left(desk) == 2 * PRICE
    await desk.world.log.advance("budgets", 0)
    await desk.bill()
    assert await left(desk) == 2 * PRICE
    assert await desk.lease("l1", ("cpm-1", 3 * PRICE)) == [(R, 3 * PRICE)]
    assert await left(desk) == 2 * PRICE
    assert await desk.lease("l1", ("cpm-1", 2 * PRICE)) == [(R, 2 * PRICE)]
    assert await left(desk) == 3 * PRICE


async def test_a_click_takes_out_what_its_decision_took_and_not_its_price(desk: "Desk") -> None:
    cpc = replace(desk.terms, campaign_id="cpc-1", pricing_model="cpc")
    await desk.put(cpc)
    await desk.deposit(10_000)
    await desk.lease("l1", ("cpc-1", 1_000))
    token = desk.world.token("t1", cpc, price=3, reservation="lease:l1:40")
    await desk.world.record(desk.world.beacon("impression", token), desk.world.beacon("click", token))
    await desk.bill()
    assert await left(desk, "cpc-1") == 10_000 - 3_000 - 960
    await desk.lease("l1", ("cpc-1", 40))
    assert await left(desk, "cpc-1") == 10_000 - 3_000


async def test_a_lease_never_gives_back_more_than_it_holds(desk: "Desk") -> None:
    await desk.deposit(3 * PRICE)
    await desk.lease("l1", ("cpm-1", PRICE))
    await show(desk, "t1", f"lease:l1:{3 * PRICE}")
    assert await left(desk) == 2 * PRICE
    await show(desk, "t2", f"lease:l1:{PRICE}")
    assert await left(desk) == PRICE


async def test_a_lease_ends_by_itself_and_every_call_makes_it_last(desk: "Desk") -> None:
    await desk.deposit(10)
    lease = await desk.leaser.lease("l1", [LeaseWish("cpm-1", "acme", 10)])
    assert lease.expire_time_us == desk.world.clock.now_us() + 5 * MINUTE_US
    desk.world.clock.advance_us(4 * MINUTE_US)
    assert await desk.lease("l1", ("cpm-1", 9)) == [(R, 9)]
    desk.world.clock.advance_us(5 * MINUTE_US - 1)
    assert (await desk.take("r1", ("cpm-1", 2))).outcomes == (BALANCE,)
    desk.world.clock.advance_us(1)
    assert (await desk.take("r2", ("cpm-1", 10))).outcomes == (R,)


async def test_a_lease_that_ended_is_not_billed_from_and_can_begin_again(desk: "Desk") -> None:
    await desk.deposit(4 * PRICE)
    await desk.lease("l1", ("cpm-1", 3 * PRICE))
    desk.world.clock.advance_us(5 * MINUTE_US)
    assert await left(desk) == 4 * PRICE
    await show(desk, "t1", f"lease:l1:{PRICE}")
    assert await left(desk) == 3 * PRICE
    assert await desk.lease("l1", ("cpm-1", 3 * PRICE)) == [(R, 3 * PRICE)]
    assert await left(desk) == PRICE


async def test_after_flushall_a_lease_holds_what_is_asked_for_again(desk: "Desk") -> None:
    await desk.deposit(5 * PRICE)
    await desk.lease("l1", ("cpm-1", 3 * PRICE))
    await show(desk, "t1", f"lease:l1:{PRICE}")
    await desk.redis.execute_command("FLUSHALL", **desk.everywhere)
    await show(desk, "t2", f"lease:l1:{PRICE}")
    assert await left(desk) == 3 * PRICE
    assert await desk.lease("l1", ("cpm-1", 2 * PRICE)) == [(R, 2 * PRICE)]
    assert await left(desk) == PRICE


@pytest.mark.parametrize("level", list(CapLevel))
async def test_what_a_cap_counts_cannot_be_leased(desk: "Desk", level: CapLevel) -> None:
    caps = (FrequencyCap(level, CapWindow.DAY, 1),)
    await desk.put(replace(desk.terms, campaign_id="cpm-0"), replace(desk.terms, version=2, caps=caps))
    with pytest.raises(FailedPrecondition) as refused:
        await desk.lease("l1", ("cpm-0", 1), ("cpm-1", 1))
    fields = [one.field for one in refused.value.violations]
    assert fields == ["items[0].campaign_id"] * (level is CapLevel.ADVERTISER) + ["items[1].campaign_id"]


async def test_a_stopped_an_unknown_and_anothers_campaign_get_nothing(desk: "Desk") -> None:
    await desk.deposit(10)
    rival = replace(desk.terms, campaign_id="rival-1")
    await desk.put(replace(desk.terms, version=2, stopped=True), rival)
    assert await desk.lease("l1", ("cpm-1", 1), ("none", 1), ("rival-1", 1)) == [(NO_TERMS, 0)] * 3
    with pytest.raises(InvalidArgument) as refused:
        await desk.lease("l1", ("none", 1), ("none", 1))
    assert refused.value.violations[0].field == "items[1].campaign_id"


async def test_a_lease_of_nothing_tells_whether_a_commission_budget_is_open(desk: "Desk") -> None:
    cps = replace(desk.terms, campaign_id="cps-1", pricing_model="cps", commission_rate_ppm=500_000, total_micros=50)
    await desk.put(cps)
    assert await desk.lease("l1", ("cps-1", 0)) == [(R, 0)]
    token = desk.world.token("t1", cps, reservation="lease:l1:0")
    await desk.world.record(desk.world.beacon("impression", token), desk.world.beacon("click", token))
    await desk.world.record(desk.world.order("e1", paid=[100]))
    await desk.bill()
    assert await desk.lease("l1", ("cps-1", 0)) == [(BUDGET, 0)]


async def test_nothing_is_decided_on_a_lease_beyond_the_budget_day(desk: "Desk") -> None:
    await desk.deposit(10_000)
    await desk.put(replace(desk.terms, version=2, daily_micros=3))
    end_us = day_end_us(desk.world.clock.now_us(), "Asia/Shanghai")
    desk.world.clock.advance_us(end_us - desk.world.clock.now_us() - SECOND_US)
    lease = await desk.leaser.lease("l1", [LeaseWish("cpm-1", "acme", 3_000)])
    assert lease.expire_time_us == end_us
    desk.world.clock.advance_us(SECOND_US)
    assert await desk.lease("l2", ("cpm-1", 3_000)) == [(R, 3_000)]
    assert await left(desk) == 0


async def test_money_beyond_what_a_double_holds_is_exact(desk: "Desk") -> None:
    await desk.deposit(10**18)
    assert await desk.lease("l1", ("cpm-1", 10**18 - 3)) == [(R, 10**18 - 3)]
    assert await desk.lease("l2", ("cpm-1", 10**18)) == [(R, 3)]
    await desk.lease("l2")
    assert await desk.lease("l3", ("cpm-1", 2)) == [(R, 2)]
    assert (await desk.take("r1", ("cpm-1", 2))).outcomes == (BALANCE,)


async def test_sixty_four_deciders_at_once_lease_no_more_than_there_is(desk: "Desk") -> None:
    await desk.deposit(1_000)
    await desk.put(replace(desk.terms, version=2, total_micros=1), replace(desk.terms, campaign_id="cpm-2"))
    found = await asyncio.gather(*(desk.lease(f"l{n}", ("cpm-1", 7 + n), ("cpm-2", 1)) for n in range(64)))
    assert sum(granted for lease in found for _, granted in lease) == 1_000


def test_the_reservation_of_a_token_tells_the_lease_and_the_part() -> None:
    assert lease_part("lease:a:b:12") == LeasePart("lease:a:b", 12)
    assert [lease_part(one) for one in ("r1", "lease:a", "lease:a:-1", "lease:a:1e3", "lease:a:" + "9" * 19)] == [
        None
    ] * 5


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "Europe/Paris", "America/Sao_Paulo", "America/St_Johns"])
def test_a_day_ends_where_the_next_one_begins(zone: str) -> None:
    for quarter in range(0, 400 * 96, 37):
        at_us = 1_500_000_000 * SECOND_US + quarter * DAY_US // 96
        end_us = day_end_us(at_us, zone)
        assert budget_day(end_us - 1, zone) == budget_day(at_us, zone) != budget_day(end_us, zone)
