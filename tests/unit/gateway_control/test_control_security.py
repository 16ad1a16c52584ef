"""Who may do what, and what malformed or hostile input meets."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from bihuan_gateway.problem import MEDIA_TYPE
from bihuan_gateway.settings import Settings
from tests.unit.gateway_control.outsiders import ADMIN, CPS, Api, Outsiders, campaign

OPEN = {"/healthz", "/readyz", "/metrics"}


def is_problem(answer: httpx.Response, status: int) -> dict[str, object]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    document = answer.json()
    assert isinstance(document, dict)
    assert document["status"] == status
    assert set(document) == {"type", "title", "status", "detail", "errors"}
    return document


def operations(app: FastAPI) -> list[tuple[str, str]]:
    paths = app.openapi()["paths"]
    return [(method.upper(), path) for path, item in paths.items() for method in item]


async def test_every_route_but_the_open_ones_needs_a_key(app: FastAPI, client: httpx.AsyncClient) -> None:
    for method, path in operations(app):
        if path in OPEN:
            continue
        for secret in ("", "guess", "x" * 10_000):
            answer = await Api(client, secret).call(method, path.replace("{", "").replace("}", ""), raw="{")
            is_problem(answer, 401)
            assert answer.headers["www-authenticate"] == "Bearer"


async def test_another_tenants_things_do_not_exist(app: FastAPI, admin: Api, tree: dict[str, object]) -> None:
    await admin.make("/v1/advertisers", {"id": "rival", "display_name": "R", "currency": "USD"})
    await admin.make("/v1/audiences", {"id": "a1", "advertiser_id": "acme", "display_name": "A", "members": [one("x")]})
    await promotion(admin)
    rival = await admin.key_for("advertiser", "rival")
    for method, path, body in (
        ("GET", "/v1/advertisers/acme", None),
        ("GET", "/v1/advertisers/acme/balance", None),
        ("GET", "/v1/campaigns/c1", None),
        ("PATCH", "/v1/campaigns/c1", {"status": "paused"}),
        ("POST", "/v1/campaigns", campaign("acme")),
        ("GET", "/v1/campaigns?advertiser_id=acme", None),
        ("GET", "/v1/ad-groups/g1", None),
        ("PATCH", "/v1/ad-groups/g1", {"status": "paused"}),
        ("POST", "/v1/ad-groups", {"campaign_id": "c1", "display_name": "G"}),
        ("GET", "/v1/ad-groups?advertiser_id=acme", None),
        ("GET", "/v1/creatives/k1", None),
        ("PATCH", "/v1/creatives/k1", {"status": "paused"}),
        ("POST", "/v1/creatives", {"ad_group_id": "g1", "landing_url": "https://a.example/"}),
        ("GET", "/v1/creatives?advertiser_id=acme", None),
        ("GET", "/v1/audiences/a1", None),
        ("POST", "/v1/audiences", {"advertiser_id": "acme", "display_name": "A", "members": [one("y")]}),
        ("GET", "/v1/audiences?advertiser_id=acme", None),
        ("GET", "/v1/reports?advertiser_id=acme", None),
        ("GET", "/v1/reports?campaign_id=c1", None),
        ("GET", "/v1/ledger/entries?advertiser_id=acme", None),
        ("GET", "/v1/ledger/entries?campaign_id=c1", None),
        ("GET", "/v1/orders/o1/attribution?advertiser_id=acme", None),
        ("POST", "/v1/promoters/ann/links", {"campaign_id": "c9", "creative_id": "k9"}),
    ):
        is_problem(await rival.call(method, path, body), 404)
    for path, name in (("campaigns", "campaigns"), ("ad-groups", "ad_groups"), ("audiences", "audiences")):
        assert (await rival.get(f"/v1/{path}"))[name] == []
    assert [one["id"] for one in (await rival.call("GET", "/v1/advertisers")).json()["advertisers"]] == ["rival"]


async def test_another_tenants_audience_cannot_be_targeted(admin: Api, tree: dict[str, object]) -> None:
    await admin.make("/v1/advertisers", {"id": "rival", "display_name": "R", "currency": "USD"})
    await admin.make("/v1/audiences", {"id": "a1", "advertiser_id": "acme", "display_name": "A", "members": [one("x")]})
    rival = await admin.key_for("advertiser", "rival")
    await rival.make("/v1/campaigns", campaign("rival", id="rc"))
    for changes in ({"audience_ids": {"include": ["a1"]}}, {"targeting": 'audience("a1")'}):
        answer = await rival.call("POST", "/v1/ad-groups", {"campaign_id": "rc", "display_name": "G", **changes})
        is_problem(answer, 400)
    body = {"advertiser_id": "rival", "display_name": "A", "expression": 'audience("a1")'}
    is_problem(await rival.call("POST", "/v1/audiences", body), 400)


async def test_report_of_a_tenant_is_held_to_it(admin: Api, tree: dict[str, object], outsiders: Outsiders) -> None:
    owner = await admin.key_for("advertiser", "acme")
    await owner.get("/v1/reports")
    assert outsiders.attribution.queries[-1].advertiser_id == "acme"
    await admin.get("/v1/reports")
    assert outsiders.attribution.queries[-1].advertiser_id is None


async def test_analyst_reads_everything_and_writes_nothing(admin: Api, tree: dict[str, object]) -> None:
    await promotion(admin)
    analyst = await admin.key_for("analyst")
    assert (await analyst.get("/v1/campaigns/c1"))["id"] == "c1"
    for method, path, body in writes():
        is_problem(await analyst.call(method, path, body, idempotency_key="k"), 403)


async def test_advertiser_cannot_do_what_is_the_platforms(admin: Api, tree: dict[str, object]) -> None:
    owner = await admin.key_for("advertiser", "acme")
    for path, body in (
        ("/v1/advertisers", {"display_name": "X", "currency": "USD"}),
        ("/v1/placements", {}),
        ("/v1/publishers", {"display_name": "P"}),
        ("/v1/promoters", {"display_name": "P"}),
        ("/v1/api-keys", {"role": "admin"}),
        ("/v1/advertisers/acme/deposits", {"amount_micros": 5, "currency": "USD"}),
        ("/v1/invalid-traffic", {"reason": "click_farm", "events": [{"event_type": "click", "event_id": "t1"}]}),
    ):
        is_problem(await owner.call("POST", path, body, idempotency_key="k"), 403)
    await promotion(admin)
    for path, changes in (
        ("/v1/placements/p1", {"floor_micros": 0}),
        ("/v1/placements/p1", {"revenue_share_ppm": 1}),
        ("/v1/advertisers/acme", {"credit_limit_micros": 10**15}),
        ("/v1/publishers/pub", {"revenue_share_ppm": 1}),
    ):
        is_problem(await owner.call("PATCH", path, changes), 403)
    analyst = await admin.key_for("analyst")
    for path in ("/v1/promoters/ann/balance", "/v1/publishers/pub/balance", "/v1/ledger/reconciliation"):
        is_problem(await owner.call("GET", path), 403)
        is_problem(await analyst.call("GET", path), 403)


async def test_fields_that_are_not_the_callers_are_named_and_refused(admin: Api, tree: dict[str, object]) -> None:
    await promotion(admin)
    for method, path, body in writes():
        for field in ("version", "terms_acked_version", "tenant", "price", "create_time", "a/b~c"):
            if method == "PATCH" and field == "version":
                continue
            answer = await admin.call(method, path, {**body, field: 5}, idempotency_key="k")
            document = is_problem(answer, 400)
            pointers = [error["pointer"] for error in document["errors"]]  # type: ignore[attr-defined]  # JSON
            assert "/" + field.replace("~", "~0").replace("/", "~1") in pointers


async def test_hostile_texts_are_just_texts(admin: Api, tree: dict[str, object]) -> None:
    hostile = "'; DROP TABLE campaigns; -- %s :x {0} \u202e"
    made = await admin.make("/v1/campaigns", campaign(display_name=hostile))
    assert (await admin.get(f"/v1/campaigns/{made['id']}"))["display_name"] == hostile
    for path in (
        "/v1/campaigns/c1'%20OR%201=1",
        "/v1/campaigns/%00",
        "/v1/campaigns/..%2f..%2fetc",
        "/v1/campaigns/C1",
    ):
        is_problem(await admin.call("GET", path), 404)
    for query in ("page_token=%27", "page_token=AAAA", "page_size=0", "page_size=1e3", "advertiser_id=%27%3B"):
        document = is_problem(await admin.call("GET", f"/v1/campaigns?{query}"), 400)
        assert str(document["errors"]).count("/query/") == 1


@pytest.mark.parametrize(
    "raw",
    [
        '{"display_name": NaN}',
        '{"display_name": -Infinity}',
        '{"a": 1e400}',
        '{"a": -1e400}',
        '{"a": ' + "9" * 5000 + "}",
        '{"a": 99999999999999999999}',
        '{"a": 1' + "0" * 5000 + ".5}",
        "[" * 100_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        '{"display_name": "a", "display_name": "b"}',
        '{"display_name": "\\ud800"}',
        '{"display_name": "\\u0000"}',
        b'{"display_name": "\xff"}',
        "{",
        "",
        "null",
        "[]",
        '"text"',
        "5",
    ],
)
async def test_what_is_no_plain_json_object_is_refused(admin: Api, tree: dict[str, object], raw: str | bytes) -> None:
    for method, path in (("POST", "/v1/campaigns"), ("PATCH", "/v1/campaigns/c1"), ("POST", "/v1/audiences")):
        is_problem(await admin.call(method, path, raw=raw), 400)


async def test_body_without_json_type_is_refused(admin: Api) -> None:
    answer = await admin.call("POST", "/v1/campaigns", raw=json.dumps(campaign()), content_type="text/plain")
    is_problem(answer, 400)


async def test_deep_but_allowed_assets_and_too_deep_ones(admin: Api, tree: dict[str, object]) -> None:
    def nested(depth: int) -> object:
        return {"x": nested(depth - 1)} if depth else 1

    body = {"ad_group_id": "g1", "landing_url": "https://a.example/", "assets": nested(20)}
    await admin.make("/v1/creatives", body)
    is_problem(await admin.call("POST", "/v1/creatives", {**body, "assets": nested(40)}), 400)
    is_problem(await admin.call("POST", "/v1/creatives", {**body, "assets": {"x": "y" * 20_000}}), 400)


async def test_body_that_is_too_large_is_refused(admin: Api, settings: Settings) -> None:
    is_problem(await admin.call("POST", "/v1/campaigns", raw=b" " * (settings.max_body_bytes + 1)), 413)

    async def stream() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b" " * settings.max_body_bytes

    answer = await admin.client.post("/v1/campaigns", content=stream(), headers=admin.headers)
    is_problem(answer, 413)


async def test_unknown_address_and_method_are_problems(admin: Api) -> None:
    is_problem(await admin.call("GET", "/v1/nothing"), 404)
    is_problem(await admin.call("DELETE", "/v1/campaigns"), 405)


async def test_replay_time_is_refused_on_real_time(admin: Api) -> None:
    document = is_problem(await admin.call("GET", "/v1/campaigns", bihuan_time="2017-08-15T00:00:00Z"), 400)
    assert document["type"] == "urn:bihuan:REPLAY_TIME_REFUSED"


async def test_what_fails_inside_tells_nothing(
    app: FastAPI, admin: Api, monkeypatch: pytest.MonkeyPatch, outsiders: Outsiders
) -> None:
    async def broken() -> None:
        raise RuntimeError("secret internals")

    monkeypatch.setattr(type(outsiders.attribution), "reconcile", lambda _: broken())
    answer = await admin.call("GET", "/v1/ledger/reconciliation")
    is_problem(answer, 500)
    assert "secret" not in answer.text


async def test_secret_of_a_key_is_shown_once_and_works(admin: Api, client: httpx.AsyncClient) -> None:
    made = await admin.make("/v1/api-keys", {"role": "analyst"}, idempotency_key="once")
    assert (await Api(client, str(made["secret"])).call("GET", "/v1/campaigns")).status_code == 200
    is_problem(await admin.call("POST", "/v1/api-keys", {"role": "analyst"}, idempotency_key="once"), 409)
    is_problem(await admin.call("POST", "/v1/api-keys", {"role": "analyst", "advertiser_id": "x"}), 400)
    is_problem(await admin.call("POST", "/v1/api-keys", {"role": "advertiser"}), 400)


async def test_idempotency_key_must_be_plain(admin: Api, tree: dict[str, object]) -> None:
    for key in ("a" * 129, "has space"):
        document = is_problem(await admin.call("POST", "/v1/campaigns", campaign(), idempotency_key=key), 400)
        assert "idempotency-key" in str(document["errors"])


async def test_contracts_later_parts_say_not_yet(admin: Api) -> None:
    for method, path in (("GET", "/v1/experiments"), ("POST", "/openrtb2/bid")):
        assert is_problem(await admin.call(method, path), 501)["type"] == "urn:bihuan:NOT_YET"


async def test_access_log_holds_no_query_and_no_key(
    admin: Api, tree: dict[str, object], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    await admin.call("GET", "/v1/campaigns?advertiser_id=canary")
    written = capsys.readouterr()
    text = caplog.text + written.out + written.err
    assert "/v1/campaigns" in text
    assert "canary" not in text
    assert ADMIN not in text


def one(value: str) -> dict[str, str]:
    return {"namespace": "cookie", "value": value}


def writes() -> list[tuple[str, str, dict[str, object]]]:
    return [
        ("POST", "/v1/advertisers", {"display_name": "X", "currency": "USD"}),
        ("POST", "/v1/advertisers/acme/deposits", {"amount_micros": 5, "currency": "USD"}),
        ("POST", "/v1/invalid-traffic", {"reason": "farm", "events": [{"event_type": "click", "event_id": "t1"}]}),
        ("POST", "/v1/campaigns", campaign()),
        ("PATCH", "/v1/campaigns/c1", {"display_name": "Y"}),
        ("POST", "/v1/ad-groups", {"campaign_id": "c1", "display_name": "G"}),
        ("PATCH", "/v1/ad-groups/g1", {"display_name": "Y"}),
        ("POST", "/v1/creatives", {"ad_group_id": "g1", "landing_url": "https://a.example/"}),
        ("PATCH", "/v1/creatives/k1", {"display_name": "Y"}),
        ("POST", "/v1/placements", {}),
        ("PATCH", "/v1/placements/p1", {"display_name": "Y"}),
        ("POST", "/v1/audiences", {"advertiser_id": "acme", "display_name": "A", "members": [one("m")]}),
        ("POST", "/v1/publishers", {"display_name": "P"}),
        ("POST", "/v1/promoters", {"display_name": "P"}),
        ("POST", "/v1/api-keys", {"role": "analyst"}),
        ("PATCH", "/v1/advertisers/acme", {"credit_limit_micros": 5}),
        ("PATCH", "/v1/publishers/pub", {"revenue_share_ppm": 5}),
        ("POST", "/v1/promoters/ann/links", {"campaign_id": "c9", "creative_id": "k9"}),
    ]


async def promotion(admin: Api) -> None:
    """A publisher `pub`, a promoter `ann`, and a CPS campaign `c9` of `acme` with a creative `k9`."""
    await admin.make("/v1/publishers", {"id": "pub", "display_name": "P", "revenue_share_ppm": 500_000})
    await admin.make("/v1/promoters", {"id": "ann", "display_name": "Ann"})
    await admin.make("/v1/campaigns", campaign(id="c9", pricing=CPS))
    await admin.make("/v1/ad-groups", {"id": "g9", "campaign_id": "c9", "display_name": "G"})
    await admin.make("/v1/creatives", {"id": "k9", "ad_group_id": "g9", "landing_url": "https://shop.example/"})
