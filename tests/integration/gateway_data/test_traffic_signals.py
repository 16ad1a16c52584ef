"""Signals of traffic survive an outage in the spool, and neither an address nor a user agent leaves the request."""

import asyncio
import ipaddress
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bihuan_gateway.app import edge_rules
from bihuan_gateway.auth import Authenticator
from bihuan_gateway.edge import Edge
from bihuan_shared import telemetry

if TYPE_CHECKING:
    from tests.integration.gateway_data.conftest import Plane

CANARY = "CanaryBrowser-5f3a9b Googlebot/2.1"
ADDRESS = "93.184.215.237"
CONSENT = {"purposes": ["TARGETING", "MEASUREMENT"], "data_classes": ["REGISTRATION"]}


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    telemetry.configure("test", exporter=exporter)
    yield exporter
    telemetry.shutdown()


async def shown(plane: "Plane") -> str:
    plane.world.advertise("tea")
    body = {
        "request_id": "r",
        "placements": [{"placement_id": "home"}],
        "identifiers": [{"namespace": "cookie", "value": "c"}],
        "consent": CONSENT,
    }
    url = (await plane.client.post("/v1/decisions", json=body)).json()["placements"][0]["impression_url"]
    return str(url)


def no_keys() -> Authenticator:
    raise AssertionError("tracking needs no key")


async def test_signals_survive_an_outage_and_the_raw_values_stay_nowhere(
    plane: "Plane",
    spans: InMemorySpanExporter,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    url = await shown(plane)
    edge = Edge(FastAPI(routes=[*plane.plane.routes]), rules=edge_rules(plane.settings), authenticator=no_keys)
    await plane.backend.stop()
    transport = httpx.ASGITransport(app=edge, client=(ADDRESS, 4711))
    async with httpx.AsyncClient(transport=transport, base_url="https://ads.example") as browser:
        answer = await browser.get(url, headers={"user-agent": CANARY, "x-forwarded-for": ADDRESS})
    assert answer.status_code == 200
    held = [path.read_bytes() for path in plane.settings.state_dir.rglob("*") if path.is_file()]
    assert any(url.rpartition("/")[2].encode() in content for content in held), "the spool keeps the beacon"
    await plane.backend.start()
    drain = asyncio.ensure_future(dict(plane.plane.background)["spool"]())
    async with asyncio.timeout(20):
        while not plane.backend.services.events:
            await asyncio.sleep(0.01)
    drain.cancel()
    await asyncio.gather(drain, return_exceptions=True)
    (event,) = plane.backend.services.events.values()
    assert event.signals.known_bot
    assert event.signals.address_hash > 0
    written = capsys.readouterr()
    said = [caplog.text, written.out, written.err, *(span.to_json() for span in spans.get_finished_spans())]
    everything = [*held, event.SerializeToString(), *(text.encode() for text in said)]
    packed = ipaddress.ip_address(ADDRESS).packed
    for secret in (b"CanaryBrowser", ADDRESS.encode(), packed, packed[::-1]):
        assert not any(secret in content for content in everything)
    assert any(b"/t/i/{token}" in content for content in everything)
