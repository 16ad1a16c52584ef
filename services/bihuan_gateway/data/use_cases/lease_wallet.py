"""
Budgets without a call: money of campaigns that attribution has set aside for this process.

A wallet stands before the budgets and answers for campaigns whose impressions no cap counts. Everything else, and what
its lease does not cover, goes on to attribution, so a wallet only ever saves a call. It spends what it was granted and
nothing more: whether a request for another amount was taken in or lost, the smaller amount holds until it is answered.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from bihuan_gateway.control.snapshot import Campaign, Creative
from bihuan_gateway.data.domain.lease import Demand, Lease
from bihuan_gateway.data.ports import Budgets, ReserveAnswer, ReserveOutcome, ReserveQuery
from bihuan_gateway.data.ports.leasing import Leases
from bihuan_shared.clock import MINUTE_US, SECOND_US, Clock
from bihuan_shared.errors import BihuanError

MAX_CAMPAIGNS: Final = 1_000
LIFE_US: Final = 5 * MINUTE_US
BARRED_US: Final = MINUTE_US
IDLE_US: Final = 30 * SECOND_US
LEAST_PAUSE_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class WalletLimits:
    """
    How a wallet keeps its leases.

    `pause_s` is the time between two rounds; `term_us` the life of one lease id, after which what it promised ends by
    itself; `valid_us` how long an answer of attribution may be decided on, `denial_us` how long a denial. A campaign is
    asked for twice what a round uses of it, at least enough for `floor_decisions` of its dearest decisions and at most
    `ceiling_nanos`.
    """

    pause_s: float = 1.0
    term_us: int = 30 * SECOND_US
    valid_us: int = 15 * SECOND_US
    denial_us: int = 2 * SECOND_US
    floor_decisions: int = 50
    ceiling_nanos: int = 10_000_000_000


@dataclass(slots=True)
class LeaseWallet:
    """
    Implements the port `Budgets` over budgets that take a call.

    `name_lease` gives an id that was never given before; `count` is told each step (validate, reserve) with what
    answered it (lease, call), and each failed round.
    """

    budgets: Budgets
    leases: Leases
    clock: Clock
    name_lease: Callable[[], str]
    count: Callable[[str, str], None]
    limits: WalletLimits = WalletLimits()
    _lease: Lease | None = None
    _closing: list[Lease] = field(default_factory=list)
    _demands: dict[str, Demand] = field(default_factory=dict)
    _wanted: asyncio.Event = field(default_factory=asyncio.Event)
    _round_us: int = 0

    async def validate(self, query: ReserveQuery) -> tuple[ReserveOutcome, ...]:
        """Tell what each candidate would get; without a call where the lease knows of all of them."""
        now_us = self.clock.now_us()
        outcomes = [self._outcome(creative, nanos, now_us) for creative, nanos in query.candidates]
        known = tuple(one for one in outcomes if one is not None)
        if len(known) == len(outcomes):
            self.count("validate", "lease")
            return known
        self.count("validate", "call")
        return await self.budgets.validate(query)

    async def reserve(self, query: ReserveQuery) -> ReserveAnswer:
        """Set the first candidate aside that has money; without a call where the lease knows of all up to that one."""
        answer = self._reserve(query, self.clock.now_us())
        self.count("reserve", "call" if answer is None else "lease")
        if answer is None:
            answer = await self.budgets.reserve(query)
        if answer.index is not None:
            creative, nanos = query.candidates[answer.index]
            demand = self._demands.get(creative.ad_group.campaign.id)
            if demand is not None:
                demand.used_nanos += nanos
        return answer

    def _reserve(self, query: ReserveQuery, now_us: int) -> ReserveAnswer | None:
        """Decide on the lease; None where it does not know enough. Nothing is awaited, so nobody comes between."""
        outcomes: list[ReserveOutcome] = []
        for index, (creative, nanos) in enumerate(query.candidates):
            outcome = self._outcome(creative, nanos, now_us)
            if outcome is None:
                return None
            outcomes.append(outcome)
            if outcome is ReserveOutcome.RESERVED and self._lease is not None:
                self._lease.shares[creative.ad_group.campaign.id].used_nanos += nanos
                outcomes += [ReserveOutcome.NOT_LOOKED_AT] * (len(query.candidates) - index - 1)
                return ReserveAnswer(index, tuple(outcomes), f"lease:{self._lease.lease_id}:{nanos}")
        return ReserveAnswer(None, tuple(outcomes))

    def _outcome(self, creative: Creative, nanos: int, now_us: int) -> ReserveOutcome | None:
        """Whether a candidate can be had, as far as the lease knows; None where only attribution does."""
        campaign = creative.ad_group.campaign
        demand = self._demand(campaign, now_us)
        if demand is None:
            return None
        demand.asked_us = now_us
        demand.dearest_nanos = max(demand.dearest_nanos, nanos)
        lease = self._lease
        share = lease.shares.get(campaign.id) if lease is not None and now_us < lease.until_us else None
        if lease is None or share is None:
            if now_us >= demand.barred_until_us:
                self._wanted.set()
        elif share.outcome is ReserveOutcome.RESERVED:
            if share.left_nanos >= nanos:
                return share.outcome
            if share.may_grow:
                self._wanted.set()
        elif share.outcome in _SURE and now_us < lease.asked_us + self.limits.denial_us:
            return share.outcome
        return None

    def _demand(self, campaign: Campaign, now_us: int) -> Demand | None:
        """What is asked of a campaign that may be leased; None for others, and where there are too many."""
        if campaign.capped or campaign.advertiser.capped:
            return None
        demand = self._demands.get(campaign.id)
        if demand is None and len(self._demands) < MAX_CAMPAIGNS:
            demand = self._demands[campaign.id] = Demand(campaign.advertiser.id, now_us)
        return demand

    async def run(self) -> None:
        """Keep the lease warm for ever: a round a pause, and at once where more is needed."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.limits.pause_s):
                    await self._wanted.wait()
            self._wanted.clear()
            went_well = await self.renew()
            await asyncio.sleep(LEAST_PAUSE_S if went_well else self.limits.pause_s)

    async def renew(self) -> bool:
        """One round: ask for what will be used, and close what had its term; False where a call failed."""
        now_us = self.clock.now_us()
        wants = self._learn(now_us)
        try:
            if self._is_kept(now_us) and self._lease is not None:
                if now_us >= self._lease.asked_us + self.limits.valid_us // 3 or not self._lease.covers(wants):
                    await self._ask(self._lease, wants, now_us)
            elif wants:
                await self._open(wants, now_us)
            else:
                self._retire()
            await self._close_retired(now_us)
        except BihuanError:
            self.count("lease", "failed")
            return False
        return True

    async def close(self) -> None:
        """Give back what was not used; what attribution does not hear of ends by itself."""
        self._retire()
        with suppress(BihuanError):
            await self._close_retired(self.clock.now_us())

    def _learn(self, now_us: int) -> dict[str, Demand]:
        """What is wanted of which campaigns; those that nobody asked for of late are forgotten."""
        rounds = max((now_us - self._round_us) / SECOND_US, LEAST_PAUSE_S) / self.limits.pause_s
        self._round_us = now_us
        for campaign_id in [key for key, one in self._demands.items() if now_us - one.asked_us > IDLE_US]:
            del self._demands[campaign_id]
        for demand in self._demands.values():
            demand.learn(rounds, self.limits.floor_decisions, self.limits.ceiling_nanos)
        return {key: one for key, one in self._demands.items() if now_us >= one.barred_until_us}

    def _is_kept(self, now_us: int) -> bool:
        lease = self._lease
        return lease is not None and not lease.is_doubtful and now_us < lease.open_us + self.limits.term_us

    async def _open(self, wants: dict[str, Demand], now_us: int) -> None:
        """Go over to a new lease; until that is answered, the one before can be used up."""
        fresh = Lease(self.name_lease(), now_us)
        self._closing.append(fresh)
        await self._ask(fresh, wants, now_us)
        self._closing.remove(fresh)
        self._retire()
        self._lease = fresh

    async def _ask(self, lease: Lease, wants: dict[str, Demand], now_us: int) -> None:
        wishes = lease.ask(wants, MAX_CAMPAIGNS)
        lease.is_doubtful = True
        answer = await self.leases.lease(lease.lease_id, wishes)
        lease.is_doubtful = False
        lease.hear(wishes, answer, now_us, self.limits.valid_us)
        for wish, grant in zip(wishes, answer.grants, strict=True):
            if grant.outcome is ReserveOutcome.CAPPED and wish.campaign_id in wants:
                wants[wish.campaign_id].barred_until_us = now_us + BARRED_US

    def _retire(self) -> None:
        if self._lease is not None:
            self._closing.append(self._lease)
            self._lease = None

    async def _close_retired(self, now_us: int) -> None:
        self._closing = [one for one in self._closing if now_us < max(one.asked_us, one.open_us) + LIFE_US]
        while self._closing:
            lease = self._closing[0]
            await self.leases.lease(lease.lease_id, lease.used())
            self._closing.remove(lease)


_SURE: Final = frozenset({ReserveOutcome.BUDGET_EXHAUSTED, ReserveOutcome.BALANCE_EXHAUSTED, ReserveOutcome.NO_TERMS})
