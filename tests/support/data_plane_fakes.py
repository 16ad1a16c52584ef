"""Fakes of everything outside the gateway's data plane."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from bihuan_gateway.data.domain.booked import BookedDay, BookedDays
from bihuan_gateway.data.ports import (
    ActionEvent,
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
    Resolved,
    ScoreQuery,
    Scores,
    StoredDecision,
    Value,
)
from bihuan_shared.errors import AlreadyExists, BihuanError, ResourceExhausted


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


def sighting_of(person_id: int) -> int:
    """The handle that `FakeIdentities` gives with a person; beyond 2^63, as a real one may be."""
    return 2**63 + person_id


@dataclass(slots=True)
class FakeIdentities:
    faults: Faults = field(default_factory=Faults)
    persons: dict[tuple[Identifier, ...], int] = field(default_factory=dict)
    linked: dict[str, Link] = field(default_factory=dict)

    async def resolve(self, identifiers: tuple[Identifier, ...]) -> Resolved:
        return (await self.resolve_many([identifiers]))[0]

    async def resolve_many(self, items: Sequence[tuple[Identifier, ...]]) -> list[Resolved]:
        await self.faults.meet()
        found = [self.persons.setdefault(item, len(self.persons) + 1) for item in items]
        return [Resolved(person_id, sighting_of(person_id)) for person_id in found]

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
    facts: list[tuple[Resolved, Sequence[Fact]]] = field(default_factory=list)
    read_for: list[tuple[str, ...]] = field(default_factory=list)

    async def read(self, person_id: int, consent: Consent, advertiser_ids: tuple[str, ...]) -> FakeProfile:
        await self.faults.meet()
        self.read_for.append(advertiser_ids)
        return self.profiles.get(person_id, FakeProfile())

    async def ingest(self, events: Sequence[Behaviour]) -> list[tuple[IngestOutcome, str]]:
        await self.faults.meet()
        known = {event.event_id for event in self.ingested}
        self.ingested += events
        return [(IngestOutcome.DUPLICATE if e.event_id in known else IngestOutcome.ACCEPTED, "") for e in events]

    async def check_attributes(self, updates: Sequence[Sequence[Fact]]) -> None:
        await self.faults.meet()

    async def set_attributes(self, updates: Sequence[tuple[Resolved, Sequence[Fact]]]) -> int:
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
    actions: list[ActionEvent] = field(default_factory=list)
    action_result: RecordResult = field(default_factory=lambda: RecordResult(Recorded.ACCEPTED))
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

    async def record_actions(self, actions: Sequence[ActionEvent]) -> list[RecordResult]:
        await self.faults.meet()
        self.actions += actions
        return [self.action_result for _ in actions]

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
class FakeBooked:
    days: list[BookedDay] = field(default_factory=list)

    def current(self) -> BookedDays:
        return BookedDays.of(self.days)


@dataclass(slots=True)
class FakeSpool:
    kept: list[bytes] = field(default_factory=list)
    full: bool = False

    async def append(self, payload: bytes) -> None:
        if self.full:
            raise ResourceExhausted("full")
        self.kept.append(payload)
