"""Lists of those who are nurtured, over fakes of attribution and scoring and the gateway's real catalogue."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bihuan_gateway.control.control_store import SqlControlStore
from bihuan_gateway.control.specs import AudienceSpec, Kind
from bihuan_gateway.control.tables import METADATA, SCHEMA
from bihuan_shared.sql import Database
from tests.unit.gateway_control.lead_world import RULES, World, lead


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database = await Database.open(f"sqlite:///{tmp_path}/gateway.db", METADATA, schema=SCHEMA)
    world = World(SqlControlStore(database))
    await world.advertise("acme", RULES)
    yield world
    await database.close()


NURTURING = RULES.model_copy(update={"nurture_audience": "warm"})


async def test_leads_below_the_threshold_come_into_a_list_that_is_made_for_them(world: World) -> None:
    world.queue.nurtured = [lead("lead-1", person=7), lead("lead-2", person=9), lead("lead-3", person=0)]
    await world.courier().visit("acme", NURTURING)
    assert world.lists.members == {"warm": {7, 9}}
    made = await world.store.find(Kind.AUDIENCES, "warm")
    assert made is not None
    assert (made.advertiser_id, made.spec) == (
        "acme", AudienceSpec(advertiser_id="acme", display_name="Leads to nurture"),
    )  # fmt: skip
    assert world.queue.acknowledged == [("lead-1", 1), ("lead-2", 1), ("lead-3", 1)]
    assert world.receivers.sent == []


async def test_whoever_goes_to_sales_leaves_the_list(world: World) -> None:
    await world.list_of("warm", "acme")
    world.lists.members["warm"] = {7, 9}
    world.queue.sales = [lead(person=7)]
    await world.courier().visit("acme", NURTURING)
    assert (world.lists.members["warm"], world.queue.acknowledged) == ({9}, [("lead-1", 1)])


async def test_another_advertisers_list_is_not_touched_and_sales_go_on(world: World) -> None:
    await world.advertise("rival", None)
    await world.list_of("warm", "rival")
    world.queue.nurtured, world.queue.sales = [lead("lead-1", person=7)], [lead("lead-2", person=9)]
    await world.courier().visit("acme", NURTURING)
    assert world.lists.members["warm"] == set()
    assert world.queue.acknowledged == [("lead-2", 1)]


async def test_a_list_that_takes_nobody_holds_leads_to_nurture_and_sales_go_on(world: World) -> None:
    await world.list_of("warm", "acme")
    world.lists.closed = True
    world.queue.nurtured, world.queue.sales = [lead("lead-1")], [lead("lead-2")]
    await world.courier().visit("acme", NURTURING)
    assert world.queue.acknowledged == [("lead-2", 1)]


async def test_while_scoring_is_away_leads_wait(world: World) -> None:
    world.lists.away = True
    world.queue.nurtured, world.queue.sales = [lead("lead-1")], [lead("lead-2")]
    courier = world.courier()
    await courier.visit("acme", NURTURING)
    assert (world.queue.acknowledged, world.receivers.sent) == ([], [])
    world.lists.away = False
    await courier.visit("acme", NURTURING)
    assert world.queue.acknowledged == [("lead-1", 1), ("lead-2", 1)]
