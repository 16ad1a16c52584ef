"""Reports, comparisons and explanations through the gateway and a real attribution, with two tenants."""

import hashlib
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from bihuan.attribution.v1 import attribution_pb2 as pb
from bihuan.attribution.v1 import event_pb2
from bihuan.common.v1 import common_pb2
from bihuan_gateway.app import build
from bihuan_gateway.settings import Settings
from bihuan_shared.clock import DAY_US, MINUTE_US, SystemClock, format_rfc3339, to_timestamp
from bihuan_shared.tokens import TrackingToken
from tests.integration.attribution.test_service import CALL_S, settled, terms

if TYPE_CHECKING:
    from tests.integration.attribution.conftest import Served

ADMIN = {"authorization": "Bearer admin"}
SHOWN, CLICKED = common_pb2.EVENT_TYPE_IMPRESSION, common_pb2.EVENT_TYPE_CLICK


@pytest.fixture
async def http(served: "Served", tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(
        state_dir=tmp_path / "gateway",
        admin_key_sha256=hashlib.sha256(b"admin").hexdigest(),
        attribution_target=f"127.0.0.1:{served.server.port}",
        caller_secret=SecretStr("s"),
    )
    app = build(settings, data=None)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client,
    ):
        yield client


def touched(served: "Served", advertiser: str, campaign: str, person: int, *kinds: int) -> list[event_pb2.Event]:
    now_us = SystemClock().now_us()
    name = f"{campaign}-{person}"
    facts = TrackingToken(
        name, f"d-{name}", "cr", "pl", campaign, advertiser, "ag", 1, "cpc", 500_000, "CNY", person,
        now_us, now_us + DAY_US, 0, f"r-{name}",
    )  # fmt: skip
    sealed = served.keys.seal(facts, name.encode().rjust(12, b"0"))
    return [event_pb2.Event(event_type=kind, token=sealed) for kind in kinds]  # type: ignore[arg-type]


def ordered(advertiser: str, person: int) -> event_pb2.Event:
    event = event_pb2.Event(event_type=common_pb2.EVENT_TYPE_ORDER, event_id=f"order-{advertiser}")
    event.order.order_id, event.order.advertiser_id, event.order.currency = "o1", advertiser, "CNY"
    event.order.order_time.CopyFrom(to_timestamp(SystemClock().now_us() + MINUTE_US))
    event.order.status = event_pb2.ORDER_STATUS_PAID
    event.order.items.add(item_id="i1", quantity=1, paid_micros=30_000_000)
    event.person.person_id = person
    event.consent.purposes.append(common_pb2.PURPOSE_MEASUREMENT)
    return event


async def fill(served: "Served", http: httpx.AsyncClient) -> dict[str, dict[str, str]]:
    """Sixty persons see a campaign of each of two tenants, one clicks twice and buys; keys by tenant."""
    keys: dict[str, dict[str, str]] = {}
    for index, advertiser in enumerate(("acme", "rival")):
        made = {"id": advertiser, "display_name": advertiser, "currency": "CNY"}
        assert (await http.post("/v1/advertisers", json=made, headers=ADMIN)).status_code == 201
        asked = {"role": "advertiser", "advertiser_id": advertiser}
        key = (await http.post("/v1/api-keys", json=asked, headers=ADMIN)).json()["secret"]
        keys[advertiser] = {"authorization": f"Bearer {key}"}
        deposit = {"currency": "CNY", "amount_micros": 1_000_000_000}
        path, headers = f"/v1/advertisers/{advertiser}/deposits", {**ADMIN, "idempotency-key": advertiser}
        assert (await http.post(path, json=deposit, headers=headers)).status_code in {200, 201}
        campaigns = [terms(f"{advertiser}-{name}") for name in ("a", "b")]
        for one in campaigns:
            one.advertiser_id = advertiser
        await served.stub.PutTerms(pb.PutTermsRequest(terms=campaigns), timeout=CALL_S)
        events = [
            event
            for person in range(1, 61)
            for event in touched(served, advertiser, f"{advertiser}-a", 100 * index + person, SHOWN)
        ]
        events += touched(served, advertiser, f"{advertiser}-a", 100 * index + 1, CLICKED)
        events += touched(served, advertiser, f"{advertiser}-b", 100 * index + 1, SHOWN, CLICKED)
        events.append(ordered(advertiser, 100 * index + 1))
        answer = await served.stub.RecordEvents(pb.RecordEventsRequest(events=events), timeout=CALL_S)
        assert {one.outcome for one in answer.results} == {event_pb2.EVENT_OUTCOME_ACCEPTED}
    await settled(served, "reach")
    return keys


async def test_each_tenant_sees_its_own_figures_in_every_format(served: "Served", http: httpx.AsyncClient) -> None:
    keys = await fill(served, http)
    query = "/v1/reports?metrics=impressions&metrics=clicks&metrics=reach&metrics=frequency&metrics=cpc"
    own = (await http.get(query, headers=keys["rival"])).json()["rows"]
    assert [(row["campaign"], row["impressions"], row["reach"], row["frequency"]) for row in own] == [
        ("rival-a", 60, 60, "1.0000"), ("rival-b", 1, None, None)
    ]  # fmt: skip
    assert own[0]["cpc"] == "0.500000"
    everyone = (await http.get(query + "&dimensions=advertiser", headers=ADMIN)).json()["rows"]
    assert [(row["advertiser"], row["impressions"], row["reach"]) for row in everyone] == [
        ("acme", 61, 60), ("rival", 61, 60)
    ]  # fmt: skip
    answer = await http.get(query + "&format=parquet", headers=keys["acme"])
    table = pq.read_table(io.BytesIO(answer.content))
    assert table.column("campaign").to_pylist() == ["acme-a", "acme-b"]
    text = (await http.get(query + "&format=csv", headers=keys["acme"])).text
    assert text.split("\r\n")[1] == "acme-a,CNY,60,1,60,1.0000,0.500000"
    stranger = await http.get("/v1/reports?advertiser_id=rival", headers=keys["acme"])
    assert stranger.status_code == 404


async def test_orders_are_explained_and_compared_for_their_tenant(served: "Served", http: httpx.AsyncClient) -> None:
    keys = await fill(served, http)
    order = (await http.get("/v1/orders/o1/attribution", headers=keys["acme"])).json()
    assert order["advertiser_id"] == "acme"
    for model in ("linear", "markov", "last_click"):
        assert sum(touch["credits"][model] for touch in order["touches"]) == 1_000_000
    assert order["weights_time"] is not None
    assert len(order["history"]) == 1
    now_us = SystemClock().now_us()
    span = f"start_time={format_rfc3339(now_us - DAY_US)}&end_time={format_rfc3339(now_us + DAY_US)}"
    compared = (await http.get(f"/v1/reports/models?{span}&models=linear", headers=keys["acme"])).json()
    assert (compared["order_count"], compared["unattributed_count"]) == (1, 0)
    assert [(row["campaign"], row["credited_orders"]) for row in compared["rows"]] == [
        ("acme-a", "0.500000"), ("acme-b", "0.500000")
    ]  # fmt: skip
    assert sum(row["credited_value_micros"] for row in compared["rows"]) == 30_000_000
    long = f"start_time={format_rfc3339(now_us - 93 * DAY_US)}&end_time={format_rfc3339(now_us)}"
    assert (await http.get(f"/v1/reports/models?{long}", headers=keys["acme"])).status_code == 400


async def test_figures_are_verified_over_http(served: "Served", http: httpx.AsyncClient) -> None:
    await fill(served, http)
    found = (await http.get("/v1/reports/verification", headers=ADMIN)).json()
    assert found["differences"] == []
    assert found["position"] == 128
