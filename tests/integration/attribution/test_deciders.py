"""Sixty-four deciders at once on a real server: caps at every level and window, budgets, leases, a lost store."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.asyncio.cluster import RedisCluster

from bihuan.attribution.v1 import attribution_pb2 as pb
from bihuan.attribution.v1 import attribution_pb2_grpc, event_pb2, terms_pb2
from bihuan.common.v1 import common_pb2
from bihuan_attribution.app import build
from bihuan_attribution.settings import AttributionSettings
from bihuan_gateway.control.snapshot import AdGroup, Advertiser, Campaign, Creative
from bihuan_gateway.data.hops.attribution import GrpcBudgets
from bihuan_gateway.data.hops.leases import GrpcLeases
from bihuan_gateway.data.ports import ReserveOutcome, ReserveQuery
from bihuan_gateway.data.ports.leasing import LeaseGrant, LeaseWish
from bihuan_gateway.data.use_cases.lease_wallet import LeaseWallet, WalletLimits
from bihuan_shared.callers import Credential, Role, secret_sha256
from bihuan_shared.clock import DAY_US, HOUR_US, MINUTE_US, clock_from, set_replay_time_us, to_timestamp
from bihuan_shared.redis import RedisClient, open_redis
from bihuan_shared.rpc.client import open_channel
from bihuan_shared.rpc.server import start_server
from bihuan_shared.tokens import KeyRing, TrackingToken

KEY = "k1:" + "A" * 43
# Twenty seconds after a full hour, so that a round fits into its minute and its hour.
NOW_US = 1_700_006_400_000_000 + 20_000_000
CALL_S = 30.0
DECIDERS = 64
CAP = 3
PERSON = 7
PRICE = 2_000_000
LEVELS = {"advertiser": 1, "campaign": 2, "ad_group": 3, "creative": 4}
WINDOWS = {"minute": 1, "hour": 2, "day": 3, "lifetime": 4}
LOST, RELEASED, SHOWN = range(3)


@dataclass
class Shop:
    """A server that runs in replay on some store, and the hands of a decider."""

    stub: "attribution_pb2_grpc.AttributionServiceAsyncStub"
    redis: RedisClient
    keys: KeyRing
    nonces: int = 0
    shown: Counter[tuple[str, str]] = field(default_factory=Counter)

    async def campaign(
        self, campaign_id: str, advertiser_id: str, *caps: tuple[str, str], total_micros: int = 0
    ) -> None:
        message = terms_pb2.CampaignTerms(
            campaign_id=campaign_id, advertiser_id=advertiser_id, version=1, currency="CNY", time_zone="UTC"
        )
        message.effective_time.CopyFrom(to_timestamp(NOW_US - DAY_US))
        message.pricing.model = terms_pb2.PRICING_MODEL_CPM
        message.budget.total_micros = total_micros
        for level, window in caps:
            message.frequency_caps.add(level=LEVELS[level], window=WINDOWS[window], max_impressions=CAP)
        await self.stub.PutTerms(pb.PutTermsRequest(terms=[message]), timeout=CALL_S)

    async def account(self, advertiser_id: str) -> None:
        """An account without any credit."""
        message = terms_pb2.AdvertiserTerms(advertiser_id=advertiser_id, version=1, currency="CNY", time_zone="UTC")
        message.effective_time.CopyFrom(to_timestamp(NOW_US - DAY_US))
        await self.stub.PutTerms(pb.PutTermsRequest(advertisers=[message]), timeout=CALL_S)

    async def deposit(self, advertiser_id: str, micros: int) -> None:
        amount = common_pb2.Money(currency="CNY", micros=micros)
        await self.stub.Deposit(
            pb.DepositRequest(advertiser_id=advertiser_id, deposit_id=f"d-{advertiser_id}", amount=amount),
            timeout=CALL_S,
        )

    async def take(self, name: str, campaign_id: str, advertiser_id: str, *, nanos: int = 0) -> bool:
        item = pb.ReserveItem(reservation_id=name)
        item.person.person_id = PERSON
        item.candidates.add(
            campaign_id=campaign_id, advertiser_id=advertiser_id, ad_group_id="g", creative_id="k", amount_nanos=nanos
        )
        answer = await self.stub.ReserveBudget(pb.ReserveBudgetRequest(items=[item]), timeout=CALL_S)
        return answer.results[0].HasField("candidate_index")

    async def release(self, name: str, advertiser_id: str) -> None:
        """Ask again with nothing that is held: what was held goes back."""
        assert not await self.take(name, "none", advertiser_id)

    async def show(
        self, name: str, reservation: str, campaign_id: str, advertiser_id: str, at_us: int, *, price: int = 0
    ) -> None:
        self.nonces += 1
        token = TrackingToken(
            name, f"d-{name}", "k", "p", campaign_id, advertiser_id, "g", 1, "cpm", price, "CNY", PERSON,
            at_us, at_us + DAY_US, price, reservation,
        )  # fmt: skip
        event = event_pb2.Event(
            event_type=common_pb2.EVENT_TYPE_IMPRESSION,
            token=self.keys.seal(token, self.nonces.to_bytes(12, "big")),
            receive_time=to_timestamp(at_us),
        )
        request = pb.RecordEventsRequest(events=[event])
        # An impression is told twice, as by a browser that got no answer.
        for _ in range(2):
            await self.stub.RecordEvents(request, timeout=CALL_S)

    async def settled(self) -> pb.ReconcileResponse:
        while True:
            found = await self.stub.Reconcile(pb.ReconcileRequest(), timeout=CALL_S)
            done = {one.consumer for one in found.consumers if one.position == found.head_position}
            if {"billing", "budgets"} <= done:
                return found
            await asyncio.sleep(0.01)

    async def lose_the_store(self) -> None:
        nodes = {"target_nodes": RedisCluster.PRIMARIES} if isinstance(self.redis, RedisCluster) else {}
        await self.redis.execute_command("FLUSHALL", **nodes)


@pytest.fixture
async def shop(any_redis_url: str, tmp_path: Path) -> AsyncIterator[Shop]:
    settings = AttributionSettings(
        clock="replay",
        min_click_delay_ms=0,
        redis_url=any_redis_url,
        state_dir=tmp_path,
        token_keys=SecretStr(KEY),
        max_concurrent_calls=10_000,
        callers=(Credential("gateway", Role.INTERNAL, secret_sha256("s")),),
    )
    server = await start_server(await build(settings), settings, clock_from("replay"))
    channel = open_channel(f"127.0.0.1:{server.port}", secret="s", service="attribution")
    redis = await open_redis(any_redis_url)
    set_replay_time_us(NOW_US)
    yield Shop(attribution_pb2_grpc.AttributionServiceStub(channel), redis, KeyRing.parse(KEY))
    await redis.aclose()
    await channel.close()
    await server.stop(0)


@dataclass
class Capped:
    """One cap and how it goes: `live` decisions may still be shown, `shown` were, by span of the window."""

    level: str
    window: str
    live: set[str] = field(default_factory=set)
    shown: Counter[int] = field(default_factory=Counter)
    had: int = 0

    @property
    def campaign_id(self) -> str:
        return f"c-{self.level}-{self.window}"

    @property
    def advertiser_id(self) -> str:
        return f"a-{self.level}-{self.window}"

    def span(self, at_us: int) -> int:
        size = {"minute": MINUTE_US, "hour": HOUR_US, "day": DAY_US, "lifetime": 2**60}[self.window]
        return at_us // size

    def check(self, at_us: int) -> None:
        assert len(self.live) + self.shown[self.span(at_us)] <= CAP, (self.level, self.window)


async def decider(shop: Shop, caps: list[Capped], name: str, at_us: int, chance: random.Random) -> None:
    """Goes round all campaigns in some order."""
    for cap in chance.sample(caps, len(caps)):
        await decide(shop, cap, f"{name}-{cap.campaign_id}", at_us, chance)


async def decide(shop: Shop, cap: Capped, name: str, at_us: int, chance: random.Random) -> None:
    """Takes a slot if there is one, and shows it, gives it back, or is never heard of again."""
    ask = partial(shop.take, name, cap.campaign_id, cap.advertiser_id)
    if not await ask():
        return
    cap.had += 1
    cap.live.add(name)
    cap.check(at_us)
    fate = chance.choice((LOST, RELEASED, RELEASED, SHOWN))
    if chance.random() < 0.5:
        # The answer was lost: whoever asks again has what it had.
        assert await ask()
    if fate == RELEASED:
        cap.live.discard(name)
        await shop.release(name, cap.advertiser_id)
    elif fate == SHOWN:
        cap.live.discard(name)
        cap.shown[cap.span(at_us)] += 1
        cap.check(at_us)
        await shop.show(name, name, cap.campaign_id, cap.advertiser_id, at_us)


async def test_no_cap_is_exceeded_at_any_level_in_any_window(shop: Shop) -> None:
    caps = [Capped(level, window) for level in LEVELS for window in WINDOWS]
    for cap in caps:
        await shop.campaign(cap.campaign_id, cap.advertiser_id, (cap.level, cap.window))
    chance = random.Random(5)
    for round_ in range(6):
        # After six minutes what was never heard of has ended.
        at_us = NOW_US + round_ * 6 * MINUTE_US
        set_replay_time_us(at_us)
        for cap in caps:
            cap.live.clear()
        await asyncio.gather(*(decider(shop, caps, f"{round_}-{n}", at_us, chance) for n in range(DECIDERS)))
        if round_ == 3:
            # What is acknowledged counts, billed or not; what was in flight is lost with the store.
            await shop.lose_the_store()
        else:
            # Billing is less than the life of a reservation behind, also where time leaps.
            await shop.settled()
    for cap in caps:
        spans = 6 if cap.window == "minute" else 1
        assert max(cap.shown.values()) <= CAP, cap
        assert sum(cap.shown.values()) <= CAP * spans
    # Slots come back, or nothing was tried.
    assert sum(cap.had for cap in caps) > len(caps) * CAP
    assert sum(cap.shown.total() for cap in caps) > len(caps) * CAP // 2


def creative(campaign_id: str, advertiser_id: str) -> Creative:
    advertiser = Advertiser(advertiser_id, "CNY", "UTC")
    campaign = Campaign(campaign_id, advertiser, "cpm", 1, 0, 0, "impression", 1, 0, 0, "asap", DAY_US, capped=False)
    group = AdGroup("g", campaign, None, frozenset(), frozenset(), frozenset(), frozenset(), 1)
    return Creative("k", group, "", (), 0, 0, "{}")


def count_nothing(_step: str, _source: str) -> None:
    """Nobody looks at these counts."""


@pytest.mark.parametrize("is_lost", [False, True])
async def test_no_budget_is_exceeded_by_leases_and_reservations_together(shop: Shop, is_lost: bool) -> None:  # noqa: FBT001 - a parameter of the test
    tight, wide = 40, 60
    await shop.campaign("tight", "acme", total_micros=tight * PRICE // 1_000)
    await shop.campaign("wide", "acme")
    await shop.account("acme")
    await shop.deposit("acme", (tight + wide) * PRICE // 1_000)
    budgets = GrpcBudgets(shop.stub, timeout_s=CALL_S)
    leases = GrpcLeases(shop.stub, timeout_s=CALL_S)
    names = (f"l{number}" for number in range(1_000))
    gateways = [
        LeaseWallet(
            budgets, leases, clock_from("replay"), lambda: next(names), count_nothing, WalletLimits(floor_decisions=3)
        )
        for _ in range(4)
    ]
    candidates = (creative("tight", "acme"), PRICE), (creative("wide", "acme"), PRICE)
    decided: Counter[str] = Counter()

    async def take(number: int) -> None:
        name = f"r{number}"
        wallet = gateways[number % 4]
        answer = await wallet.reserve(ReserveQuery(name, PERSON, candidates))
        if answer.index is None:
            return
        campaign_id = ("tight", "wide")[answer.index]
        decided[campaign_id] += 1
        reservation = answer.reservation_id or name
        await shop.show(name, reservation, campaign_id, "acme", NOW_US, price=PRICE)

    for round_ in range(6):
        await asyncio.gather(*(take(round_ * DECIDERS + number) for number in range(DECIDERS)))
        await asyncio.gather(*(wallet.renew() for wallet in gateways))
        if is_lost and round_ == 2:
            await shop.lose_the_store()
    found = await shop.settled()
    (currency,) = found.currencies
    assert currency.difference_nanos == 0
    assert currency.ledger_charged_nanos <= (tight + wide) * PRICE
    report = await shop.stub.QueryReport(
        pb.QueryReportRequest(dimensions=[pb.REPORT_DIMENSION_CAMPAIGN]), timeout=CALL_S
    )
    spent = {row.dimension_values[0]: row.spend_nanos for row in report.rows}
    assert spent["tight"] <= tight * PRICE
    if not is_lost:
        assert decided == {"tight": tight, "wide": wide}
        assert currency.ledger_charged_nanos == (tight + wide) * PRICE
        assert not found.unbilled


async def test_what_a_cap_counts_is_left_out_of_a_lease_however_many_there_are(shop: Shop) -> None:
    names = [f"c{number}" for number in range(70)]
    for name in names:
        await shop.campaign(name, f"a-{name}", *([("creative", "day")] if name != "c33" else []))
    await shop.deposit("a-c33", 1)
    leases = GrpcLeases(shop.stub, timeout_s=CALL_S)
    answer = await leases.lease("l1", [LeaseWish(name, f"a-{name}", 2_000) for name in names])
    granted = {name: grant for name, grant in zip(names, answer.grants, strict=True) if grant.granted_nanos}
    assert granted == {"c33": LeaseGrant(ReserveOutcome.RESERVED, 1_000)}
    assert {one.outcome for one in answer.grants} == {ReserveOutcome.RESERVED, ReserveOutcome.CAPPED}
    assert answer.expire_time_us == NOW_US + 5 * MINUTE_US
