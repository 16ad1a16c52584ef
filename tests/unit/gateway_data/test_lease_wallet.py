"""Deciding without a call: what the wallet answers, what it passes on, and that it never spends what it has not."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

import httpx
import pytest
from data_plane_fakes import FakeBudgets
from data_plane_requests import ask, first
from data_plane_world import NOW_US, World

from bihuan_gateway.control.snapshot import Creative
from bihuan_gateway.data.ports import ReserveOutcome, ReserveQuery
from bihuan_gateway.data.ports.leasing import LeaseAnswer, LeaseGrant, LeaseWish
from bihuan_gateway.data.use_cases.lease_wallet import LeaseWallet, WalletLimits
from bihuan_shared.clock import MINUTE_US, SECOND_US, FixedClock
from bihuan_shared.errors import BihuanError, Unavailable

R, UNSEEN = ReserveOutcome.RESERVED, ReserveOutcome.NOT_LOOKED_AT
BUDGET = ReserveOutcome.BUDGET_EXHAUSTED
LIMITS = WalletLimits(floor_decisions=10, ceiling_nanos=1_000_000)


@dataclass
class Bank:
    """Attribution: one budget a campaign, leases that hold of it, and answers that get lost."""

    money: dict[str, int] = field(default_factory=dict)
    held: dict[str, dict[str, int]] = field(default_factory=dict)
    capped: set[str] = field(default_factory=set)
    before: BihuanError | None = None
    after: BihuanError | None = None
    calls: list[tuple[str, dict[str, int]]] = field(default_factory=list)
    gate: asyncio.Event | None = None
    end_us: int = NOW_US * 2

    async def lease(self, lease_id: str, wishes: Sequence[LeaseWish]) -> LeaseAnswer:
        self.calls.append((lease_id, {one.campaign_id: one.amount_nanos for one in wishes}))
        if self.before is not None:
            raise self.before
        self.held[lease_id] = {}
        grants = [self._grant(lease_id, one) for one in wishes]
        if self.gate is not None:
            await self.gate.wait()
        if self.after is not None:
            raise self.after
        return LeaseAnswer(tuple(grants), self.end_us)

    def _grant(self, lease_id: str, wish: LeaseWish) -> LeaseGrant:
        if wish.campaign_id in self.capped:
            return LeaseGrant(ReserveOutcome.CAPPED, 0)
        left = self.money.get(wish.campaign_id, 10**9) - sum(one.get(wish.campaign_id, 0) for one in self.held.values())
        granted = max(0, min(left, wish.amount_nanos))
        self.held[lease_id][wish.campaign_id] = granted
        return LeaseGrant(R if left > 0 else BUDGET, granted)


@dataclass
class Desk:
    """A wallet with everything around it."""

    world: World
    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW_US))
    bank: Bank = field(default_factory=Bank)
    budgets: FakeBudgets = field(default_factory=FakeBudgets)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    names: int = 0

    def __post_init__(self) -> None:
        self.wallet = LeaseWallet(self.budgets, self.bank, self.clock, self._name, self._count, LIMITS)

    def _name(self) -> str:
        self.names += 1
        return f"l{self.names}"

    def _count(self, step: str, source: str) -> None:
        self.counts[step, source] += 1

    def creative(self, name: str, *, capped: bool = False, capped_advertiser: bool = False) -> Creative:
        if not any(one.id == f"{name}-0" for one in self.world.creatives):
            self.world.advertise(name)
        creative = next(one for one in self.world.creatives if one.id == f"{name}-0")
        campaign = creative.ad_group.campaign
        advertiser = replace(campaign.advertiser, capped=capped_advertiser)
        campaign = replace(campaign, capped=capped, advertiser=advertiser)
        return replace(creative, ad_group=replace(creative.ad_group, campaign=campaign))

    def query(self, *wanted: tuple[str, int]) -> ReserveQuery:
        return ReserveQuery("r1", 7, tuple((self.creative(name), nanos) for name, nanos in wanted))

    async def reserve(self, *wanted: tuple[str, int]) -> str:
        """The reservation that the token would name; `call` where attribution was asked, nothing where none was had."""
        before = self.counts["reserve", "call"]
        answer = await self.wallet.reserve(self.query(*wanted))
        if self.counts["reserve", "call"] > before:
            return "call"
        return answer.reservation_id

    async def warm(self, *names: str, nanos: int = 5) -> None:
        """A lease of campaigns whose dearest decision takes so much."""
        await self.wallet.validate(self.query(*((name, nanos) for name in names)))
        assert await self.wallet.renew()


@pytest.fixture
async def desk(world: World) -> AsyncIterator[Desk]:
    made = Desk(world)
    world.budgets = made.wallet  # type: ignore[assignment]  # stands where the fake stood
    yield made
    await made.wallet.close()


async def test_without_a_lease_everything_is_a_call(desk: Desk) -> None:
    assert await desk.wallet.validate(desk.query(("tea", 1))) == (R,)
    assert await desk.reserve(("tea", 5)) == "call"
    assert desk.counts == {("validate", "call"): 1, ("reserve", "call"): 1}


async def test_a_lease_answers_without_a_call_and_the_token_names_it(desk: Desk) -> None:
    await desk.warm("tea", "beer")
    assert await desk.wallet.validate(desk.query(("tea", 1), ("beer", 1))) == (R, R)
    answer = await desk.wallet.reserve(desk.query(("tea", 5), ("beer", 4)))
    assert (answer.index, answer.outcomes, answer.reservation_id) == (0, (R, UNSEEN), "lease:l1:5")
    assert desk.budgets.queries == []


async def test_it_spends_no_more_than_it_was_granted(desk: Desk) -> None:
    desk.bank.money["tea"] = 12
    await desk.warm("tea")
    assert [await desk.reserve(("tea", 5)) for _ in range(3)] == ["lease:l1:5", "lease:l1:5", "call"]


@pytest.mark.parametrize("where", ["capped", "capped_advertiser"])
async def test_what_a_cap_counts_is_always_a_call(desk: Desk, where: str) -> None:
    await desk.warm("tea", "beer")
    capped = desk.creative("tea", **{where: True})
    assert (await desk.wallet.reserve(ReserveQuery("r1", 7, ((capped, 1),)))).reservation_id == ""
    await desk.wallet.validate(ReserveQuery("r1", 7, ((desk.creative("beer"), 1), (capped, 1))))
    assert desk.counts["validate", "call"] == 2
    first_has_money = ReserveQuery("r1", 7, ((desk.creative("beer"), 1), (capped, 1)))
    assert (await desk.wallet.reserve(first_has_money)).reservation_id == "lease:l1:1"


async def test_a_denial_is_an_answer_for_two_seconds_and_the_next_one_is_taken(desk: Desk) -> None:
    desk.bank.money["tea"] = 0
    await desk.warm("tea", "beer")
    answer = await desk.wallet.reserve(desk.query(("tea", 5), ("beer", 5)))
    assert (answer.index, answer.outcomes, answer.reservation_id) == (1, (BUDGET, R), "lease:l1:5")
    assert await desk.wallet.validate(desk.query(("tea", 1))) == (BUDGET,)
    none = await desk.wallet.reserve(desk.query(("tea", 5)))
    assert (none.index, none.outcomes) == (None, (BUDGET,))
    desk.clock.advance_us(2 * SECOND_US)
    assert await desk.reserve(("tea", 5)) == "call"


async def test_new_money_is_seen_in_the_next_round(desk: Desk) -> None:
    desk.bank.money["tea"] = 0
    await desk.warm("tea")
    desk.bank.money["tea"] = 100
    desk.clock.advance_us(SECOND_US)
    await desk.wallet.renew()
    assert await desk.reserve(("tea", 5)) == "lease:l1:5"


async def test_an_answer_is_good_for_its_time_and_for_the_budget_day(desk: Desk) -> None:
    await desk.warm("tea")
    desk.clock.advance_us(LIMITS.valid_us - 1)
    assert await desk.reserve(("tea", 5)) == "lease:l1:5"
    desk.clock.advance_us(1)
    assert await desk.reserve(("tea", 5)) == "call"
    desk.bank.end_us = desk.clock.now_us() + SECOND_US
    await desk.warm("tea")
    desk.clock.advance_us(SECOND_US)
    assert await desk.reserve(("tea", 5)) == "call"


async def test_twice_of_what_was_used_is_asked_for_between_floor_and_ceiling(desk: Desk) -> None:
    await desk.warm("tea")
    assert desk.bank.calls == [("l1", {"tea": 50})]
    desk.clock.advance_us(SECOND_US)
    for _ in range(8):
        await desk.reserve(("tea", 5))
    await desk.wallet.renew()
    assert desk.bank.calls[-1] == ("l1", {"tea": 40 + 80})
    desk.clock.advance_us(SECOND_US)
    for _ in range(16):
        await desk.reserve(("tea", 5))
    await desk.wallet.renew()
    assert desk.bank.calls[-1] == ("l1", {"tea": 120 + 160})
    await desk.reserve(("tea", 900_000))
    await desk.wallet.renew()
    assert desk.bank.calls[-1] == ("l1", {"tea": 120 + 1_000_000})


async def test_a_round_without_need_makes_no_call(desk: Desk) -> None:
    await desk.warm("tea")
    for _ in range(3):
        desk.clock.advance_us(SECOND_US)
        await desk.wallet.renew()
    assert len(desk.bank.calls) == 1
    desk.clock.advance_us(2 * SECOND_US)
    await desk.wallet.renew()
    assert len(desk.bank.calls) == 2


async def test_after_its_term_a_lease_is_followed_by_another_and_keeps_what_it_promised(desk: Desk) -> None:
    await desk.warm("tea")
    await desk.reserve(("tea", 5))
    desk.clock.advance_us(LIMITS.term_us)
    await desk.wallet.validate(desk.query(("tea", 1)))
    await desk.wallet.renew()
    assert desk.bank.held == {"l1": {"tea": 5}, "l2": {"tea": 50}}
    assert await desk.reserve(("tea", 5)) == "lease:l2:5"


async def test_a_campaign_that_nobody_wants_any_more_is_given_back(desk: Desk) -> None:
    await desk.warm("tea")
    desk.clock.advance_us(MINUTE_US)
    await desk.wallet.renew()
    assert desk.bank.held == {"l1": {}}


async def test_at_the_end_what_was_not_used_goes_back(desk: Desk) -> None:
    await desk.warm("tea", "beer")
    await desk.reserve(("tea", 5))
    await desk.wallet.close()
    assert desk.bank.held == {"l1": {"tea": 5}}
    assert await desk.reserve(("tea", 5)) == "call"


async def test_a_share_that_shrinks_shrinks_before_the_answer(desk: Desk) -> None:
    await desk.warm("tea", nanos=90)
    desk.clock.advance_us(LIMITS.valid_us // 3)
    desk.wallet._demands["tea"].dearest_nanos = 1  # as after a time of cheaper decisions
    desk.bank.gate = asyncio.Event()
    round_ = asyncio.create_task(desk.wallet.renew())
    while len(desk.bank.calls) < 2:
        await asyncio.sleep(0)
    assert desk.bank.calls[-1] == ("l1", {"tea": 10})
    assert [await desk.reserve(("tea", 6)) for _ in range(2)] == ["lease:l1:6", "call"]
    desk.bank.gate.set()
    assert await round_


@pytest.mark.parametrize("fault", ["before", "after"])
async def test_when_answers_are_lost_the_lease_is_used_up_and_another_one_follows(desk: Desk, fault: str) -> None:
    await desk.warm("tea")
    desk.clock.advance_us(LIMITS.valid_us // 3)
    setattr(desk.bank, fault, Unavailable("away"))
    assert not await desk.wallet.renew()
    assert [await desk.reserve(("tea", 10)) for _ in range(6)] == ["lease:l1:10"] * 5 + ["call"]
    desk.clock.advance_us(SECOND_US)
    assert not await desk.wallet.renew()
    desk.clock.advance_us(SECOND_US)
    setattr(desk.bank, fault, None)
    assert await desk.wallet.renew()
    assert [lease for lease, _ in desk.bank.calls] == ["l1", "l1", "l2", "l3", "l2", "l1"]
    assert {key: held for key, held in desk.bank.held.items() if held} == {"l1": {"tea": 50}, "l3": {"tea": 90}}
    assert (await desk.reserve(("tea", 10))).startswith("lease:l3")


async def test_a_campaign_that_cannot_be_leased_is_not_asked_for_again_at_once(desk: Desk) -> None:
    desk.bank.capped.add("tea")
    await desk.warm("tea", "beer")
    assert await desk.reserve(("tea", 5)) == "call"
    assert await desk.reserve(("beer", 5)) == "lease:l1:5"
    desk.clock.advance_us(LIMITS.valid_us // 3)
    await desk.wallet.renew()
    assert set(desk.bank.calls[-1][1]) == {"beer"}
    desk.clock.advance_us(MINUTE_US)
    await desk.warm("tea", "beer")
    assert set(desk.bank.calls[-2][1]) == {"tea", "beer"}


async def test_a_campaign_without_a_lease_gets_one_at_once(desk: Desk) -> None:
    running = asyncio.create_task(desk.wallet.run())
    await desk.reserve(("tea", 5))
    while await desk.reserve(("tea", 5)) == "call":
        await asyncio.sleep(0)
    running.cancel()
    assert len(desk.bank.calls) == 1


async def test_a_decision_seals_what_it_took_of_the_lease(desk: Desk, client: httpx.AsyncClient) -> None:
    desk.world.advertise("tea", bid_micros=900_000)
    desk.world.place("home", floor_micros=250_000)
    await desk.warm("tea", nanos=250_000)
    decision = await first(client, ask())
    text = str(decision["impression_url"]).rpartition("/")[2]
    token = desk.world.keys.open(text, NOW_US)
    assert token.reservation_id == "lease:l1:250000"
    assert token.reserve_nanos == 250_000
