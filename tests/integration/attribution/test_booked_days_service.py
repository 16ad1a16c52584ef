"""Booked days over gRPC and HTTP: two tenants bid through a gateway, attribution awards and charges."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydantic import SecretStr

from bihuan.attribution.v1 import attribution_pb2 as pb
from bihuan.attribution.v1 import attribution_pb2_grpc, booking_pb2, terms_pb2
from bihuan_attribution.app import build
from bihuan_attribution.settings import AttributionSettings
from bihuan_gateway.app import build as build_gateway
from bihuan_gateway.data.domain.booked import RankClass
from bihuan_gateway.data.hops.bookings import PolledDays
from bihuan_gateway.settings import Settings
from bihuan_shared.callers import Credential, Role, secret_sha256
from bihuan_shared.clock import FixedClock, clock_from, parse_rfc3339_us, to_timestamp
from bihuan_shared.errors import BihuanError, FailedPrecondition, InvalidArgument, Unavailable
from bihuan_shared.rpc.client import open_channel
from bihuan_shared.rpc.server import start_server

if TYPE_CHECKING:
    from tests.integration.attribution.conftest import Served

CALL_S = 10.0
ADMIN = "the-admin"
BIDDING, CLOSED, BEGUN = "2026-03-05T12:00:00Z", "2026-03-07T12:00:00Z", "2026-03-08T05:00:00Z"


def booking(**changes: object) -> terms_pb2.Booking:
    message = terms_pb2.Booking(
        booking_id="b1",
        campaign_id="d1",
        advertiser_id="acme",
        placement_id="home",
        start_date="2100-03-08",
        end_date="2100-03-09",
        day_rate_micros=5,
        currency="CNY",
        time_zone="Asia/Shanghai",
        create_time=to_timestamp(1_000_000),
    )
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def days(**changes: object) -> booking_pb2.ListBookingDaysRequest:
    message = booking_pb2.ListBookingDaysRequest(start_date="2100-03-01", end_date="2100-03-31")
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def campaign_terms() -> terms_pb2.CampaignTerms:
    return terms_pb2.CampaignTerms(
        campaign_id="d1",
        advertiser_id="acme",
        version=1,
        effective_time=to_timestamp(1_000_000),
        currency="CNY",
        time_zone="Asia/Shanghai",
        pricing=terms_pb2.Pricing(model=terms_pb2.PRICING_MODEL_CPD),
    )


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"booking_id": ""}, "bookings[0].booking_id"),
        ({"placement_id": ""}, "bookings[0].target"),
        ({"keyword": "Tea"}, "bookings[0].keyword"),
        ({"start_date": "soon"}, "bookings[0].start_date"),
        ({"start_date": "2100-02-29"}, "bookings[0].start_date"),
        ({"end_date": "2101-03-09"}, "bookings[0].end_date"),
        ({"day_rate_micros": 0}, "bookings[0].day_rate_micros"),
        ({"currency": "yuan"}, "bookings[0].currency"),
        ({"time_zone": "Mars/Base"}, "bookings[0].time_zone"),
    ],
)
async def test_malformed_bookings_are_refused_by_field(
    served: "Served", changes: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await served.stub.PutTerms(pb.PutTermsRequest(bookings=[booking(**changes)]), timeout=CALL_S)
    assert refused.value.violations[0].field == field


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"start_date": ""}, "start_date"),
        ({"end_date": "2100-02-30"}, "end_date"),
        ({"end_date": "2101-03-02"}, "end_date"),
        ({"page_size": 10_001}, "page_size"),
        ({"page_token": "?"}, "page_token"),
        ({"page_token": "WyJ4IiwieSJd"}, "page_token"),
    ],
)
async def test_malformed_queries_are_refused_by_field(served: "Served", changes: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await served.stub.ListBookingDays(days(**changes), timeout=CALL_S)
    assert refused.value.violations[0].field == field


async def test_bookings_come_and_are_listed_page_by_page(served: "Served") -> None:
    with pytest.raises(FailedPrecondition) as unknown:
        await served.stub.PutTerms(pb.PutTermsRequest(bookings=[booking()]), timeout=CALL_S)
    assert unknown.value.violations[0].field == "bookings[0].campaign_id"
    request = pb.PutTermsRequest(terms=[campaign_terms()], bookings=[booking(), booking(booking_id="b2", keyword="茶")])
    for _ in range(2):
        await served.stub.PutTerms(request, timeout=CALL_S)
    with pytest.raises(BihuanError) as conflict:
        await served.stub.PutTerms(pb.PutTermsRequest(bookings=[booking(day_rate_micros=6)]), timeout=CALL_S)
    assert conflict.value.reason == "CONTENT_CONFLICT"
    late = booking(booking_id="b3", start_date="2020-01-01", end_date="2020-01-01")
    with pytest.raises(FailedPrecondition) as closed:
        await served.stub.PutTerms(pb.PutTermsRequest(bookings=[late]), timeout=CALL_S)
    assert closed.value.violations[0].field == "bookings[0].start_date"
    found: list[booking_pb2.BookingDay] = []
    token = ""
    for _ in range(4):
        answer = await served.stub.ListBookingDays(days(page_size=1, page_token=token), timeout=CALL_S)
        found += answer.days
        token = answer.next_page_token
    assert token == ""
    assert [(one.date, one.booking_id, one.keyword) for one in found] == [
        ("2100-03-08", "b1", ""), ("2100-03-08", "b2", "茶"), ("2100-03-09", "b1", ""), ("2100-03-09", "b2", "茶"),
    ]  # fmt: skip
    assert {one.state for one in found} == {booking_pb2.BOOKING_DAY_STATE_OPEN}


@dataclass
class Market:
    """A gateway over a real attribution, both in replay, with a CPD campaign of `acme` and one of `rival`."""

    client: httpx.AsyncClient
    stub: "attribution_pb2_grpc.AttributionServiceAsyncStub"
    keys: dict[str, str]

    async def call(
        self, method: str, path: str, body: object = None, *, by: str = "admin", at: str = BIDDING
    ) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.keys[by]}", "bihuan-time": at}
        return await self.client.request(method, path, json=body, headers=headers)

    async def make(self, path: str, body: object, *, by: str = "admin", at: str = BIDDING) -> Any:
        answer = await self.call("POST", path, body, by=by, at=at)
        assert answer.status_code < 300, answer.text
        return answer.json()

    async def get(self, path: str, *, by: str = "admin", at: str = BIDDING) -> Any:
        answer = await self.call("GET", path, by=by, at=at)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def state(self, booking_id: str, by: str, at: str, wanted: str) -> dict[str, Any]:
        """The only day of a booking, once it is in the state."""
        deadline_s = time.monotonic() + CALL_S
        while True:
            (day,) = (await self.get(f"/v1/bookings/{booking_id}/days", by=by, at=at))["days"]
            if day["state"] == wanted or time.monotonic() > deadline_s:
                assert day["state"] == wanted
                return dict(day)
            await asyncio.sleep(0.02)


@pytest.fixture
async def market(redis_url: str, tmp_path: Path) -> AsyncIterator[Market]:
    settings = AttributionSettings(
        redis_url=redis_url,
        state_dir=tmp_path / "attribution",
        token_keys=SecretStr("k1:" + "A" * 43),
        callers=(Credential("gateway", Role.INTERNAL, secret_sha256("s")),),
        clock="replay",
    )
    server = await start_server(await build(settings), settings, clock_from("replay"))
    target = f"127.0.0.1:{server.port}"
    channel = open_channel(target, secret="s", service="attribution")
    app = build_gateway(
        Settings(
            state_dir=tmp_path / "gateway",
            admin_key_sha256=hashlib.sha256(ADMIN.encode()).hexdigest(),
            attribution_target=target,
            caller_secret=SecretStr("s"),
            clock="replay",
            terms_wait_s=5.0,
        ),
        data=None,
    )
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            made = Market(client, attribution_pb2_grpc.AttributionServiceStub(channel), {"admin": ADMIN})
            await _open_shop(made)
            yield made
    await channel.close()
    await server.stop(0)


async def _open_shop(market: Market) -> None:
    await market.make("/v1/placements", {"id": "home", "currency": "USD"})
    for name in ("acme", "rival"):
        account: dict[str, object] = {"id": name, "display_name": name, "currency": "USD"}
        account |= {"time_zone": "America/New_York", "credit_limit_micros": 10**9}
        await market.make("/v1/advertisers", account)
        pricing = {"model": "cpd", "day_rate_micros": 9_000_000}
        campaign = {"id": f"{name}-d", "advertiser_id": name, "display_name": name, "pricing": pricing}
        made = await market.make("/v1/campaigns", campaign)
        assert made["terms_acked"] is True
        key = await market.make("/v1/api-keys", {"role": "advertiser", "advertiser_id": name})
        market.keys[name] = key["secret"]


def bid(name: str, rate: int) -> dict[str, object]:
    return {
        "id": f"{name}-b",
        "campaign_id": f"{name}-d",
        "placement_id": "home",
        "start_date": "2026-03-08",
        "end_date": "2026-03-08",
        "day_rate_micros": rate,
    }


async def test_two_tenants_bid_and_the_higher_rate_is_charged_and_shown(market: Market) -> None:
    for name, rate in (("acme", 5_000_000), ("rival", 4_000_000)):
        made = await market.make("/v1/bookings", bid(name, rate), by=name)
        assert made["state"] == "standing"
    assert (await market.state("acme-b", "acme", BIDDING, "open"))["start_time"] == "2026-03-08T05:00:00Z"
    won = await market.state("acme-b", "acme", CLOSED, "won")
    assert (won["start_time"], won["end_time"]) == ("2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z")
    lost = await market.get("/v1/bookings/rival-b/days", by="rival", at=CLOSED)
    # Neither who won nor what was bid by others is told.
    assert lost["days"] == [won | {"state": "outbid"}]
    assert "acme" not in str(lost)
    assert "5000000" not in str(lost)
    for path in ("/v1/bookings/acme-b", "/v1/bookings/acme-b/days"):
        assert (await market.call("GET", path, by="rival", at=CLOSED)).status_code == 404
    await market.state("acme-b", "acme", BEGUN, "charged")
    (entry,) = (await market.get("/v1/ledger/entries", by="acme", at=BEGUN))["entries"]
    assert (entry["kind"], entry["cause_type"], entry["cause_id"]) == ("charge", "booking", "acme-b/2026-03-08")
    assert (await market.get("/v1/ledger/entries", by="rival", at=BEGUN))["entries"] == []
    books = await market.get("/v1/ledger/reconciliation", at=BEGUN)
    assert [one["difference_nanos"] for one in books["currencies"]] == [0]
    # The gateway's data plane learns whose day it is.
    now_us = parse_rfc3339_us(BEGUN)
    polled = PolledDays(market.stub, FixedClock(now_us), poll_s=1.0)
    await polled.refresh()
    assert polled.current().ranks("home", [], now_us) == {"acme-d": RankClass.PLACEMENT}
    assert polled.current().ranks("home", [], now_us - 1) == {}


async def test_what_is_taken_back_in_time_makes_room_for_the_next(market: Market) -> None:
    for name, rate in (("acme", 5_000_000), ("rival", 4_000_000)):
        await market.make("/v1/bookings", bid(name, rate), by=name)
    cancelled = await market.call("POST", "/v1/bookings/acme-b:cancel", by="acme")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    await market.state("rival-b", "rival", CLOSED, "won")
    await market.state("acme-b", "acme", CLOSED, "cancelled")
    late = await market.call("POST", "/v1/bookings/rival-b:cancel", by="rival", at=CLOSED)
    assert late.status_code == 409
    again = await market.call("POST", "/v1/bookings", bid("acme", 9_000_000) | {"id": "late"}, by="acme", at=CLOSED)
    assert (again.status_code, again.json()["errors"][0]["pointer"]) == (409, "/start_date")


async def test_days_that_are_known_stay_while_attribution_is_away(market: Market) -> None:
    await market.make("/v1/bookings", bid("acme", 5_000_000), by="acme")
    await market.state("acme-b", "acme", CLOSED, "won")
    now_us = parse_rfc3339_us(BEGUN)
    away = open_channel("127.0.0.1:1", secret="s", service="attribution")
    polled = PolledDays(market.stub, FixedClock(now_us), poll_s=1.0)
    await polled.refresh()
    polled._stub = attribution_pb2_grpc.AttributionServiceStub(away)
    with pytest.raises(Unavailable):
        await polled.refresh()
    await away.close()
    # A day that was won is shown from its begin on, and no longer than it lasts.
    assert set(polled.current().ranks("home", [], now_us)) == {"acme-d"}
    assert polled.current().ranks("home", [], parse_rfc3339_us("2026-03-09T04:00:00Z")) == {}
