"""What the gateway tells about itself: its OpenAPI document, the page that shows it, and the names of its routes."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import cast

import httpx
import jsonschema_rs
import pytest
from fastapi import FastAPI
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import SecretStr

from bihuan_gateway.app import build
from bihuan_gateway.routes.docs import ASSETS
from bihuan_gateway.settings import Settings
from bihuan_shared import telemetry
from bihuan_shared.sql import Database
from bihuan_shared.tokens import generate_key
from tests.unit.gateway_control.outsiders import ADMIN, Outsiders

Json = dict[str, object]


@pytest.fixture
async def whole(settings: Settings, outsiders: Outsiders) -> AsyncIterator[FastAPI]:
    """Both planes in one application."""
    keyed = settings.model_copy(
        update={"token_keys": SecretStr(f"k1:{generate_key()}"), "public_url": "http://gateway"}
    )
    application = build(keyed, outside=outsiders.outside())
    async with application.router.lifespan_context(application):
        yield application


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    telemetry.configure("gateway", exporter=exporter)
    yield exporter
    telemetry.shutdown()


async def test_every_route_is_named_by_its_template(whole: FastAPI, spans: InMemorySpanExporter) -> None:
    operations = [
        (method.upper(), path)
        for path, item in cast("dict[str, Json]", whole.openapi()["paths"]).items()
        for method in item
    ]
    operations += [("GET", path) for path in ("/docs", "/docs/assets/{name}", "/openapi.json")]
    assert {("POST", "/v1/decisions"), ("GET", "/t/p/{link}"), ("GET", "/v1/campaigns/{resource_id}")} <= set(
        operations
    )
    headers = {"authorization": f"Bearer {ADMIN}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(whole), base_url="http://gateway") as client:
        for method, path in operations:
            spans.clear()
            await client.request(method, re.sub(r"\{\w+\}", "x", path), headers=headers)
            (served,) = [span for span in spans.get_finished_spans() if span.kind.name == "SERVER"]
            assert served.name == f"{method} {path}"
            assert dict(served.attributes or {})["http.route"] == path
        spans.clear()
        await client.get("/nowhere/1234", headers=headers)
        assert spans.get_finished_spans()[-1].name == "GET unmatched"


async def test_both_planes_share_one_open_database(
    settings: Settings, outsiders: Outsiders, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    open_database = Database.open

    async def counting(url: str, *rest: object, **named: object) -> Database:
        opened.append(url)
        return await open_database(url, *rest, **named)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(Database, "open", counting)
    keyed = settings.model_copy(update={"token_keys": SecretStr(f"k1:{generate_key()}")})
    application = build(keyed, outside=outsiders.outside())
    async with application.router.lifespan_context(application):
        assert len(opened) == 1


async def test_the_page_of_the_api_loads_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert sorted(loaded) == sorted(f"/docs/assets/{name}" for name in ASSETS)
    assert "://" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


async def test_what_the_page_loads_is_here(client: httpx.AsyncClient) -> None:
    for name, media_type in ASSETS.items():
        answer = await client.get(f"/docs/assets/{name}")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(media_type)
        assert len(answer.content) > 100
    assert (await client.get("/docs/assets/..%2fcore.py")).status_code == 404


@pytest.mark.parametrize(
    ("kind", "body", "valid"),
    [
        ("campaigns", {}, True),
        ("campaigns", {"display_name": "x", "version": 3}, True),
        ("campaigns", {"pricing": {"bid_micros": 5}, "budget": None, "schedule": {"end_time": None}}, True),
        ("campaigns", {"frequency_caps": [{"level": "campaign"}]}, False),
        ("campaigns", {"pricing": {"bid": 5}}, False),
        ("campaigns", {"display_name": None}, False),
        ("campaigns", {"colour": "red"}, False),
        ("ad-groups", {"audience_ids": {"include": ["a"]}}, True),
        ("creatives", {"assets": {"anything": 1}, "review": "approved"}, True),
        ("placements", {"width": -1}, False),
        ("placements", {"revenue_share_ppm": None}, True),
        ("advertisers", {"credit_limit_micros": 5}, True),
        ("advertisers", {"credit_limit_micros": -5}, False),
        ("publishers", {"revenue_share_ppm": 1_000_001}, False),
        ("campaigns", {"promoted_items": ["tea"], "pricing": {"commission_rates": [{"rate_ppm": 5}]}}, True),
        ("campaigns", {"shop_id": ""}, False),
    ],
)
async def test_the_document_says_what_a_patch_may_hold(app: FastAPI, kind: str, body: Json, *, valid: bool) -> None:
    document = app.openapi()
    operation = document["paths"][f"/v1/{kind}/{{resource_id}}"]["patch"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    validator = jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]})
    assert validator.is_valid(body) is valid
