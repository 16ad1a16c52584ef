"""A whole attribution over a real database, without the wire."""

import shutil
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import mkdtemp

import pytest
from redis.asyncio.cluster import RedisCluster

from bihuan.attribution.v1 import event_pb2
from bihuan.common.v1 import common_pb2
from bihuan_attribution import schema
from bihuan_attribution.billing_store import SqlBilling
from bihuan_attribution.book_rows_store import SqlBookRows
from bihuan_attribution.budget_state_store import SqlBudgetState
from bihuan_attribution.budget_store import RedisBudgets
from bihuan_attribution.domain.event import Result
from bihuan_attribution.domain.invalid_traffic import TrafficLimits
from bihuan_attribution.domain.lease import LeaseWish
from bihuan_attribution.domain.reserve import Answer, Candidate, Item, ReserveOutcome
from bihuan_attribution.domain.terms import CampaignTerms
from bihuan_attribution.event_log_store import SqlEventLog, prepare_heads
from bihuan_attribution.event_sinks import LakeSink
from bihuan_attribution.lease_store import RedisLeases
from bihuan_attribution.ledger_store import SqlLedger
from bihuan_attribution.order_file_store import SqlOrderFiles
from bihuan_attribution.person_store import SqlPersons
from bihuan_attribution.reconcile.auditor import LakeAuditor
from bihuan_attribution.report_store import SqlReports
from bihuan_attribution.terms_store import SqlTerms
from bihuan_attribution.use_cases.feed_books import BookFeed
from bihuan_attribution.use_cases.lease_budgets import Leaser
from bihuan_attribution.use_cases.pass_on import LakeFeed
from bihuan_attribution.use_cases.ports import TermsBatch
from bihuan_attribution.use_cases.put_terms import TermsView, put_terms
from bihuan_attribution.use_cases.reconcile_ports import Reconciliation
from bihuan_attribution.use_cases.record_events import Recorder
from bihuan_attribution.use_cases.reserve_budget import Reserver
from bihuan_attribution.use_cases.settle_budgets import BudgetSettler
from bihuan_attribution.wire import incoming_event
from bihuan_shared.clock import DAY_US, FixedClock, to_timestamp
from bihuan_shared.lake import open_lake
from bihuan_shared.redis import RedisClient, open_redis
from bihuan_shared.sql import Database
from bihuan_shared.tokens import KeyRing, TrackingToken

NOW_US = 1_700_000_000_000_000
LIMITS = TrafficLimits(0, 0, 0, 0)
"""Everything happens at one instant here, which no human does."""

TERMS = CampaignTerms(
    campaign_id="cpm-1",
    advertiser_id="acme",
    version=1,
    effective_time_us=NOW_US - 40 * DAY_US,
    currency="CNY",
    time_zone="Asia/Shanghai",
    pricing_model="cpm",
    bid_micros=2_000_000,
    commission_rate_ppm=0,
    promoter_share_ppm=0,
    bills_viewable=False,
    daily_micros=0,
    total_micros=0,
    click_window_us=15 * DAY_US,
    view_window_us=DAY_US,
    caps=(),
    stopped=False,
)
CPC = replace(TERMS, campaign_id="cpc-1", pricing_model="cpc")
CPS = replace(TERMS, campaign_id="cps-1", pricing_model="cps", commission_rate_ppm=100_000, promoter_share_ppm=250_000)


@dataclass
class World:
    """One attribution and the hands to work it."""

    database: Database
    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW_US))
    keys: KeyRing = field(default_factory=lambda: KeyRing({"k1": b"k" * 32}))
    nonces: int = 0
    lake_url: str = ""

    def __post_init__(self) -> None:
        self.log = SqlEventLog(self.database)
        self.recorder = Recorder(self.log, self.keys, self.clock, lambda: None)
        self.terms = SqlTerms(self.database)
        self.ledger = SqlLedger(self.database)
        self.reports = SqlReports(self.database)
        self.orders = SqlOrderFiles(self.database)
        self.billing = SqlBilling(self.database, self.clock, LIMITS)
        self.persons = SqlPersons(self.database)
        if not self.lake_url:
            self.lake_url = mkdtemp(prefix="bihuan-lake-")
            weakref.finalize(self, shutil.rmtree, self.lake_url, ignore_errors=True)
        self.lake = open_lake(self.lake_url)
        self.events_feed = LakeFeed(self.log, LakeSink(self.lake))
        self.books_feed = BookFeed(SqlBookRows(self.database, self.lake))

    def token(
        self,
        token_id: str,
        terms: CampaignTerms = TERMS,
        *,
        price: int = 2_000_000,
        person: int = 7,
        sighting: int = 0,
        promoter: str = "",
        creative: str = "cr",
        placement: str = "pl",
        reservation: str = "",
    ) -> str:
        self.nonces += 1
        token = TrackingToken(
            token_id=token_id,
            decision_id=f"d-{token_id}",
            creative_id=creative,
            placement_id=placement,
            campaign_id=terms.campaign_id,
            advertiser_id=terms.advertiser_id,
            ad_group_id="ag",
            terms_version=terms.version,
            pricing_model=terms.pricing_model,
            price_micros=price,
            currency=terms.currency,
            person_id=person,
            issue_time_us=self.clock.now_us(),
            expire_time_us=self.clock.now_us() + 30 * DAY_US,
            reserve_nanos=0,
            reservation_id=reservation or f"r-{token_id}",
            sighting_id=sighting,
            promoter_id=promoter,
        )
        return self.keys.seal(token, self.nonces.to_bytes(12, "big"))

    def beacon(self, kind: str, token: str, at_us: int | None = None) -> event_pb2.Event:
        when = self.clock.now_us() if at_us is None else at_us
        event_type = common_pb2.EventType.Value(f"EVENT_TYPE_{kind.upper()}")
        return event_pb2.Event(event_type=event_type, token=token, receive_time=to_timestamp(when))

    def order(
        self,
        event_id: str,
        order_id: str = "o1",
        *,
        status: int = event_pb2.ORDER_STATUS_PAID,
        paid: Sequence[int] = (100_000_000,),
        click_id: str = "",
        person: int = 7,
        sighting: int = 0,
        at_us: int | None = None,
        update: bool = False,
    ) -> event_pb2.Event:
        when = self.clock.now_us() if at_us is None else at_us
        event = event_pb2.Event(
            event_type=common_pb2.EVENT_TYPE_ORDER_UPDATE if update else common_pb2.EVENT_TYPE_ORDER,
            event_id=event_id,
            receive_time=to_timestamp(self.clock.now_us()),
        )
        event.order.order_id, event.order.advertiser_id, event.order.currency = order_id, "acme", "CNY"
        event.order.order_time.CopyFrom(to_timestamp(when))
        event.order.status = status  # type: ignore[assignment]  # the numbers are those of the wire
        event.order.click_id = click_id
        for index, micros in enumerate(paid if not update else ()):
            event.order.items.add(item_id=f"i{index}", quantity=1, paid_micros=micros)
        if person:
            event.person.person_id = person
            event.sighting_id = sighting
            event.consent.purposes.append(common_pb2.PURPOSE_MEASUREMENT)
        return event

    def refund(self, event_id: str, micros: int, order_id: str = "o1", item_id: str = "i0") -> event_pb2.Event:
        event = self.order(event_id, order_id, paid=())
        event.event_type = common_pb2.EVENT_TYPE_REFUND
        event.order.ClearField("status")
        event.order.refund_items.add(item_id=item_id, quantity=1, refund_micros=micros)
        return event

    async def record(self, *events: event_pb2.Event) -> list[Result]:
        return await self.recorder.record([incoming_event(one) for one in events])

    async def bill(self, limit: int = 1_000) -> int:
        total = 0
        while count := await self.billing.bill(limit):
            total += count
        return total

    @property
    def lake_folder(self) -> Path:
        """Where the lake's files are, while it is in a folder."""
        return Path(self.lake_url)

    async def drain(self) -> None:
        """Bring the lake up to the books."""
        while await self.events_feed.step() + await self.books_feed.step():
            pass

    async def audit(self) -> Reconciliation:
        """What the fold over the lake says, whether it agrees or not."""
        await self.drain()
        auditor = LakeAuditor(self.database, self.lake)
        try:
            return await auditor.reconcile()
        finally:
            await auditor.close()

    async def reconcile(self) -> Reconciliation:
        found = await self.audit()
        assert all(one.difference_nanos == 0 for one in found.currencies), found
        assert all(one.difference_nanos == 0 for one in found.accounts), found
        events = sum(count for reason, count in found.unbilled if not reason.startswith("rejected_"))
        assert found.billed_count + events == found.compared_position, found
        return found

    async def charged(self) -> int:
        found = await self.reconcile()
        return sum(one.ledger_charged_nanos for one in found.currencies)

    async def entries(self) -> list[tuple[str, str, dict[str, int]]]:
        booked = await self.ledger.entries("", "", 0, 10_000)
        return [(b.entry.kind, b.entry.cause_id, {p.account: p.amount_nanos for p in b.entry.postings}) for b in booked]


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    database = await Database.open(database_url, schema.metadata, schema="attribution")
    await prepare_heads(database)
    world = World(database)
    await world.terms.put(TermsBatch([TERMS, CPC, CPS]))
    yield world
    await world.recorder.close()
    await database.close()


@pytest.fixture
def cps() -> CampaignTerms:
    """Terms that pay for orders."""
    return CPS


@pytest.fixture
def make_world() -> Callable[[Database], tuple[World, CampaignTerms]]:
    """A world over an open database, and terms to put into it."""
    return lambda database: (World(database), TERMS)


@dataclass
class Desk:
    """Reservations beside a world that bills."""

    world: World
    redis: RedisClient
    terms: CampaignTerms

    def __post_init__(self) -> None:
        self.budgets = RedisBudgets(self.redis)
        is_cluster = isinstance(self.redis, RedisCluster)
        self.everywhere = {"target_nodes": RedisCluster.PRIMARIES} if is_cluster else {}
        self.truth = SqlBudgetState(self.world.database)
        self.view = TermsView(self.world.terms)
        self.reserver = Reserver(self.budgets, self.truth, self.view, self.world.clock)
        self.leaser = Leaser(RedisLeases(self.redis), self.budgets, self.reserver, self.view, self.world.clock)
        persons = SqlPersons(self.world.database)
        self.settler = BudgetSettler(self.world.log, self.budgets, self.truth, self.view, self.reserver, persons)

    async def put(self, *terms: CampaignTerms) -> None:
        await put_terms(TermsBatch(terms), self.world.terms, self.view, self.budgets)

    async def deposit(self, nanos: int, name: str = "d1") -> None:
        await self.world.ledger.deposit("acme", name, "CNY", nanos, 1)
        await self.settler.push_balance("acme")

    async def take(self, name: str, *wanted: tuple[str, int], person: int = 7, validate_only: bool = False) -> Answer:
        candidates = tuple(
            Candidate(campaign, "rival" if campaign.startswith("rival") else "acme", "ag", "cr", nanos)
            for campaign, nanos in wanted
        )
        (answer,) = await self.reserver.reserve([Item(name, person, candidates)], validate_only=validate_only)
        return answer

    async def lease(self, name: str, *wanted: tuple[str, int]) -> list[tuple[ReserveOutcome, int]]:
        wishes = [LeaseWish(one, "rival" if one.startswith("rival") else "acme", nanos) for one, nanos in wanted]
        return [(one.outcome, one.granted_nanos) for one in (await self.leaser.lease(name, wishes)).grants]

    async def bill(self) -> None:
        await self.world.bill()
        while await self.settler.step():
            pass


@pytest.fixture
async def desk(
    any_redis_url: str, tmp_path: Path, make_world: Callable[[Database], tuple[World, CampaignTerms]]
) -> AsyncIterator[Desk]:
    database = await Database.open(f"sqlite:///{tmp_path / 'a.db'}", schema.metadata, schema="attribution")
    await prepare_heads(database)
    redis = await open_redis(any_redis_url)
    world, terms = make_world(database)
    desk = Desk(world, redis, terms)
    await desk.put(terms)
    yield desk
    await world.recorder.close()
    await database.close()
    await redis.aclose()
