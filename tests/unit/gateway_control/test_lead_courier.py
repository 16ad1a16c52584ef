"""Delivering leads over fakes of attribution and receivers, and the gateway's real catalogue."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from bihuan_gateway.control.control_store import SqlControlStore
from bihuan_gateway.control.lead_courier import AT_ONCE
from bihuan_gateway.control.lead_ports import Reply
from bihuan_gateway.control.tables import METADATA, SCHEMA
from bihuan_gateway.control.webhook_signature import WebhookSecrets, signature
from bihuan_shared.sql import Database
from tests.unit.gateway_control.lead_world import NOW_S, RULES, SECRETS, URL, Receivers, World, lead


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database = await Database.open(f"sqlite:///{tmp_path}/gateway.db", METADATA, schema=SCHEMA)
    world = World(SqlControlStore(database))
    await world.advertise("acme", RULES)
    yield world
    await database.close()


async def test_a_lead_is_delivered_signed_named_and_without_its_person(world: World) -> None:
    world.queue.sales = [lead(person=987_654_321)]
    await world.courier().visit("acme", RULES)
    ((url, body, headers),) = world.receivers.sent
    assert url == URL
    assert json.loads(body) == {
        "type": "lead",
        "lead_id": "lead-1",
        "revision": 1,
        "advertiser_id": "acme",
        "points": 25,
        "threshold": 20,
        "reasons": [{"action": "click", "count": 5, "points": 5}, {"action": "form", "count": 1, "points": 20}],
        "references": ["crm-1"],
        "campaign_id": "c1",
        "creative_id": "cr1",
        "first_time": "1970-01-01T00:00:01Z",
        "last_time": "1970-01-01T00:00:02Z",
    }
    assert "987654321" not in body.decode() + str(headers)
    assert headers["bihuan-delivery"] == "lead-1/1"
    assert headers["bihuan-signature"] == signature(SECRETS.of("acme"), NOW_S, body)
    assert (world.queue.acknowledged, world.counted) == ([("lead-1", 1)], ["delivered"])


async def test_what_was_not_taken_is_not_acknowledged_and_comes_again(world: World) -> None:
    world.queue.sales = [lead()]
    world.receivers.replies = [Reply("unreachable"), Reply("", 500)]
    courier = world.courier()
    for _ in range(2):
        await courier.visit("acme", RULES)
        assert world.queue.acknowledged == []
        await courier.visit("acme", RULES)
        world.now += 10
    assert len(world.receivers.sent) == 2
    await courier.visit("acme", RULES)
    assert world.queue.acknowledged == [("lead-1", 1)]
    assert len({headers["bihuan-delivery"] for _, _, headers in world.receivers.sent}) == 1
    assert world.counted == ["unreachable", "refused", "delivered"]


async def test_a_process_that_dies_before_acknowledging_delivers_again_under_the_same_name(world: World) -> None:
    world.queue.sales, world.queue.dies = [lead()], True
    with pytest.raises(KeyboardInterrupt):
        await world.courier().visit("acme", RULES)
    world.queue.dies = False
    await world.courier().visit("acme", RULES)
    names = [headers["bihuan-delivery"] for _, _, headers in world.receivers.sent]
    assert (names, world.queue.acknowledged) == (["lead-1/1"] * 2, [("lead-1", 1)])


async def test_few_deliveries_run_at_once_and_a_receiver_that_fails_is_spared_the_rest(world: World) -> None:
    world.queue.sales = [lead(f"lead-{number:03}") for number in range(50)]
    courier = world.courier()
    world.receivers.replies = [Reply("timeout")] * 50
    await courier.visit("acme", RULES)
    assert (len(world.receivers.sent), world.receivers.most) == (AT_ONCE, AT_ONCE)
    world.receivers.replies, world.now = [], 10.0
    await courier.visit("acme", RULES)
    assert len(world.queue.acknowledged) == 50


async def test_leads_that_a_receiver_does_not_take_hide_none_behind_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bihuan_gateway.control.lead_courier.PAGE", 2)
    world.queue.sales = [lead(f"lead-{number}") for number in range(5)]
    courier = world.courier()
    world.receivers.replies = [Reply("", 422)] * 2
    for _ in range(3):
        await courier.visit("acme", RULES)
    assert world.queue.acknowledged == [("lead-2", 1), ("lead-3", 1), ("lead-4", 1)]


async def test_without_a_secret_or_a_url_nothing_is_sent(world: World) -> None:
    world.queue.sales = [lead()]
    await world.courier(WebhookSecrets()).visit("acme", RULES)
    await world.courier().visit("acme", RULES.model_copy(update={"webhook_url": None}))
    assert (world.receivers.sent, world.queue.acknowledged) == ([], [])


async def test_only_advertisers_that_keep_leads_are_visited_and_a_slow_one_holds_up_nobody(world: World) -> None:
    await world.advertise("brew", RULES)
    await world.advertise("rival", None)
    world.queue.sales = [lead("lead-1"), lead("lead-2", advertiser="brew")]
    stuck = asyncio.Event()

    class Slow(Receivers):
        async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
            if b'"acme"' in body:
                await stuck.wait()
            return await super().post(url, body, headers)

    world.receivers = Slow()
    running = asyncio.create_task(world.courier().run())
    async with asyncio.timeout(5):
        while ("lead-2", 1) not in world.queue.acknowledged:
            await asyncio.sleep(0.001)
        assert ("lead-1", 1) not in world.queue.acknowledged
        stuck.set()
        while ("lead-1", 1) not in world.queue.acknowledged:
            await asyncio.sleep(0.001)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert "rival" not in world.queue.asked


async def test_while_another_gateway_has_the_turn_nobody_is_visited(world: World) -> None:
    world.turn.mine = False
    world.queue.sales = [lead()]
    running = asyncio.create_task(world.courier().run())
    await asyncio.sleep(0.05)
    assert world.queue.asked == []
    world.turn.mine = True
    async with asyncio.timeout(5):
        while not world.queue.acknowledged:
            await asyncio.sleep(0.001)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_while_attribution_is_away_the_courier_goes_on(world: World) -> None:
    world.queue.sales, world.queue.away = [lead()], True
    running = asyncio.create_task(world.courier().run())
    await asyncio.sleep(0.02)
    assert not running.done()
    world.queue.away = False
    async with asyncio.timeout(5):
        while not world.queue.acknowledged:
            await asyncio.sleep(0.001)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_new_revision_is_another_delivery(world: World) -> None:
    courier = world.courier()
    world.queue.sales = [lead()]
    await courier.visit("acme", RULES)
    world.queue.sales = [replace(lead(), revision=2, points=30)]
    await courier.visit("acme", RULES)
    assert [headers["bihuan-delivery"] for _, _, headers in world.receivers.sent] == ["lead-1/1", "lead-1/2"]
