"""Audiences, money and figures through the HTTP API; replay time; operations."""

import hashlib
from pathlib import Path

import httpx
import pytest

from bihuan_gateway.app import build
from bihuan_gateway.control.reports import METRICS, ReportRow
from bihuan_gateway.settings import Settings
from tests.unit.gateway_control.outsiders import ADMIN, Api, Outsiders, campaign


def members(count: int) -> list[dict[str, str]]:
    return [{"namespace": "cookie", "value": f"v{index}"} for index in range(count)]


async def test_member_list_is_resolved_in_pages_and_counted_as_persons(
    admin: Api, tree: dict[str, object], outsiders: Outsiders
) -> None:
    body = {"id": "a1", "advertiser_id": "acme", "display_name": "A", "members": [*members(2_500), members(1)[0]]}
    made = await admin.make("/v1/audiences", body)
    assert (made["state"], made["size"]) == ("ready", 2_500)
    assert outsiders.people.calls == [1_000, 1_000, 501]
    assert "members" not in made
    assert (await admin.get("/v1/audiences/a1"))["size"] == 2_500


async def test_audience_repeated_under_its_key_is_the_same_one(
    admin: Api, tree: dict[str, object], outsiders: Outsiders
) -> None:
    body = {"advertiser_id": "acme", "display_name": "A", "members": members(3)}
    first = await admin.make("/v1/audiences", body, idempotency_key="k")
    assert (await admin.make("/v1/audiences", body, idempotency_key="k"))["id"] == first["id"]
    assert len(outsiders.audiences.made) == 1
    other = await admin.call("POST", "/v1/audiences", {**body, "members": members(4)}, idempotency_key="k")
    assert other.status_code == 409


async def test_member_that_is_refused_is_named_by_its_place_in_the_list(admin: Api, tree: dict[str, object]) -> None:
    listed = members(1_500)
    listed[1_200]["value"] = "refused"
    body = {"advertiser_id": "acme", "display_name": "A", "members": listed}
    answer = await admin.call("POST", "/v1/audiences", body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/members/1200/value"


async def test_audience_is_a_list_or_an_expression(admin: Api, tree: dict[str, object]) -> None:
    body = {"advertiser_id": "acme", "display_name": "A"}
    assert (await admin.call("POST", "/v1/audiences", body)).status_code == 400
    both = {**body, "members": members(1), "expression": "age > 1"}
    assert (await admin.call("POST", "/v1/audiences", both)).status_code == 400
    assert (await admin.call("POST", "/v1/audiences", {**body, "expression": "age >"})).status_code == 400
    assert (await admin.make("/v1/audiences", {**body, "expression": "age > 1"}))["expression"] == "age > 1"


async def test_preset_of_dormant_relations_is_an_expression_that_can_be_refreshed(
    admin: Api, tree: dict[str, object]
) -> None:
    body = {"id": "back", "advertiser_id": "acme", "display_name": "Come back", "preset": "reactivation"}
    made = await admin.make("/v1/audiences", {**body, "brand": 'tea "no. 1"'})
    assert made["expression"] == 'segment("relation:dormant:tea \\"no. 1\\"")'
    assert "preset" not in made
    answer = await admin.call("POST", "/v1/audiences/back:refresh", None)
    assert (answer.status_code, answer.json()["state"]) == (202, "building")
    await admin.make("/v1/audiences", {**body, "id": "list", "members": members(1), "preset": None})
    assert (await admin.call("POST", "/v1/audiences/list:refresh", None)).status_code == 409
    assert (await admin.call("POST", "/v1/audiences/nobody:refresh", None)).status_code == 404


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"preset": "reactivation"}, "/brand"),
        ({"brand": "tea"}, "/brand"),
        ({"preset": "reactivation", "brand": "a\nb"}, "/brand"),
        ({"preset": "reactivation", "brand": ""}, "/brand"),
        ({"preset": "reactivation", "brand": "b" * 97}, "/brand"),
        ({"preset": "resurrection", "brand": "tea"}, "/preset"),
        ({"preset": "reactivation", "brand": "tea", "expression": "age > 1"}, "/preset"),
        ({"preset": "reactivation", "brand": "tea", "members": members(1)}, "/members"),
    ],
)
async def test_wrong_preset_names_its_field(
    admin: Api, tree: dict[str, object], changes: dict[str, object], pointer: str
) -> None:
    body = {"advertiser_id": "acme", "display_name": "Come back", **changes}
    answer = await admin.call("POST", "/v1/audiences", body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_deposit_is_named_by_its_idempotency_key(admin: Api, tree: dict[str, object]) -> None:
    path, body = "/v1/advertisers/acme/deposits", {"amount_micros": 5_000_000, "currency": "USD"}
    assert (await admin.call("POST", path, body)).json()["errors"][0]["pointer"] == "/header/idempotency-key"
    made = await admin.make(path, body, idempotency_key="d-1")
    assert made["deposit_id"] == "d-1"
    assert made["entry_time"] == "1970-01-01T00:00:00Z"
    assert await admin.make(path, body, idempotency_key="d-1") == made
    assert (await admin.call("POST", path, {**body, "amount_micros": 6}, idempotency_key="d-1")).status_code == 409
    assert (await admin.call("POST", path, {**body, "currency": "EUR"}, idempotency_key="d-2")).status_code == 400
    assert (await admin.call("POST", path, {**body, "amount_micros": 0}, idempotency_key="d-3")).status_code == 400
    balance = await admin.get("/v1/advertisers/acme/balance")
    assert balance["balances"] == [
        {"account": "advertiser:prepaid:acme", "currency": "USD", "balance_micros": 2, "balance_nanos": 2_500}
    ]


async def test_report_is_exact_in_json_and_csv(admin: Api, tree: dict[str, object], outsiders: Outsiders) -> None:
    query = "dimensions=campaign&dimensions=day&metrics=clicks&metrics=spend_nanos&metrics=roi"
    period = "start_time=2017-01-01T00:00:00Z&end_time=2018-01-01T00:00:00Z"
    report = await admin.get(f"/v1/reports?{query}&{period}&campaign_id=c1")
    row = {"campaign": "campaign-1", "day": "day-1", "currency": "USD"}
    assert report["rows"] == [{**row, "clicks": 3, "spend_nanos": 3_000_000_000, "roi": "2.3333"}]
    assert report["next_page_token"] == "next"
    asked = outsiders.attribution.queries[-1]
    assert asked.dimensions == ("campaign", "day")
    assert asked.campaign_ids == ("c1",)
    assert (asked.start_time_us, asked.end_time_us) == (1_483_228_800_000_000, 1_514_764_800_000_000)
    for answer in (
        await admin.call("GET", f"/v1/reports?{query}&format=csv"),
        await admin.call("GET", f"/v1/reports?{query}", accept="text/csv"),
    ):
        assert answer.headers["content-type"].startswith("text/csv")
        lines = ["campaign,day,currency,clicks,spend_nanos,roi", "campaign-1,day-1,USD,3,3000000000,2.3333", ""]
        assert answer.text.split("\r\n") == lines
        assert answer.headers["x-next-page-token"] == "next"


async def test_report_refuses_half_a_period_and_unknown_names(admin: Api) -> None:
    for query in (
        "start_time=2017-01-01T00:00:00Z",
        "start_time=2017-01-02T00:00:00Z&end_time=2017-01-01T00:00:00Z",
        "start_time=yesterday&end_time=2017-01-01T00:00:00Z",
        "dimensions=person",
        "metrics=secrets",
        "format=xml",
    ):
        answer = await admin.call("GET", f"/v1/reports?{query}")
        assert answer.status_code == 400, query
        assert answer.json()["errors"][0]["pointer"].startswith("/query/")


def test_roi_comes_from_integers_and_is_absent_without_spend() -> None:
    def row(value_micros: int, spend_nanos: int) -> ReportRow:
        return ReportRow((), "USD", 0, 0, 0, 0, 0, value_micros, spend_nanos, 0)

    def roi(value_micros: int, spend_nanos: int) -> object:
        return METRICS["roi"].of(row(value_micros, spend_nanos))

    assert roi(5, 0) is None
    assert roi(10**15, 1) == "1000000000000000000.0000"
    assert roi(1, 8_000) == "0.1250"
    assert roi(0, 5) == "0.0000"


async def test_ledger_and_attribution_are_shown(admin: Api, tree: dict[str, object]) -> None:
    entries = await admin.get("/v1/ledger/entries?campaign_id=c1")
    assert entries["next_page_token"] == ""
    books = await admin.get("/v1/ledger/reconciliation")
    assert books["currencies"][0]["difference_nanos"] == 0  # type: ignore[index]  # a list in JSON
    assert (await admin.call("GET", "/v1/orders/o1/attribution")).status_code == 400
    owner = await admin.key_for("advertiser", "acme")
    order = await owner.get("/v1/orders/o1/attribution")
    assert (order["commission_nanos"], order["commission_micros"]) == (1_500, 2)
    assert order["touches"][0]["touch_time"] == "1970-01-01T00:00:01Z"  # type: ignore[index]  # a list in JSON
    assert (await owner.call("GET", "/v1/orders/missing/attribution")).status_code == 404


async def test_replayed_request_writes_with_its_own_time(settings: Settings, outsiders: Outsiders) -> None:
    app = build(settings.model_copy(update={"clock": "replay"}), outside=outsiders.outside(), data=None)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client,
    ):
        admin = Api(client, ADMIN)
        await admin.make("/v1/advertisers", {"id": "acme", "display_name": "A", "currency": "USD"})
        made = await admin.make("/v1/campaigns", campaign(), bihuan_time="2017-08-15T00:00:00Z")
        assert made["create_time"] == "2017-08-15T00:00:00Z"
        assert outsiders.attribution.terms[-1].effective_time_us == 1_502_755_200_000_000
        answer = await admin.call("GET", "/v1/campaigns", bihuan_time="yesterday")
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["pointer"] == "/header/bihuan-time"


async def test_operations_answer_without_a_key(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    assert (await client.get("/readyz")).status_code == 200
    assert "bihuan_http_requests_total" in (await client.get("/metrics")).text
    assert (await client.get("/docs")).status_code == 200
    document = (await client.get("/openapi.json")).json()
    assert "422" not in str(document["paths"])


async def test_state_survives_a_restart(tmp_path: Path, outsiders: Outsiders) -> None:
    settings = Settings(state_dir=tmp_path, admin_key_sha256=hashlib.sha256(ADMIN.encode()).hexdigest())
    for attempt in range(2):
        app = build(settings, outside=outsiders.outside(), data=None)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client,
        ):
            admin = Api(client, ADMIN)
            if attempt == 0:
                await admin.make("/v1/advertisers", {"id": "acme", "display_name": "A", "currency": "USD"})
                await admin.make("/v1/campaigns", campaign(id="c1"))
            assert set(app.state.snapshots.current().campaigns) == {"c1"}
