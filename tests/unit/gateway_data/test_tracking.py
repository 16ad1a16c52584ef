"""`GET /t/{i,v,l,c}/{token}`: what is acknowledged is committed or spooled; clicks go where the creative says."""

from dataclasses import replace

import httpx
import pytest
from data_plane_world import NOW_US, World

from bihuan_gateway.data.domain.naming import landing_with_click
from bihuan_gateway.data.routes.tracking import GIF
from bihuan_shared.clock import DAY_US
from bihuan_shared.errors import DeadlineExceeded, Unavailable
from bihuan_shared.tokens import TrackingToken

TOKEN = TrackingToken(
    token_id="0" * 32,
    decision_id="1" * 32,
    creative_id="tea-0",
    placement_id="home",
    campaign_id="tea",
    advertiser_id="acme",
    ad_group_id="tea-group",
    terms_version=3,
    pricing_model="cpm",
    price_micros=5,
    currency="USD",
    person_id=7,
    issue_time_us=NOW_US,
    expire_time_us=NOW_US + DAY_US,
    reserve_nanos=5,
    reservation_id="2" * 32,
)


def sealed(world: World, token: TrackingToken = TOKEN) -> str:
    return world.keys.seal(token, b"n" * 12)


@pytest.mark.parametrize(("path", "kind"), [("i", "IMPRESSION"), ("v", "VIEWABLE"), ("l", "LANDING")])
async def test_a_beacon_is_recorded_and_answered_with_a_pixel(
    world: World, client: httpx.AsyncClient, path: str, kind: str
) -> None:
    world.advertise("tea")
    token = sealed(world)
    response = await client.get(f"/t/{path}/{token}")
    assert (response.status_code, response.content, response.headers["content-type"]) == (200, GIF, "image/gif")
    assert "no-store" in response.headers["cache-control"]
    (beacon,) = world.events.beacons
    assert (beacon.kind, beacon.token, beacon.receive_time_us) == (kind, token, NOW_US)
    assert (beacon.tags, beacon.measured) == (("category:tea",), True)


async def test_without_a_person_nothing_was_consented_to(world: World, client: httpx.AsyncClient) -> None:
    await client.get(f"/t/i/{sealed(world, replace(TOKEN, person_id=0))}")
    assert [beacon.measured for beacon in world.events.beacons] == [False]


async def test_a_click_lands_on_the_creative_with_its_id(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("tea")
    response = await client.get(f"/t/c/{sealed(world)}?to=https://evil.example&url=//evil.example")
    assert response.status_code == 302
    assert response.headers["location"] == f"https://shop.example/tea?a=1&bh_click={'0' * 32}#top"
    assert [beacon.kind for beacon in world.events.beacons] == ["CLICK"]


async def test_a_click_on_a_creative_that_was_paused_still_lands(world: World, client: httpx.AsyncClient) -> None:
    world.landings.known["tea-0"] = ("https://shop.example/old", ("category:old",))
    response = await client.get(f"/t/c/{sealed(world)}")
    assert response.headers["location"] == f"https://shop.example/old?bh_click={'0' * 32}"
    assert world.events.beacons[0].tags == ("category:old",)


@pytest.mark.parametrize("token", ["garbage", "", "a/b", "%00", "%FF", "x" * 3000, "https://evil.example", "..%2f.."])
async def test_a_bad_token_never_redirects_and_never_fails_a_pixel(
    world: World, client: httpx.AsyncClient, token: str
) -> None:
    click = await client.get(f"/t/c/{token}")
    assert (click.status_code, click.headers["content-type"]) == (400, "application/problem+json")
    assert click.json()["type"] == "urn:bihuan:TOKEN_INVALID"
    pixel = await client.get(f"/t/i/{token}")
    assert (pixel.status_code, pixel.content) == (200, GIF)
    assert all(not beacon.measured for beacon in world.events.beacons)


async def test_an_expired_token_is_reported_but_not_followed(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("tea")
    token = sealed(world)
    world.clock.advance_us(DAY_US)
    click = await client.get(f"/t/c/{token}")
    assert (click.status_code, click.json()["type"]) == (400, "urn:bihuan:TOKEN_EXPIRED")
    assert (await client.get(f"/t/i/{token}")).status_code == 200
    assert [beacon.kind for beacon in world.events.beacons] == ["IMPRESSION"]


@pytest.mark.parametrize("error", [Unavailable("down"), DeadlineExceeded("slow")])
async def test_while_attribution_is_away_beacons_go_to_the_spool(
    world: World, client: httpx.AsyncClient, error: Exception
) -> None:
    world.advertise("tea")
    world.events.faults.error = error if isinstance(error, Unavailable | DeadlineExceeded) else None
    assert (await client.get(f"/t/i/{sealed(world)}")).status_code == 200
    assert (await client.get(f"/t/c/{sealed(world)}")).status_code == 302
    assert [world.events.encoded[int(payload)].kind for payload in world.spool.kept] == ["IMPRESSION", "CLICK"]
    # The second one did not wait for attribution again.
    assert world.events.faults.calls == 1


async def test_bad_tokens_never_fill_the_spool(world: World, client: httpx.AsyncClient) -> None:
    world.events.faults.error = Unavailable("down")
    assert (await client.get("/t/i/garbage")).status_code == 200
    assert world.spool.kept == []


@pytest.mark.parametrize("path", ["i", "c"])
async def test_with_a_full_spool_nothing_is_acknowledged(world: World, client: httpx.AsyncClient, path: str) -> None:
    world.advertise("tea")
    world.events.faults.error = Unavailable("down")
    world.spool.full = True
    response = await client.get(f"/t/{path}/{sealed(world)}")
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")


async def test_head_records_nothing(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("tea")
    assert (await client.head(f"/t/i/{sealed(world)}")).status_code == 200
    assert (await client.head(f"/t/c/{sealed(world)}")).status_code == 200
    assert world.events.encoded == []


@pytest.mark.parametrize(
    ("landing_url", "expected"),
    [
        ("https://a.example", "https://a.example?bh_click=x"),
        ("https://a.example/?", "https://a.example/?bh_click=x"),
        ("https://a.example/p?q=1&r=%26", "https://a.example/p?q=1&r=%26&bh_click=x"),
        ("https://a.example/#/route?z=1", "https://a.example/?bh_click=x#/route?z=1"),
        ("https://a.example/?bh_click=old&q=1", "https://a.example/?q=1&bh_click=x"),
    ],
)
def test_the_click_id_joins_the_query(landing_url: str, expected: str) -> None:
    assert landing_with_click(landing_url, "x") == expected
