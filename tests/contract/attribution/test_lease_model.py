"""
Reservations and leases in any interleaving, on a real Valkey and a real cluster, beside a reference of a few lines.

After every step each budget in the store is its limit less what was charged and what is held, to the nano, by the
reference's own account; whoever is granted something leaves no budget below zero.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis.asyncio.cluster import RedisCluster

from bihuan_attribution.budget_store import RedisBudgets
from bihuan_attribution.domain.budget_day import budget_day
from bihuan_attribution.domain.event import AdFacts, EventType, LoggedEvent
from bihuan_attribution.domain.lease import LeaseWish
from bihuan_attribution.domain.reserve import BudgetState, Candidate, Item, Recount, ReserveOutcome, Spent
from bihuan_attribution.domain.terms import CampaignTerms
from bihuan_attribution.lease_store import RedisLeases
from bihuan_attribution.use_cases.lease_budgets import Leaser
from bihuan_attribution.use_cases.ports import EventLog, Persons
from bihuan_attribution.use_cases.put_terms import TermsView
from bihuan_attribution.use_cases.reserve_budget import Reserver
from bihuan_attribution.use_cases.settle_budgets import BudgetSettler
from bihuan_shared.clock import HOUR_US, MINUTE_US, SECOND_US, FixedClock
from bihuan_shared.redis import open_redis

NOW_US = 1_700_000_000_000_000
LIFE_US = 5 * MINUTE_US
CAMPAIGNS = ("a", "b", "c")
DAILY_MICROS = {"a": 6, "b": 0, "c": 4}
TOTAL_MICROS = {"a": 10, "b": 8, "c": 0}
BALANCE = 15_000
NAMES = st.sampled_from(("l1", "l2", "l3"))
AMOUNTS = st.integers(0, 5_000)
PARTS = st.integers(0, 700)
Budget = tuple[str, str]
"""The day ('' is the whole life) and the name of a budget, as `Spent` has them."""


def terms_of(campaign_id: str, version: int, total_micros: int) -> CampaignTerms:
    return CampaignTerms(
        campaign_id, "acme", version, 0, "CNY", "UTC", "cpm", 1, 0, 0, False,
        DAILY_MICROS[campaign_id], total_micros, 0, 0, (), False,
    )  # fmt: skip


@dataclass
class Hold:
    """What a reservation, or one campaign of a lease, holds of which budgets."""

    nanos: int
    budgets: list[Budget]


@dataclass
class LeaseState:
    """A lease by the reference's account; `used` is what its decider decided on."""

    holds: dict[str, Hold] = field(default_factory=dict)
    billed: dict[str, int] = field(default_factory=dict)
    granted: dict[str, int] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)
    position: int = 0
    end_us: int = 0


@dataclass
class Books:
    """Everything that is committed: terms, billed events, charges. Stands in for SQL."""

    terms: list[CampaignTerms]
    events: list[LoggedEvent] = field(default_factory=list)
    charged: dict[Budget, int] = field(default_factory=dict)
    settled: int = 0

    async def since(self, seq: int) -> tuple[int, list[CampaignTerms]]:
        return len(self.terms), self.terms[seq:]

    async def position(self, consumer: str) -> int:
        return self.settled if consumer == "budgets" else len(self.events)

    async def read(self, after: int, limit: int) -> list[LoggedEvent]:
        return self.events[after : after + limit]

    async def advance(self, _consumer: str, position: int) -> None:
        self.settled = position

    async def as_now(self, events: list[LoggedEvent]) -> list[LoggedEvent]:
        return events

    async def recounts(self, _limit: int) -> list[Recount]:
        return []

    async def spent(self, advertiser_id: str, _campaigns: Iterable[str], _days: Iterable[str]) -> BudgetState:
        spent = {("", "bal"): -BALANCE, **self.charged}
        spent["", "bal"] = self.charged.get(("", "bal"), 0) - BALANCE
        sums = tuple(Spent(day, name, nanos) for (day, name), nanos in spent.items())
        return BudgetState(advertiser_id, len(self.events), len(self.events), sums)

    async def whole(self, advertiser_id: str, _terms: Sequence[CampaignTerms], _now_us: int) -> BudgetState:
        return await self.spent(advertiser_id, (), ())

    def limit(self, budget: Budget, terms: CampaignTerms) -> int | None:
        if budget == ("", "bal"):
            return BALANCE
        micros = terms.daily_micros if budget[0] else terms.total_micros
        return micros * 1_000 if micros else None

    def bill(self, event: LoggedEvent, terms: CampaignTerms, price_nanos: int) -> None:
        """Charge an event where every budget has room, as the constraints of the ledger do."""
        self.events.append(event)
        day = budget_day(event.receive_time_us, "UTC")
        budgets = [("", f"t:{terms.campaign_id}"), (day, terms.campaign_id), ("", "bal")]
        if all(
            (most := self.limit(one, terms)) is None or self.charged.get(one, 0) + price_nanos <= most
            for one in budgets
        ):
            for one in budgets:
                self.charged[one] = self.charged.get(one, 0) + price_nanos


class Reference:
    """What is left of each budget: its limit, less what is charged as far as it was told, less what is held."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.forget()

    def forget(self) -> None:
        self.is_loaded = False
        self.limits: dict[Budget, int] = {}
        self.seen: dict[Budget, int] = {}
        self.reservations: dict[str, tuple[Hold, int]] = {}
        self.leases: dict[str, LeaseState] = {}

    def load(self) -> None:
        """Sums reach the store with a load and with every settlement."""
        self.is_loaded = True
        self.seen = dict(self.books.charged)

    def left(self, budget: Budget) -> int:
        held = [hold for hold, _ in self.reservations.values()]
        held += [hold for lease in self.leases.values() for hold in lease.holds.values()]
        base = BALANCE if budget == ("", "bal") else self.limits.get(budget, 0)
        taken = sum(one.nanos for one in held if budget in one.budgets)
        return base - self.seen.get(budget, 0) - taken

    def begin(self, now_us: int) -> None:
        if not self.is_loaded:
            self.load()
        self.reservations = {name: one for name, one in self.reservations.items() if one[1] > now_us}
        for lease in self.leases.values():
            if lease.end_us <= now_us:
                lease.holds = {}

    def grant(self, terms: CampaignTerms, now_us: int, wanted: int, *, least: int) -> tuple[ReserveOutcome, Hold]:
        """As much as every budget has, looked at in their order; nothing where that is less than `least`."""
        day = budget_day(now_us, "UTC")
        found: list[Budget] = []
        for budget in (("", f"t:{terms.campaign_id}"), (day, terms.campaign_id), ("", "bal")):
            limit = self.books.limit(budget, terms)
            if limit is None or (budget == ("", "bal") and wanted == 0 and least == 0):
                continue
            self.limits[budget] = limit
            had = min(wanted, self.left(budget))
            if self.left(budget) <= 0 or had < least:
                no = ReserveOutcome.BALANCE_EXHAUSTED if budget == ("", "bal") else ReserveOutcome.BUDGET_EXHAUSTED
                return no, Hold(0, [])
            wanted = had
            found.append(budget)
        return ReserveOutcome.RESERVED, Hold(wanted, found)


class Machine(RuleBasedStateMachine):
    """Deciders with reservations and leases, a till that bills late and twice, and a store that loses its state."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = FixedClock(NOW_US)
        self.books = Books([terms_of(one, 1, TOTAL_MICROS[one]) for one in CAMPAIGNS])
        self.reference = Reference(self.books)
        self.number = 0
        self.decisions: list[tuple[str, str, int]] = []
        self.redis = self.runner.run(open_redis(self.url))
        self.budgets = RedisBudgets(self.redis)
        self.view = TermsView(cast("TermsView", self.books))  # type: ignore[arg-type]  # has what is called
        self.reserver = Reserver(self.budgets, self.books, self.view, self.clock)  # type: ignore[arg-type]  # as above
        self.leaser = Leaser(RedisLeases(self.redis), self.budgets, self.reserver, self.view, self.clock)
        self.settler = BudgetSettler(
            cast("EventLog", self.books),
            self.budgets,
            self.books,  # type: ignore[arg-type]  # as above
            self.view,
            self.reserver,
            cast("Persons", self.books),
        )

    def teardown(self) -> None:
        self.runner.run(self.redis.aclose())
        self.runner.close()

    @initialize()
    def begin(self) -> None:
        self._flush()
        self.runner.run(self.view.refresh())

    def _flush(self) -> None:
        nodes = {"target_nodes": RedisCluster.PRIMARIES} if isinstance(self.redis, RedisCluster) else {}
        self.runner.run(self.redis.execute_command("FLUSHALL", **nodes))
        self.reference.forget()

    def _terms(self, campaign_id: str) -> CampaignTerms:
        found = self.view.book.in_force(campaign_id, self.clock.now_us())
        assert found is not None
        return found

    @rule(campaign=st.sampled_from(CAMPAIGNS), nanos=AMOUNTS)
    def reserve(self, campaign: str, nanos: int) -> None:
        self.number += 1
        name = f"r{self.number}"
        item = Item(name, 0, (Candidate(campaign, "acme", "g", "k", nanos),))
        (answer,) = self.runner.run(self.reserver.reserve([item], validate_only=False))
        self.reference.begin(self.clock.now_us())
        outcome, hold = self.reference.grant(self._terms(campaign), self.clock.now_us(), nanos, least=nanos)
        assert answer.outcomes == (outcome,)
        if outcome is ReserveOutcome.RESERVED:
            self.reference.reservations[name] = (hold, self.clock.now_us() + LIFE_US)
            assert all(self.reference.left(one) >= 0 for one in hold.budgets)
        self._compare()
        self.decisions.append((name, campaign, nanos))

    @rule(name=NAMES)
    def end_a_lease(self, name: str) -> None:
        self.runner.run(self.leaser.lease(name, ()))
        if name in self.reference.leases:
            self.reference.leases[name].holds = {}
        self._compare()

    @rule(name=NAMES, wanted=st.dictionaries(st.sampled_from(CAMPAIGNS), AMOUNTS, min_size=1, max_size=3))
    def lease(self, name: str, wanted: dict[str, int]) -> None:
        wishes = [LeaseWish(campaign, "acme", nanos) for campaign, nanos in wanted.items()]
        answer = self.runner.run(self.leaser.lease(name, wishes))
        self.reference.begin(self.clock.now_us())
        lease = self.reference.leases.setdefault(name, LeaseState())
        lease.holds, lease.end_us = {}, self.clock.now_us() + LIFE_US
        for wish, grant in zip(wishes, answer.grants, strict=True):
            terms, billed = self._terms(wish.campaign_id), lease.billed.get(wish.campaign_id, 0)
            rest = max(0, wish.amount_nanos - billed)
            outcome, hold = self.reference.grant(
                terms, self.clock.now_us(), rest, least=min(1, wish.amount_nanos, rest)
            )
            if (
                wish.amount_nanos
                and not rest
                and self.reference.left(("", "bal")) <= 0
                and outcome is ReserveOutcome.RESERVED
            ):
                outcome = ReserveOutcome.BALANCE_EXHAUSTED
            lease.holds[wish.campaign_id] = hold
            lease.granted[wish.campaign_id] = grant.granted_nanos
            assert (grant.outcome, grant.granted_nanos) == (outcome, hold.nanos + billed)
            assert all(self.reference.left(one) >= 0 for one in hold.budgets)
        self._compare()

    @rule(data=st.data(), nanos=PARTS, honest=st.integers(0, 9))
    @precondition(lambda self: any(one.holds for one in self.reference.leases.values()))
    def decide_on_a_lease(self, data: st.DataObject, nanos: int, honest: int) -> None:
        held = [(name, campaign) for name, one in self.reference.leases.items() for campaign in one.holds]
        name, campaign = data.draw(st.sampled_from(held))
        lease = self.reference.leases[name]
        # Whoever takes more than was granted gives nobody else's money back.
        part = nanos * 9 if not honest else max(0, min(nanos, lease.granted[campaign] - lease.used.get(campaign, 0)))
        lease.used[campaign] = lease.used.get(campaign, 0) + part
        self.decisions.append((f"lease:{name}:{part}", campaign, part))

    @rule(at=st.integers(0, 9), count=st.integers(1, 4))
    @precondition(lambda self: bool(self.decisions))
    def bill(self, at: int, count: int) -> None:
        for _ in range(min(count, len(self.decisions))):
            self._bill(*self.decisions.pop(at % len(self.decisions)))

    def _bill(self, reservation_id: str, campaign: str, nanos: int) -> None:
        position, now_us = len(self.books.events) + 1, self.clock.now_us()
        ad = AdFacts(f"t{position}", "d", campaign, "k", "p", "g", "acme", 1, "cpm", nanos, "CNY", reservation_id)
        event = LoggedEvent(position, EventType.IMPRESSION, ad.token_id, now_us, now_us, 0, ad, None)
        self.books.bill(event, self._terms(campaign), nanos)

    @rule(again=st.integers(0, 3))
    @precondition(lambda self: bool(self.books.events))
    def settle(self, again: int) -> None:
        self.books.settled = max(0, self.books.settled - again)
        fresh = self.books.events[self.books.settled :]
        self.runner.run(self.settler.step())
        if fresh:
            self.reference.load()
        for event in fresh:
            assert event.ad is not None
            self._take_out(event.position, event.ad)
        self._compare()

    def _take_out(self, position: int, ad: AdFacts) -> None:
        if not ad.price_micros:
            return
        if not ad.reservation_id.startswith("lease:"):
            self.reference.reservations.pop(ad.reservation_id, None)
            return
        lease = self.reference.leases.get(ad.reservation_id.split(":")[1])
        if lease is not None and position > lease.position:
            lease.position = position
            lease.billed[ad.campaign_id] = lease.billed.get(ad.campaign_id, 0) + ad.price_micros
            hold = lease.holds.get(ad.campaign_id)
            if hold is not None:
                hold.nanos = max(0, hold.nanos - ad.price_micros)

    @rule(us=st.sampled_from((0, 1, SECOND_US, SECOND_US, MINUTE_US, MINUTE_US, 2 * MINUTE_US, LIFE_US, 7 * HOUR_US)))
    def wait(self, us: int) -> None:
        self.clock.advance_us(us)

    @rule(campaign=st.sampled_from(("a", "b")), micros=st.integers(1, 12))
    def change_the_budget(self, campaign: str, micros: int) -> None:
        version = len(self.books.terms) + 1
        self.books.terms.append(replace(terms_of(campaign, 1, micros), version=version))
        self.runner.run(self.view.refresh())

    @rule(dice=st.integers(1, 8))
    def lose_the_store(self, dice: int) -> None:
        if dice == 1:
            self._flush()

    async def _hash(self, key: str) -> dict[bytes, bytes]:
        return cast("dict[bytes, bytes]", await self.redis.hgetall(key))

    def _compare(self) -> None:
        days = {day for day, _ in (*self.reference.limits, *self.reference.seen)}
        for day in days | {""}:
            key = f"at:{{acme}}:b{':' + day if day else ''}"
            held = self.runner.run(self._hash(key))
            found = {name.decode()[1:]: int(value) for name, value in held.items() if name.startswith(b"x")}
            assert found == {name: self.reference.left((day, name)) for name in found}


@pytest.mark.parametrize("engine", ["redis_url", "redis_cluster_url"])
def test_held_and_charged_never_exceed_a_limit(engine: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(engine)
    machine = type("On", (Machine,), {"url": url})
    few = settings(max_examples=80, stateful_step_count=50, suppress_health_check=list(HealthCheck), deadline=None)
    run_state_machine_as_test(machine, settings=few)
