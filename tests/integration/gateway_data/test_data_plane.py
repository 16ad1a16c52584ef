"""The data plane over real connections: merged calls, the spool, the lake, the store."""

import asyncio
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from bihuan.profile.v1 import profile_pb2
from bihuan_gateway.data.decision_records import SCHEMA
from bihuan_shared.lake import open_lake

if TYPE_CHECKING:
    from tests.integration.gateway_data.conftest import Plane

CONSENT = {"purposes": ["TARGETING", "MEASUREMENT"], "data_classes": ["REGISTRATION"]}


def ask(number: int, namespace: str = "cookie") -> dict[str, object]:
    return {
        "request_id": f"r{number}",
        "placements": [{"placement_id": "home"}],
        "identifiers": [{"namespace": namespace, "value": f"c{number}"}],
        "consent": CONSENT,
    }


async def test_concurrent_decisions_share_calls_and_each_gets_its_own_answer(plane: "Plane") -> None:
    plane.world.advertise("women", targeting='gender == "f"', audiences=("fans",))
    plane.world.advertise("clicks", "cpc", 1_000)
    answers = await asyncio.gather(*(plane.client.post("/v1/decisions", json=ask(number)) for number in range(60)))
    decisions = [answer.json() for answer in answers]
    assert {decision["placements"][0]["creative"]["campaign_id"] for decision in decisions} == {"women"}
    assert {decision["model_version"] for decision in decisions} == {"m7"}
    assert not any(decision["degraded"] for decision in decisions)
    assert len({decision["placements"][0]["decision_id"] for decision in decisions}) == 60
    batches = plane.backend.services.batches
    for method in ("BatchResolve", "BatchGetProfiles", "BatchScore"):
        assert sum(batches[method]) == 60
        assert len(batches[method]) < 30
    again = await plane.client.post("/v1/decisions", json=ask(7))
    assert again.content == answers[7].content


async def test_one_bad_item_does_not_spoil_the_calls_of_others(plane: "Plane") -> None:
    plane.world.advertise("tea")
    plane.backend.services.bad_namespace = "bad"
    answers = await asyncio.gather(
        *(
            plane.client.post("/v1/decisions", json=ask(number, "bad" if number == 3 else "cookie"))
            for number in range(8)
        )
    )
    assert [answer.json()["degraded"] for answer in answers] == [["identity"] if n == 3 else [] for n in range(8)]


async def test_decisions_reach_the_lake_with_the_profile_as_it_was_served(plane: "Plane") -> None:
    plane.world.advertise("tea")
    await plane.client.post("/v1/decisions", json=ask(1))
    await plane.plane.close()
    (file,) = open_lake(plane.settings.lake_url).list("decisions")
    table = pq.read_table(f"{plane.settings.lake_url}/{file}", partitioning=None)
    assert table.schema.names == SCHEMA.names
    (row,) = table.to_pylist()
    assert profile_pb2.Profile.FromString(row["profile"]).attributes[0].text == "f"
    assert (row["winner_creative_id"], row["person_id"], row["candidates"][0]["tags"]) == (
        "tea-0", 1, ["category:tea"],
    )  # fmt: skip


async def test_beacons_of_an_outage_are_handed_over_once_attribution_is_back(plane: "Plane") -> None:
    plane.world.advertise("tea")
    decision = (await plane.client.post("/v1/decisions", json=ask(1))).json()["placements"][0]
    await plane.backend.stop()
    for name in ("impression", "click", "click"):
        response = await plane.client.get(decision[f"{name}_url"])
        assert response.status_code == (200 if name == "impression" else 302)
    assert plane.backend.services.events == {}
    await plane.backend.start()
    drain = asyncio.ensure_future(dict(plane.plane.background)["spool"]())
    async with asyncio.timeout(20):
        while len(plane.backend.services.events) < 2:
            await asyncio.sleep(0.01)
    drain.cancel()
    await asyncio.gather(drain, return_exceptions=True)
    receive_times = {event.receive_time.ToMicroseconds() for event in plane.backend.services.events.values()}
    assert receive_times == {plane.world.clock.now_us()}


async def test_without_attribution_an_order_is_to_be_sent_again(plane: "Plane") -> None:
    order = {
        "type": "order",
        "order_id": "o1",
        "advertiser_id": "acme",
        "order_time": "2023-11-14T22:00:00Z",
        "currency": "USD",
        "items": [{"item_id": "i", "paid_micros": 1}],
    }
    assert (await plane.client.post("/v1/orders", json=order)).json()["outcome"] == "accepted"
    assert (await plane.client.post("/v1/orders", json=order)).json()["outcome"] == "duplicate"
    await plane.backend.stop()
    assert (await plane.client.post("/v1/orders", json=order)).status_code == 503


@pytest.mark.parametrize("count", [1000])
async def test_a_batch_of_events_arrives_whole(plane: "Plane", count: int) -> None:
    events = [
        {
            "event_id": f"e{number}",
            "identifiers": [{"namespace": "login", "value": f"p{number % 50}"}],
            "behaviour": "order",
            "tags": ["category:tea", "coupon:used"],
            "consent": CONSENT,
        }
        for number in range(count)
    ]
    response = await plane.client.post("/v1/events", json={"events": events})
    assert [result["outcome"] for result in response.json()["events"]] == ["accepted"] * count
    assert len({event.person.person_id for event in plane.backend.services.behaviours}) == 50
    assert plane.backend.services.batches["BatchResolve"] == [50]
