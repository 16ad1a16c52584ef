"""Fakes in the place of the other services, and the gateway as a caller sees it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx

from bihuan_gateway.app import Outside
from bihuan_gateway.control.insight import (
    Balance,
    CurrencyReconciliation,
    LedgerEntry,
    OrderAttribution,
    OrderItem,
    Posting,
    Reconciliation,
    ReportQuery,
    ReportRow,
    Touch,
)
from bihuan_gateway.control.ports import AudienceStatus
from bihuan_gateway.control.resources import Terms
from bihuan_gateway.control.specs import Member
from bihuan_shared.errors import AlreadyExists, FieldViolation, InvalidArgument, NotFound, Unavailable
from bihuan_shared.targeting import Expression, ExpressionInvalid, TagType, check, parse

ADMIN = "admin-secret"
TAXONOMY = {"gender": TagType.TEXT, "age": TagType.NUMBER}


@dataclass
class FakeAttribution:
    terms: list[Terms] = field(default_factory=list)
    deposits: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    queries: list[ReportQuery] = field(default_factory=list)
    away: bool = False

    async def put_terms(self, terms: Sequence[Terms]) -> None:
        if self.away:
            raise Unavailable("away")
        self.terms.extend(terms)

    async def deposit(self, advertiser_id: str, deposit_id: str, *, currency: str, amount_micros: int) -> LedgerEntry:
        body = (advertiser_id, currency, amount_micros)
        if self.deposits.setdefault(deposit_id, body) != body:
            raise AlreadyExists("the deposit id was used")
        return ledger_entry(advertiser_id, amount_micros * 1000)

    async def balances(self, advertiser_id: str) -> list[Balance]:
        return [Balance(f"advertiser:prepaid:{advertiser_id}", "USD", 2_500)]

    async def report(self, query: ReportQuery) -> tuple[list[ReportRow], str]:
        self.queries.append(query)
        values = tuple(f"{name}-1" for name in query.dimensions)
        return [ReportRow(values, "USD", 10, 9, 3, 2, 1, 7_000_000, 3_000_000_000, 0)], "next"

    async def entries(
        self, *, advertiser_id: str, campaign_id: str, page_size: int, page_token: str
    ) -> tuple[list[LedgerEntry], str]:
        return [ledger_entry(advertiser_id or "any", 5)], ""

    async def reconcile(self, *, positions_only: bool = False) -> Reconciliation:
        return Reconciliation((CurrencyReconciliation("USD", 5, 5, 5, 5, 0),), {"unmatched": 2}, 9, {"billing": 9})

    async def attribution_of(self, advertiser_id: str, order_id: str) -> OrderAttribution:
        if order_id == "missing":
            raise NotFound("no such order")
        touch = Touch("click", "e1", 1_000_000, "c1", "cr1", "click_id", 1_000_000)
        items = (OrderItem("i1", 1, 5_000_000),)
        return OrderAttribution(order_id, advertiser_id, "paid", 0, "USD", items, (touch,), "c1", 1_500)


def ledger_entry(advertiser_id: str, nanos: int) -> LedgerEntry:
    postings = (Posting("bank", nanos), Posting(f"advertiser:prepaid:{advertiser_id}", -nanos))
    return LedgerEntry(1, "deposit", "deposit", "d1", "", advertiser_id, "USD", 0, postings, "", 0)


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

    async def create(
        self, audience_id: str, advertiser_id: str, display_name: str, *, expression: str, person_ids: Sequence[int]
    ) -> AudienceStatus:
        body = (advertiser_id, display_name, expression, tuple(person_ids))
        if self.made.setdefault(audience_id, body) != body:
            raise AlreadyExists("taken")
        return await self.status(audience_id)

    async def status(self, audience_id: str) -> AudienceStatus:
        if audience_id not in self.made:
            raise NotFound("no such audience")
        return AudienceStatus("ready", len(self.made[audience_id][3]), 1.0, "")


class FakeTaxonomy:
    async def parse(self, text: str, pointer: str) -> Expression:
        try:
            expression = parse(text)
            check(expression, TAXONOMY)
        except ExpressionInvalid as error:
            raise InvalidArgument(error.detail, FieldViolation(pointer, error.detail), reason=error.reason) from None
        return expression


@dataclass
class Outsiders:
    attribution: FakeAttribution = field(default_factory=FakeAttribution)
    people: FakePeople = field(default_factory=FakePeople)
    audiences: FakeAudiences = field(default_factory=FakeAudiences)

    def outside(self) -> Outside:
        return Outside(self.people, self.audiences, FakeTaxonomy(), self.attribution, self.attribution)


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


def campaign(advertiser_id: str = "acme", **changes: object) -> dict[str, object]:
    return {
        "advertiser_id": advertiser_id,
        "display_name": "Spring",
        "pricing": {"model": "cpm", "bid_micros": 2_000_000},
        "budget": {"daily_micros": 10_000_000, "total_micros": 0},
        **changes,
    }
