"""Fakes in the place of the other services, and the gateway as a caller sees it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

import httpx

from bihuan_gateway.control.bookings import BookedDate, Booking
from bihuan_gateway.control.exports import ExportPart, ExportPurpose
from bihuan_gateway.control.findings import FindingOutcome, InvalidEvent
from bihuan_gateway.control.insight import (
    Balance,
    CurrencyReconciliation,
    EntryQuery,
    LedgerEntry,
    Posting,
    Reconciliation,
)
from bihuan_gateway.control.look_alikes import CurvePointView, EvidenceView, LiftView, LookAlikeSpec
from bihuan_gateway.control.order_attribution import (
    ModelComparison,
    ModelQuery,
    ModelRow,
    OrderAttribution,
    OrderItem,
    Restatement,
    Touch,
)
from bihuan_gateway.control.packages import (
    BrandBehaviourSpec,
    CombinationSpec,
    OverlapsView,
    OverlapView,
    SizeView,
    Standing,
    VersionView,
)
from bihuan_gateway.control.ports import AudienceStatus, Reach
from bihuan_gateway.control.reports import FigureDifference, ReportQuery, ReportRow, Verification
from bihuan_gateway.control.specs import Member
from bihuan_gateway.control.tags import PlatformTag, PlatformTags, TagSet
from bihuan_gateway.control.terms import AdvertiserTerms, CampaignTerms, PlacementTerms, Terms
from bihuan_gateway.outside import Outside
from bihuan_shared.errors import (
    AlreadyExists,
    BihuanError,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    Unavailable,
)
from bihuan_shared.targeting import Expression, ExpressionInvalid, TagType, check, parse
from tests.unit.gateway_control.settlers import FakeSettlement

ADMIN = "admin-secret"
KEYS = "k1:" + "A" * 43
EVIDENCE = EvidenceView(
    seed_audience_id="seed",
    seed_size=100,
    pool_size=1_000,
    label_frequency=0.5,
    lifts=(LiftView(share=0.1, lift=4.0, low=3.0, high=5.0),),
    curve=(CurvePointView(size=100, recall=0.4, precision=0.3, lift=4.0),),
    dropped=(),
    reasons=(),
    figures={"auc": 0.8},
)
TAXONOMY = {"gender": TagType.TEXT, "age": TagType.NUMBER}


@dataclass
class FakeAttribution:
    terms: list[CampaignTerms] = field(default_factory=list)
    accounts: list[AdvertiserTerms] = field(default_factory=list)
    placements: list[PlacementTerms] = field(default_factory=list)
    deposits: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    queries: list[ReportQuery] = field(default_factory=list)
    entry_queries: list[EntryQuery] = field(default_factory=list)
    compared: list[tuple[str, ModelQuery]] = field(default_factory=list)
    away: bool = False
    took: asyncio.Event = field(default_factory=asyncio.Event)

    async def put_terms(self, terms: Sequence[Terms]) -> None:
        if self.away:
            raise Unavailable("away")
        self.terms.extend(one for one in terms if isinstance(one, CampaignTerms))
        self.accounts.extend(one for one in terms if isinstance(one, AdvertiserTerms))
        self.placements.extend(one for one in terms if isinstance(one, PlacementTerms))
        self.took.set()

    async def deposit(self, advertiser_id: str, deposit_id: str, *, currency: str, amount_micros: int) -> LedgerEntry:
        body = (advertiser_id, currency, amount_micros)
        if self.deposits.setdefault(deposit_id, body) != body:
            raise AlreadyExists("the deposit id was used")
        return ledger_entry(advertiser_id, amount_micros * 1000)

    async def balances(self, advertiser_id: str, as_of_us: int | None) -> list[Balance]:
        if as_of_us is not None:
            return []
        return [Balance(f"advertiser:prepaid:{advertiser_id}", "USD", 2_500)]

    async def payable(self, account: str) -> list[Balance]:
        return [Balance(account, "USD", 7_500)]

    async def report(self, query: ReportQuery) -> tuple[list[ReportRow], str]:
        self.queries.append(query)
        values = tuple(f"{name}-1" for name in query.dimensions)
        reach = 8 if query.with_reach else None
        row = ReportRow(values, "USD", 10, 9, 3, 2, 1, 7_000_000, 3_000_000_000, 0, person_impressions=9, reach=reach)
        return [row], "next"

    async def entries(self, query: EntryQuery) -> tuple[list[LedgerEntry], str]:
        self.entry_queries.append(query)
        return [ledger_entry(query.advertiser_id or "any", 5)], ""

    async def reconcile(self, *, positions_only: bool = False) -> Reconciliation:
        return Reconciliation((CurrencyReconciliation("USD", 5, 5, 5, 5, 0),), {"unmatched": 2}, 9, {"billing": 9})

    async def attribution_of(self, advertiser_id: str, order_id: str) -> OrderAttribution:
        if order_id == "missing":
            raise NotFound("no such order")
        given = {"last_click": 1_000_000, "linear": 1_000_000}
        touch = Touch("click", "e1", 1_000_000, "c1", "cr1", "click_id", 1_000_000, given, "direct", "pro", "sub")
        items = (OrderItem("i1", 1, 5_000_000),)
        history = (Restatement(2_000_000, "c1", 5_000_000, "c1", 1_500),)
        return OrderAttribution(
            order_id, advertiser_id, "paid", 0, "USD", items, (touch,), "c1", 1_500, "estimated", history, 3_000_000
        )

    async def compare_models(self, advertiser_id: str, query: ModelQuery) -> ModelComparison:
        self.compared.append((advertiser_id, query))
        rows = tuple(ModelRow("=c1", model, "USD", 1_500_000, 7) for model in query.models)
        return ModelComparison(rows, 2, 1, None)

    async def verify(self) -> Verification:
        return Verification(3, 9, (FigureDifference({"campaign": "c1"}, "clicks", 2, 1),))


def ledger_entry(advertiser_id: str, nanos: int) -> LedgerEntry:
    postings = (Posting("bank", nanos), Posting(f"advertiser:prepaid:{advertiser_id}", -nanos))
    return LedgerEntry(1, "deposit", "deposit", "d1", "", advertiser_id, "USD", 0, postings, "", 0)


@dataclass
class FakeFindings:
    made: dict[str, tuple[str, tuple[InvalidEvent, ...]]] = field(default_factory=dict)

    async def report(self, finding_id: str, reason: str, events: Sequence[InvalidEvent]) -> FindingOutcome:
        body = (reason, tuple(events))
        if self.made.setdefault(finding_id, body) != body:
            raise AlreadyExists("the finding id was used")
        return FindingOutcome(len(events), 0, 0, {"USD": 1_000 * len(events)})


@dataclass
class FakePeople:
    calls: list[int] = field(default_factory=list)

    async def resolve(self, members: Sequence[Member], *, first_index: int) -> list[int]:
        self.calls.append(len(members))
        for index, member in enumerate(members):
            if member.value == "refused":
                raise InvalidArgument("refused", FieldViolation(f"/members/{first_index + index}/value", "junk"))
        return [int(hashlib.sha256(member.value.encode()).hexdigest()[:8], 16) + 1 for member in members]


@dataclass
class FakeAudiences:
    made: dict[str, tuple[str, str, str, tuple[int, ...]]] = field(default_factory=dict)
    packages: dict[str, tuple[CombinationSpec | BrandBehaviourSpec | None, int]] = field(default_factory=dict)
    compared: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    look_alikes: dict[str, LookAlikeSpec] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)

    async def create(
        self,
        audience_id: str,
        advertiser_id: str,
        display_name: str,
        *,
        expression: str,
        person_ids: Sequence[int],
        look_alike: LookAlikeSpec | None = None,
        package: CombinationSpec | BrandBehaviourSpec | None = None,
        refresh_interval_s: int = 0,
    ) -> AudienceStatus:
        self.packages[audience_id] = package, refresh_interval_s
        if look_alike is not None:
            self.look_alikes[audience_id] = look_alike
        body = (advertiser_id, display_name, expression, tuple(person_ids))
        if self.made.setdefault(audience_id, body) != body:
            raise AlreadyExists("taken")
        return await self.status(audience_id)

    async def status(self, audience_id: str) -> AudienceStatus:
        if audience_id not in self.made:
            raise NotFound("no such audience")
        package, _ = self.packages[audience_id]
        version = VersionView(version=3, size=1_230, below_floor=False, version_time=None, cause="built")
        standing = Standing(expression="true" if package else "", version=3, history=(version,))
        state = "failed" if audience_id in self.failed else "ready"
        evidence = EVIDENCE if audience_id in self.look_alikes else None
        size = len(self.made[audience_id][3])
        return AudienceStatus(state, size, 1.0, "", evidence=evidence, standing=standing)

    async def compare(self, advertiser_id: str, audience_ids: Sequence[str]) -> OverlapsView:
        self.compared.append((advertiser_id, tuple(audience_ids)))
        sizes = tuple(SizeView(id=one, size=1_230, below_floor=False) for one in audience_ids)
        first, second = audience_ids[:2]
        pair = OverlapView(id=first, other_id=second, intersection=0, jaccard=0.0, below_floor=True)
        return OverlapsView(audiences=sizes, overlaps=(pair,))

    async def reach(self, advertiser_id: str, expression: str) -> Reach:
        return Reach(0, below_floor=True) if "few" in expression else Reach(1_230, below_floor=False)

    async def refresh(self, audience_id: str, advertiser_id: str) -> AudienceStatus:
        owner, _, expression, _ = self.made[audience_id]
        assert owner == advertiser_id
        if not expression:
            raise FailedPrecondition("a list")
        return AudienceStatus("building", 0, 0.0, "")


@dataclass
class FakeExports:
    """Two parts; a partner `nobody` may have none, and of `broken` the second one never comes."""

    asked: list[tuple[str, str, str]] = field(default_factory=list)

    async def export(self, audience_id: str, partner: str, purpose: ExportPurpose) -> AsyncIterator[ExportPart]:
        self.asked.append((audience_id, partner, purpose))
        if partner == "nobody":
            raise InvalidArgument.of("/partner", "may not be given person tokens")
        yield ExportPart(["t1", "t2"])
        if partner == "broken":
            raise Unavailable("away")
        yield ExportPart(["t3"], 3, 10)


class FakeTaxonomy:
    async def platform(self) -> PlatformTags:
        names = {"en": "Age", "zh": "年龄"}
        tag = PlatformTag("age", "number", "registration", ("targeting",), (), "Years", names, 9, 1.5, 2, derived=False)
        return PlatformTags("1+0", (tag,))

    async def parse(self, text: str, pointer: str, private: Mapping[str, TagType]) -> Expression:
        try:
            expression = parse(text)
            check(expression, {**TAXONOMY, **private})
        except ExpressionInvalid as error:
            raise InvalidArgument(error.detail, FieldViolation(pointer, error.detail), reason=error.reason) from None
        return expression


@dataclass
class FakeTags:
    """Profile as private tags see it: `held` by advertiser, until its store loses it."""

    held: dict[str, TagSet] = field(default_factory=dict)
    epoch: int = 1
    away: bool = False
    refused: str = ""
    took: asyncio.Event = field(default_factory=asyncio.Event)

    async def store_epoch(self) -> str:
        if self.away:
            raise Unavailable("away")
        return str(self.epoch)

    async def put_tags(self, tags: TagSet) -> None:
        if self.away:
            raise Unavailable("away")
        if tags.advertiser_id == self.refused:
            raise InvalidArgument("refused")
        self.held[tags.advertiser_id] = tags
        self.took.set()

    def lose_everything(self) -> None:
        self.held.clear()
        self.took.clear()
        self.epoch += 1


@dataclass
class FakeBookings:
    """Attribution as bookings see it: `held` by id, `days` by booking, `refusals` by id."""

    held: dict[str, Booking] = field(default_factory=dict)
    days: dict[str, list[BookedDate]] = field(default_factory=dict)
    refusals: dict[str, BihuanError] = field(default_factory=dict)
    away: bool = False

    async def put_bookings(self, bookings: Sequence[Booking]) -> None:
        if self.away:
            raise Unavailable("away")
        for one in bookings:
            if one.id in self.refusals:
                raise self.refusals[one.id]
        self.held |= {one.id: one for one in bookings}

    async def booked_dates(self, booking: Booking) -> list[BookedDate]:
        return self.days.get(booking.id, [])


@dataclass
class Outsiders:
    attribution: FakeAttribution = field(default_factory=FakeAttribution)
    people: FakePeople = field(default_factory=FakePeople)
    audiences: FakeAudiences = field(default_factory=FakeAudiences)
    findings: FakeFindings = field(default_factory=FakeFindings)

    settlement: FakeSettlement = field(default_factory=FakeSettlement)

    bookings: FakeBookings = field(default_factory=FakeBookings)

    tags: FakeTags = field(default_factory=FakeTags)

    exports: FakeExports = field(default_factory=FakeExports)

    def outside(self) -> Outside:
        books = self.attribution
        return Outside(
            people=self.people,
            audiences=self.audiences,
            taxonomy=FakeTaxonomy(),
            terms=books,
            books=books,
            payables=books,
            findings=self.findings,
            settlement=self.settlement,
            bookings=self.bookings,
            reports=books,
            tags=self.tags,
            exports=self.exports,
        )


class Api:
    """The gateway as one key holder sees it."""

    def __init__(self, client: httpx.AsyncClient, secret: str) -> None:
        self.client = client
        self.headers = {"authorization": f"Bearer {secret}"} if secret else {}

    async def call(
        self, method: str, path: str, body: object = None, *, raw: bytes | str | None = None, **headers: str
    ) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if raw is not None:
            named.setdefault("content-type", "application/json")
            return await self.client.request(method, path, content=raw, headers={**self.headers, **named})
        if body is None:
            return await self.client.request(method, path, headers={**self.headers, **named})
        return await self.client.request(method, path, json=body, headers={**self.headers, **named})

    async def make(self, path: str, body: object, **headers: str) -> dict[str, object]:
        answer = await self.call("POST", path, body, **headers)
        assert answer.status_code == 201, answer.text
        document = answer.json()
        assert isinstance(document, dict)
        return document

    async def get(self, path: str) -> dict[str, object]:
        answer = await self.call("GET", path)
        assert answer.status_code == 200, answer.text
        document = answer.json()
        assert isinstance(document, dict)
        return document

    async def key_for(self, role: str, advertiser_id: str | None = None) -> "Api":
        made = await self.make("/v1/api-keys", {"role": role, "advertiser_id": advertiser_id})
        return Api(self.client, str(made["secret"]))


CPS = {
    "model": "cps",
    "commission_rate_ppm": 50_000,
    "promoter_share_ppm": 300_000,
    "expected_order_micros": 40_000_000,
}


def campaign(advertiser_id: str = "acme", **changes: object) -> dict[str, object]:
    return {
        "advertiser_id": advertiser_id,
        "display_name": "Spring",
        "pricing": {"model": "cpm", "bid_micros": 2_000_000},
        "budget": {"daily_micros": 10_000_000, "total_micros": 0},
        **changes,
    }
