"""Payouts over a real database, and what commissions they have paid."""

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from bihuan_attribution.payout_store import SqlPayouts
from bihuan_attribution.use_cases.explain import explain_order
from bihuan_shared.errors import AlreadyExists, FailedPrecondition
from tests.contract.attribution.settled import Books, balances

if TYPE_CHECKING:
    from tests.contract.attribution.conftest import World

PIA, PUB = "promoter:payable:pia", "publisher:payable:pub"
SHARE = 25_000
"""Nanos of a micro of an order: a commission of 10 %, a quarter of it the promoter's."""


async def _sold(world: "World", *micros: int) -> Books:
    books = Books(world)
    await books.shown("cps-1", "s1", promoter="pia", person=8)
    for number, amount in enumerate(micros):
        await books.bought(f"o{number}", "s1", amount)
    await world.bill()
    return books


async def _state(books: Books, order_id: str) -> str:
    return (await explain_order("acme", order_id, books.world.orders)).stage


async def test_a_payout_moves_what_is_payable_and_counts_once(world: "World") -> None:
    books = await _sold(world, 4_000_000)
    for _ in range(2):
        booked = await books.payouts.pay_out("pay-1", PIA, "CNY", 60_000_000, world.clock.now_us())
        assert (booked.entry.kind, booked.entry.cause_type, booked.entry.cause_id) == ("payout", "payout", "pay-1")
        world.clock.advance_us(1)
    held = await balances(world)
    assert held[PIA, "CNY"] == -(4_000_000 * SHARE // 1_000 - 60_000_000)
    assert held["platform:cash", "CNY"] == -60_000_000
    assert await books.scalar("SELECT COUNT(*) FROM operations WHERE kind = 'payout' AND operation_id = 'pay-1'") == 1


async def test_a_payout_id_stands_for_one_content(world: "World") -> None:
    books = await _sold(world, 4_000_000)
    await books.payouts.pay_out("pay-1", PIA, "CNY", 5_000, 1)
    for account, currency, nanos in ((PIA, "CNY", 6_000), (PUB, "CNY", 5_000), (PIA, "EUR", 5_000)):
        with pytest.raises(AlreadyExists):
            await books.payouts.pay_out("pay-1", account, currency, nanos, 1)


async def test_no_more_is_paid_than_is_payable_in_that_currency(world: "World") -> None:
    books = await _sold(world, 4_000_000)
    for account, currency, nanos in ((PIA, "CNY", 100_000_001), (PIA, "EUR", 1), (PUB, "CNY", 1)):
        with pytest.raises(FailedPrecondition) as refused:
            await books.payouts.pay_out("pay-1", account, currency, nanos, 1)
        assert refused.value.violations[0].field == "amount.micros"
    await books.payouts.pay_out("pay-1", PIA, "CNY", 100_000_000, 1)
    with pytest.raises(FailedPrecondition):
        await books.payouts.pay_out("pay-2", PIA, "CNY", 1, 1)


async def test_one_payout_asked_for_many_times_at_once_pays_once(world: "World") -> None:
    books = await _sold(world, 4_000_000)
    calls = [books.payouts.pay_out("pay-1", PIA, "CNY", 60_000_000, 1) for _ in range(8)]
    assert len({one.entry_id for one in await asyncio.gather(*calls)}) == 1
    assert (await balances(world))[PIA, "CNY"] == -40_000_000


async def test_payouts_at_once_never_pay_more_than_is_payable(world: "World") -> None:
    books = await _sold(world, 4_000_000)
    calls = [books.payouts.pay_out(f"pay-{n}", PIA, "CNY", 30_000_000, 1) for n in range(6)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(one, FailedPrecondition) for one in answers) == 3
    assert (await balances(world))[PIA, "CNY"] == -10_000_000


@pytest.mark.parametrize("step", ["entries", "noted"])
async def test_a_crash_in_a_payout_leaves_nothing(world: "World", step: str) -> None:
    books = await _sold(world, 4_000_000)

    def crash(name: str) -> None:
        if name == step:
            raise RuntimeError(name)

    before = await balances(world)
    with pytest.raises(RuntimeError):
        await SqlPayouts(world.database, crash).pay_out("pay-1", PIA, "CNY", 5_000, 1)
    assert await balances(world) == before
    assert await books.scalar("SELECT COUNT(*) FROM operations") == 0
    assert (await books.payouts.pay_out("pay-1", PIA, "CNY", 5_000, 1)).entry_id == 3
    assert (await books.proof()).faults == ()


async def test_a_commission_goes_from_none_to_paid(world: "World") -> None:
    books = Books(world)
    await books.shown("cps-1", "s1", promoter="pia", person=8)
    await world.record(world.order("x-1", "x", paid=[5], person=0))
    await books.bought("o1", "s1", 4_000_000, complete=False)
    await world.bill()
    assert [await _state(books, name) for name in ("x", "o1")] == ["none", "estimated"]
    await books.completed("o1")
    await world.bill()
    assert await _state(books, "o1") == "payable"
    await books.payouts.pay_out("pay-1", PIA, "CNY", 100_000_000 - 1_000, 1)
    assert await _state(books, "o1") == "payable"
    await books.payouts.pay_out("pay-2", PIA, "CNY", 1_000, 1)
    assert await _state(books, "o1") == "paid"


async def test_a_commission_without_promoter_stays_payable_and_a_reversed_one_is_none(world: "World") -> None:
    books = Books(world)
    await books.shown("cps-1", "s1", person=8)
    await books.bought("o1", "s1", 4_000_000)
    await books.bought("o2", "s1", 4_000_000)
    await world.record(world.refund("o2-3", 4_000_000, "o2"))
    await world.bill()
    assert [await _state(books, name) for name in ("o1", "o2")] == ["payable", "none"]


@pytest.mark.parametrize("seed", range(3))
async def test_payouts_cover_orders_in_the_sequence_in_which_they_became_payable(world: "World", seed: int) -> None:
    """Against a plain list: shares in sequence, less what is refunded, and a sum that is paid."""
    chance = random.Random(seed)
    books = await _sold(world)
    shares: dict[str, int] = {}
    paid = 0
    for step in range(24):
        kind = chance.choice(["sell", "sell", "refund", "pay"])
        if kind == "sell":
            await books.bought(f"o{step}", "s1", 4_000)
            shares[f"o{step}"] = 100_000
        elif kind == "refund" and shares:
            name = chance.choice(list(shares))
            if shares[name] >= 25_000:
                await world.record(world.refund(f"r{step}", 1_000, name))
                shares[name] -= 25_000
        elif kind == "pay" and sum(shares.values()) > paid:
            amount = chance.randrange(0, sum(shares.values()) - paid, 1_000) + 1_000
            await world.bill()
            await books.payouts.pay_out(f"p{step}", PIA, "CNY", min(amount, sum(shares.values()) - paid), 1)
            paid += min(amount, sum(shares.values()) - paid)
        await world.bill()
    due = 0
    for name, share in shares.items():
        due += share
        expected = "none" if not share else "paid" if due <= paid else "payable"
        assert await _state(books, name) == expected, (name, shares, paid)
