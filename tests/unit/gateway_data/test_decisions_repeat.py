"""`POST /v1/decisions`: one answer a request id."""

import asyncio

import httpx
from data_plane_requests import CONSENT, COOKIE, ask, decide, first, winner
from data_plane_world import NOW_US, World

from bihuan_gateway.control.access import Principal, Role
from bihuan_gateway.control.snapshot import Advertiser
from bihuan_shared.errors import Unavailable


async def test_a_repeat_gets_the_same_bytes_and_reserves_nothing(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("tea")
    body = ask(identifiers=COOKIE, consent=CONSENT)
    one = await client.post("/v1/decisions", json=body)
    world.clock.advance_us(10_000_000)
    world.advertise("more", bid_micros=9_000_000)
    two = await client.post("/v1/decisions", content=httpx.Request("POST", "http://x", json=body).content + b"  ")
    assert two.content == one.content
    assert world.budgets.reserve_faults.calls == 1
    assert len(world.records.records) == 1


async def test_repeats_at_the_same_moment_decide_once(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("tea")
    answers = await asyncio.gather(*(client.post("/v1/decisions", json=ask()) for _ in range(5)))
    assert len({answer.content for answer in answers}) == 1
    assert world.budgets.reserve_faults.calls == 1


async def test_another_body_under_a_known_request_id_is_a_conflict(world: World, client: httpx.AsyncClient) -> None:
    await decide(client, ask())
    response = await client.post("/v1/decisions", json=ask(keywords=["tea"]))
    assert response.status_code == 409
    assert response.json()["type"] == "urn:bihuan:CONTENT_CONFLICT"


async def test_request_ids_of_tenants_do_not_meet(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("tea")
    world.advertise("beer", bid_micros=9_000_000, advertiser=Advertiser("brew", "USD", "UTC"))
    assert winner(await first(client, ask())) == "beer"
    world.principal = Principal("k", Role.ADVERTISER, "acme")
    assert winner(await first(client, ask())) == "tea"


async def test_without_a_budget_answer_nothing_is_shown_or_stored(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("tea")
    world.budgets.reserve_faults.error = Unavailable("down")
    assert (await first(client, ask()))["reason"] == "BUDGET_UNAVAILABLE"
    assert (world.decisions.stored, world.records.records) == ({}, [])
    world.budgets.reserve_faults.error = None
    decision = await first(client, ask())
    assert winner(decision) == "tea"


async def test_ids_follow_from_the_request_so_that_a_retry_finds_its_reservation(
    world: World, client: httpx.AsyncClient
) -> None:
    world.advertise("tea")
    one = await first(client, ask())
    world.decisions.stored.clear()
    two = await first(client, ask())
    assert one["decision_id"] == two["decision_id"]
    assert len(world.budgets.reserved) == 1
    tokens = [world.keys.open(str(d["click_url"]).rpartition("/")[2], NOW_US) for d in (one, two)]
    assert tokens[0] == tokens[1]
    assert len({str(d["click_url"]) for d in (one, two)}) == 2
