"""`GET /t/p/{link}`: each visit through a promoter's link is a click of its own, and lands where the creative says."""

from dataclasses import replace

import httpx
import pytest
from data_plane_world import NOW_US, World

from bihuan_gateway.control.promoter_link import PromoterLink, seal_link
from bihuan_shared.clock import DAY_US
from bihuan_shared.errors import Unavailable
from bihuan_shared.tokens import LINK_FORM, TrackingToken

LINK = PromoterLink("l1", "ann", "tea", "tea-0", "微博", NOW_US + DAY_US)
PROBLEM = "application/problem+json"


def url(world: World, **changes: str) -> str:
    return f"/t/p/{seal_link(world.keys, replace(LINK, **changes), b'n' * 12)}"  # type: ignore[arg-type]  # texts only


def tokens(world: World) -> list[TrackingToken]:
    return [world.keys.open(beacon.token, NOW_US) for beacon in world.events.encoded]


async def test_a_visit_is_a_click_of_the_promoter_that_names_nobody(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("tea", "cps", 0)
    response = await client.get(url(world) + "?to=https://evil.example&url=//evil.example")
    assert (response.status_code, response.headers["cache-control"][:8]) == (302, "no-store")
    (token,) = tokens(world)
    assert response.headers["location"] == f"https://shop.example/tea?a=1&bh_click={token.token_id}#top"
    assert token == TrackingToken(
        token_id=token.token_id,
        decision_id="",
        creative_id="tea-0",
        placement_id="",
        campaign_id="tea",
        advertiser_id="acme",
        ad_group_id="tea-group",
        terms_version=3,
        pricing_model="cps",
        price_micros=0,
        currency="USD",
        person_id=0,
        issue_time_us=NOW_US,
        expire_time_us=NOW_US + DAY_US,
        reserve_nanos=0,
        reservation_id="",
        promoter_id="ann",
        sub_id="微博",
    )
    (beacon,) = world.events.beacons
    assert (beacon.kind, beacon.measured, beacon.tags) == ("CLICK", False, ("category:tea",))


async def test_a_robot_that_follows_a_link_is_told_as_one(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("tea", "cps", 0)
    for user_agent in ("Mozilla/5.0 (compatible; Googlebot/2.1)", "Mozilla/5.0"):
        await client.get(url(world), headers={"user-agent": user_agent})
    assert [beacon.traffic.known_bot for beacon in world.events.beacons] == [True, False]


async def test_every_visit_has_an_id_of_its_own(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("tea", "cps", 0)
    link = url(world)
    for _ in range(3):
        await client.get(link)
    assert len({token.token_id for token in tokens(world)}) == 3


@pytest.mark.parametrize("text", ["garbage", "", "a/b", "%00", "%FF", "x" * 3000, "https://evil.example", "..%2f.."])
async def test_a_bad_link_never_redirects(world: World, client: httpx.AsyncClient, text: str) -> None:
    response = await client.get(f"/t/p/{text}")
    assert (response.status_code, response.headers["content-type"]) == (400, PROBLEM)
    assert response.json()["type"] == "urn:bihuan:TOKEN_INVALID"
    assert world.events.encoded == []


async def test_links_and_tokens_do_not_pass_for_each_other(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("tea", "cps", 0)
    link = url(world)
    await client.get(link)
    (beacon,) = world.events.beacons
    assert (await client.get(f"/t/p/{beacon.token}")).status_code == 400
    assert (await client.get(link.replace("/t/p/", "/t/c/"))).status_code == 400
    other = world.keys.seal_payload(LINK_FORM, b"\x91\x01", b"m" * 12)
    assert (await client.get(f"/t/p/{other}")).status_code == 400
    assert len(world.events.encoded) == 1


async def test_an_expired_link_leads_nowhere(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("tea", "cps", 0)
    link = url(world)
    world.clock.advance_us(DAY_US - 1)
    assert (await client.get(link)).status_code == 302
    world.clock.advance_us(1)
    response = await client.get(link)
    assert (response.status_code, response.json()["type"]) == (400, "urn:bihuan:TOKEN_EXPIRED")


async def test_what_is_not_on_offer_takes_no_click(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("tea", "cps", 0)
    world.advertise("clicks", "cpc", 5)
    world.advertise("over", "cps", 0, end_time_us=NOW_US)
    world.landings.known["gone-0"] = ("https://shop.example/gone", ())
    for changes in (
        {"campaign_id": "gone", "creative_id": "gone-0"},
        {"campaign_id": "tea", "creative_id": "over-0"},
        {"campaign_id": "clicks", "creative_id": "clicks-0"},
        {"campaign_id": "over", "creative_id": "over-0"},
    ):
        response = await client.get(url(world, **changes))
        assert (response.status_code, response.headers["content-type"]) == (404, PROBLEM), changes
    assert world.events.encoded == []


async def test_while_attribution_is_away_visits_go_to_the_spool(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("tea", "cps", 0)
    world.events.faults.error = Unavailable("down")
    assert (await client.get(url(world))).status_code == 302
    (payload,) = world.spool.kept
    assert world.events.encoded[int(payload)].kind == "CLICK"
    world.spool.full = True
    response = await client.get(url(world))
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")


async def test_head_records_nothing(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("tea", "cps", 0)
    response = await client.head(url(world))
    assert (response.status_code, "location" in response.headers) == (200, False)
    assert world.events.encoded == []
