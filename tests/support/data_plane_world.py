"""Fakes of everything outside the gateway's data plane, and an application that holds only its routes."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from fastapi import FastAPI
from pydantic import SecretStr

from bihuan_gateway import problem
from bihuan_gateway.control.access import Principal, Role
from bihuan_gateway.control.snapshot import (
    AdGroup,
    Advertiser,
    Campaign,
    Creative,
    Placement,
    PricingModel,
    ServingSnapshot,
)
from bihuan_gateway.data.plane import Ports, assemble_routes
from bihuan_gateway.data.ports import (
    Beacon,
    Behaviour,
    Consent,
    DecisionRecord,
    Fact,
    Identifier,
    IngestOutcome,
    Link,
    OrderEvent,
    Recorded,
    RecordResult,
    ReserveAnswer,
    ReserveOutcome,
    ReserveQuery,
    ScoreQuery,
    Scores,
    StoredDecision,
    Value,
)
from bihuan_gateway.data.settings import DataSettings
from bihuan_gateway.planes import PlaneParts
from bihuan_gateway.settings import Settings
from bihuan_shared.clock import DAY_US, FixedClock
from bihuan_shared.errors import AlreadyExists, BihuanError, ResourceExhausted
from bihuan_shared.targeting import parse
from bihuan_shared.tokens import KeyRing

NOW_US = 1_700_000_000_000_000
KEYS = "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
ACME = Advertiser("acme", "USD", "UTC")


@dataclass(slots=True)
class FakeProfile:
    attributes: dict[str, Value] = field(default_factory=dict)
    interests: dict[str, float] = field(default_factory=dict)

    def attribute(self, name: str) -> Value | None:
        return self.attributes.get(name)

    def interest(self, tag: str) -> float:
        return self.interests.get(tag, 0.0)

    def instant_interest(self, tag: str) -> float:
        return 0.0

    def in_segment(self, segment_id: str) -> bool:
        return False

    def record(self) -> bytes:
        return b"profile"


@dataclass(slots=True)
class Faults:
    """What a fake does instead of answering."""

    error: BihuanError | None = None
    hangs: bool = False
    calls: int = 0

    async def meet(self) -> None:
        self.calls += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error


@dataclass(slots=True)
class FakeIdentities:
    faults: Faults = field(default_factory=Faults)
    persons: dict[tuple[Identifier, ...], int] = field(default_factory=dict)
    linked: dict[str, Link] = field(default_factory=dict)

    async def resolve(self, identifiers: tuple[Identifier, ...]) -> int:
        return (await self.resolve_many([identifiers]))[0]

    async def resolve_many(self, items: Sequence[tuple[Identifier, ...]]) -> list[int]:
        await self.faults.meet()
        return [self.persons.setdefault(item, len(self.persons) + 1) for item in items]

    async def link(self, link: Link) -> str:
        await self.faults.meet()
        if self.linked.setdefault(link.request_id, link) != link:
            raise AlreadyExists("another body")
        return f"evidence-{link.request_id}"


@dataclass(slots=True)
class FakeProfiles:
    faults: Faults = field(default_factory=Faults)
    profiles: dict[int, FakeProfile] = field(default_factory=dict)
    ingested: list[Behaviour] = field(default_factory=list)
    facts: list[tuple[int, Sequence[Fact]]] = field(default_factory=list)

    async def read(self, person_id: int, consent: Consent) -> FakeProfile:
        await self.faults.meet()
        return self.profiles.get(person_id, FakeProfile())

    async def ingest(self, events: Sequence[Behaviour]) -> list[tuple[IngestOutcome, str]]:
        await self.faults.meet()
        known = {event.event_id for event in self.ingested}
        self.ingested += events
        return [(IngestOutcome.DUPLICATE if e.event_id in known else IngestOutcome.ACCEPTED, "") for e in events]

    async def set_attributes(self, updates: Sequence[tuple[int, Sequence[Fact]]]) -> int:
        await self.faults.meet()
        self.facts += updates
        return sum(len(facts) for _, facts in updates)


@dataclass(slots=True)
class FakeScorer:
    faults: Faults = field(default_factory=Faults)
    audiences: dict[int, frozenset[str]] = field(default_factory=dict)
    pctr: dict[str, float] = field(default_factory=dict)
    pcvr: float = 0.1
    queries: list[ScoreQuery] = field(default_factory=list)
    membership_faults: Faults = field(default_factory=Faults)

    async def memberships(self, person_id: int) -> frozenset[str]:
        await self.membership_faults.meet()
        return self.audiences.get(person_id, frozenset())

    async def score(self, query: ScoreQuery) -> Scores:
        await self.faults.meet()
        self.queries.append(query)
        return Scores("m1", tuple((self.pctr.get(c.id, 0.02), self.pcvr) for c in query.creatives))


@dataclass(slots=True)
class FakeBudgets:
    faults: Faults = field(default_factory=Faults)
    reserve_faults: Faults = field(default_factory=Faults)
    outcomes: dict[str, ReserveOutcome] = field(default_factory=dict)
    late: dict[str, ReserveOutcome] = field(default_factory=dict)
    reserved: dict[str, tuple[str, int]] = field(default_factory=dict)
    queries: list[ReserveQuery] = field(default_factory=list)

    async def validate(self, query: ReserveQuery) -> tuple[ReserveOutcome, ...]:
        await self.faults.meet()
        return tuple(self.outcomes.get(c.ad_group.campaign.id, ReserveOutcome.RESERVED) for c, _ in query.candidates)

    async def reserve(self, query: ReserveQuery) -> ReserveAnswer:
        await self.reserve_faults.meet()
        self.queries.append(query)
        outcomes = []
        for index, (creative, nanos) in enumerate(query.candidates):
            outcome = self.late.get(creative.ad_group.campaign.id, ReserveOutcome.RESERVED)
            outcomes.append(outcome)
            if outcome is ReserveOutcome.RESERVED:
                self.reserved[query.reservation_id] = (creative.id, nanos)
                rest = [ReserveOutcome.NOT_LOOKED_AT] * (len(query.candidates) - index - 1)
                return ReserveAnswer(index, (*outcomes, *rest))
        return ReserveAnswer(None, tuple(outcomes))


@dataclass(slots=True)
class FakeEvents:
    faults: Faults = field(default_factory=Faults)
    beacons: list[Beacon] = field(default_factory=list)
    orders: list[OrderEvent] = field(default_factory=list)
    order_result: RecordResult = field(default_factory=lambda: RecordResult(Recorded.ACCEPTED))
    encoded: list[Beacon] = field(default_factory=list)

    async def record(self, event: bytes) -> RecordResult:
        await self.faults.meet()
        self.beacons.append(self.encoded[int(event)])
        return RecordResult(Recorded.ACCEPTED)

    async def record_encoded(self, events: Sequence[bytes]) -> list[RecordResult]:
        return [await self.record(event) for event in events]

    async def record_orders(self, orders: Sequence[OrderEvent]) -> list[RecordResult]:
        await self.faults.meet()
        self.orders += orders
        return [self.order_result for _ in orders]

    def encode_beacon(self, beacon: Beacon) -> bytes:
        self.encoded.append(beacon)
        return str(len(self.encoded) - 1).encode()


@dataclass(slots=True)
class FakeDecisions:
    stored: dict[tuple[str, str], StoredDecision] = field(default_factory=dict)

    async def find(self, scope: str, request_id: str) -> StoredDecision | None:
        return self.stored.get((scope, request_id))

    async def put(self, scope: str, request_id: str, decision: StoredDecision, now_us: int) -> StoredDecision:
        return self.stored.setdefault((scope, request_id), decision)


@dataclass(slots=True)
class FakeRecords:
    records: list[DecisionRecord] = field(default_factory=list)

    def add(self, record: DecisionRecord) -> None:
        self.records.append(record)


@dataclass(slots=True)
class FakeLandings:
    known: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)

    async def find(self, creative_id: str) -> tuple[str, tuple[str, ...]] | None:
        return self.known.get(creative_id)


@dataclass(slots=True)
class FakeSpool:
    kept: list[bytes] = field(default_factory=list)
    full: bool = False

    async def append(self, payload: bytes) -> None:
        if self.full:
            raise ResourceExhausted("full")
        self.kept.append(payload)


@dataclass(slots=True)
class World:
    """Everything around the data plane; `principal` is who makes the requests."""

    snapshot: ServingSnapshot = field(default_factory=lambda: ServingSnapshot(version=1))
    identities: FakeIdentities = field(default_factory=FakeIdentities)
    profiles: FakeProfiles = field(default_factory=FakeProfiles)
    scorer: FakeScorer = field(default_factory=FakeScorer)
    budgets: FakeBudgets = field(default_factory=FakeBudgets)
    events: FakeEvents = field(default_factory=FakeEvents)
    decisions: FakeDecisions = field(default_factory=FakeDecisions)
    records: FakeRecords = field(default_factory=FakeRecords)
    landings: FakeLandings = field(default_factory=FakeLandings)
    spool: FakeSpool = field(default_factory=FakeSpool)
    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW_US))
    principal: Principal = field(default_factory=lambda: Principal("key", Role.ADMIN))
    keys: KeyRing = field(default_factory=lambda: KeyRing.parse(KEYS))
    placements: list[Placement] = field(
        default_factory=lambda: [
            Placement(name, "pub", "feed", "social", 0, 0, 0, "USD") for name in ("home", "side", "foot")
        ]
    )
    creatives: list[Creative] = field(default_factory=list)

    def current(self) -> ServingSnapshot:
        return self.snapshot

    def advertise(
        self,
        name: str,
        model: PricingModel = "cpm",
        bid_micros: int = 1_000_000,
        *,
        targeting: str = "",
        audiences: tuple[str, ...] = (),
        keywords: tuple[str, ...] = (),
        advertiser: Advertiser = ACME,
        end_time_us: int = 0,
        size: tuple[int, int] = (0, 0),
        tags: tuple[str, ...] = ("category:tea",),
        creatives: int = 1,
    ) -> None:
        """Add a campaign `name` with an ad group and creatives `name-0` and so on."""
        campaign = Campaign(
            id=name,
            advertiser=advertiser,
            pricing_model=model,
            bid_micros=bid_micros,
            commission_rate_ppm=100_000 if model == "cps" else 0,
            expected_order_micros=50_000_000 if model == "cps" else 0,
            cpm_trigger="impression",
            terms_version=3,
            start_time_us=0,
            end_time_us=end_time_us,
            pacing="asap",
            token_ttl_us=DAY_US,
            capped=False,
        )
        group = AdGroup(
            id=f"{name}-group",
            campaign=campaign,
            expression=parse(targeting) if targeting else None,
            include_audiences=frozenset(audiences),
            exclude_audiences=frozenset(),
            keywords=frozenset(keywords),
            placement_ids=frozenset(),
            bid_micros=bid_micros,
        )
        self.creatives += [
            Creative(
                id=f"{name}-{number}",
                ad_group=group,
                landing_url=f"https://shop.example/{name}?a=1#top",
                tags=tags,
                width=size[0],
                height=size[1],
                assets='{"title":"Tea"}',
            )
            for number in range(creatives)
        ]
        self.refresh()

    def place(self, name: str, **changes: object) -> None:
        """Change a placement."""
        self.placements = [
            replace(place, **changes) if place.id == name else place  # type: ignore[arg-type]  # names of its fields
            for place in self.placements
        ]
        self.refresh()

    def refresh(self) -> None:
        groups = {creative.ad_group.id: creative.ad_group for creative in self.creatives}
        self.snapshot = ServingSnapshot.of(
            1,
            campaigns=[group.campaign for group in groups.values()],
            ad_groups=groups.values(),
            creatives=self.creatives,
            placements=self.placements,
        )

    def app(self) -> FastAPI:
        settings = Settings(token_keys=SecretStr(KEYS), public_url="https://ads.example")
        parts = PlaneParts(settings, None, self.clock, self, _counting_bytes())  # type: ignore[arg-type]  # no hops
        ports = Ports(
            self.identities,
            self.profiles,
            self.scorer,
            self.budgets,
            self.events,
            self.decisions,
            self.records,
            self.landings,
            self.spool,
        )
        app = FastAPI()
        problem.install(app)
        app.router.routes.extend(assemble_routes(parts, ports, DataSettings(decision_timeout_ms=60)))
        return app


def _counting_bytes() -> Callable[[int], bytes]:
    made = 0

    def nonce(size: int) -> bytes:
        nonlocal made
        made += 1
        return made.to_bytes(size, "big")

    return nonce
