"""`POST /v1/decisions`: what the request, the person and the caller rule out, and hops that do not answer."""

import httpx
import pytest
from data_plane_fakes import FakeProfile, sighting_of
from data_plane_requests import CONSENT, COOKIE, ask, decide, first, winner
from data_plane_world import ACME, NOW_US, World

from bihuan_gateway.control.access import Principal, Role
from bihuan_gateway.control.snapshot import Advertiser
from bihuan_gateway.data.ports import Identifier
from bihuan_shared.errors import Unavailable
from bihuan_shared.tokens import TrackingToken


def opened(world: World, decision: dict[str, object]) -> TrackingToken:
    return world.keys.open(str(decision["click_url"]).rpartition("/")[2], NOW_US)


async def test_keywords_schedule_size_and_currency_decide_before_anything_is_asked(
    world: World, client: httpx.AsyncClient
) -> None:
    world.place("home", width=300, height=250)
    world.advertise("word", keywords=("tea",))
    world.advertise("over", end_time_us=NOW_US)
    world.advertise("wide", size=(728, 90))
    world.advertise("yuan", advertiser=Advertiser("cn", "CNY", "UTC"))
    assert (await first(client, ask()))["reason"] == "NO_CANDIDATE"
    assert world.budgets.faults.calls == 0
    assert winner(await first(client, ask("r2", keywords=["tea"]))) == "word"


async def test_expressions_and_audiences_choose_the_person(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("men", targeting='gender == "m"')
    world.advertise("fans", bid_micros=2_000_000, audiences=("tea-fans",))
    world.identities.persons[(Identifier("cookie", "c1"),)] = 1
    world.profiles.profiles[1] = FakeProfile({"gender": "m"})
    assert winner(await first(client, ask("r1", identifiers=COOKIE, consent=CONSENT))) == "men"
    world.scorer.audiences[1] = frozenset({"tea-fans"})
    assert winner(await first(client, ask("r2", identifiers=COOKIE, consent=CONSENT))) == "fans"
    decision = await first(client, ask("r3", explain=True))
    assert decision["reason"] == "NO_CANDIDATE"
    candidates = decision["candidates"]
    assert isinstance(candidates, list)
    assert {candidate["verdict"] for candidate in candidates} == {"PERSON_UNKNOWN"}


async def test_private_tags_are_read_on_behalf_of_those_on_offer_who_name_any(
    world: World, client: httpx.AsyncClient
) -> None:
    world.advertise("vips", targeting="acme.vip_level >= 2")
    world.advertise("others", bid_micros=1, targeting='gender == "m"', advertiser=Advertiser("globex", "USD", "UTC"))
    world.advertise("elsewhere", keywords=("tea",), targeting="rival.x", advertiser=Advertiser("rival", "USD", "UTC"))
    world.identities.persons[(Identifier("cookie", "c1"),)] = 1
    world.profiles.profiles[1] = FakeProfile({"acme.vip_level": 3.0, "gender": "m"})
    assert winner(await first(client, ask("r1", identifiers=COOKIE, consent=CONSENT))) == "vips"
    assert world.profiles.read_for == [("acme",)]


async def test_the_token_names_the_first_audience_that_put_the_person_into_the_ad_group(
    world: World, client: httpx.AsyncClient
) -> None:
    world.advertise("fans", audiences=("c", "b", "a"))
    world.identities.persons[(Identifier("cookie", "c1"),)] = 1
    world.scorer.audiences[1] = frozenset({"c", "b", "0-of-no-concern"})
    decision = await first(client, ask("r1", identifiers=COOKIE, consent=CONSENT))
    assert opened(world, decision).audience_id == "b"
    unmeasured = await first(client, ask("r2", identifiers=COOKIE, consent={"purposes": ["TARGETING"]}))
    assert (winner(unmeasured), opened(world, unmeasured).audience_id) == ("fans", "")
    world.advertise("all", bid_micros=9_000_000)
    everyone = await first(client, ask("r3", identifiers=COOKIE, consent=CONSENT))
    assert (winner(everyone), opened(world, everyone).audience_id) == ("all", "")


async def test_without_consent_to_targeting_nothing_of_the_person_is_read(
    world: World, client: httpx.AsyncClient
) -> None:
    world.advertise("fans", bid_micros=9_000_000, audiences=("tea-fans",))
    world.advertise("all")
    decision = await first(client, ask(identifiers=COOKIE, consent={"purposes": ["measurement"]}))
    assert winner(decision) == "all"
    assert (world.profiles.faults.calls, world.scorer.membership_faults.calls) == (0, 0)
    assert world.budgets.queries[0].person_id == 0
    token = opened(world, decision)
    assert (token.person_id, token.sighting_id) == (1, sighting_of(1))


async def test_without_consent_to_measurement_nothing_of_the_person_is_kept(
    world: World, client: httpx.AsyncClient
) -> None:
    world.advertise("all")
    decision = await first(client, ask(identifiers=COOKIE, consent={"purposes": ["TARGETING"]}))
    token = opened(world, decision)
    assert (token.person_id, token.sighting_id) == (0, 0)
    assert world.budgets.queries[0].person_id == 1
    assert (world.records.records[0].person_id, world.records.records[0].profile) == (0, b"")


async def test_without_any_consent_no_person_is_created(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("all")
    await decide(client, ask(identifiers=COOKIE))
    assert world.identities.persons == {}


@pytest.mark.parametrize(
    ("hop", "shown"), [("identity", "all"), ("profile", "all"), ("audience", "men"), ("scoring", "fans")]
)
async def test_a_hop_that_does_not_answer_degrades_the_decision(
    world: World, client: httpx.AsyncClient, hop: str, shown: str
) -> None:
    world.advertise("all", bid_micros=1_000)
    world.advertise("men", bid_micros=2_000, targeting='gender == "m"')
    world.advertise("fans", bid_micros=3_000, audiences=("tea-fans",))
    world.identities.persons[(Identifier("cookie", "c1"),)] = 1
    world.profiles.profiles[1] = FakeProfile({"gender": "m"})
    world.scorer.audiences[1] = frozenset({"tea-fans"})
    faults = {
        "identity": world.identities.faults,
        "profile": world.profiles.faults,
        "audience": world.scorer.membership_faults,
        "scoring": world.scorer.faults,
    }[hop]
    faults.error = Unavailable("down")
    answer = await decide(client, ask(identifiers=COOKIE, consent=CONSENT))
    assert answer["degraded"] == [hop]
    placements = answer["placements"]
    assert isinstance(placements, list)
    # An expression needs the audiences too, for it may ask for them.
    assert winner(placements[0]) == ("all" if shown == "men" else shown)
    assert answer["model_version"] == ("prior" if hop == "scoring" else "m1")


async def test_a_hanging_budget_check_is_a_budget_that_does_not_answer(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("tea")
    world.budgets.faults.error = Unavailable("down")
    answer = await decide(client, ask())
    assert answer["degraded"] == ["budget"]
    assert world.budgets.reserve_faults.calls == 0


@pytest.mark.parametrize(
    ("role", "explain", "status"),
    [(Role.ADVERTISER, True, 403), (Role.ADVERTISER, False, 200), (Role.ANALYST, False, 403)],
)
async def test_roles_bound_what_may_be_asked(
    world: World, client: httpx.AsyncClient, role: Role, status: int, *, explain: bool
) -> None:
    world.principal = Principal("k", role, ACME.id if role is Role.ADVERTISER else "")
    assert (await client.post("/v1/decisions", json=ask(explain=explain))).status_code == status


async def test_an_unknown_placement_is_named(world: World, client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/decisions", json=ask("r1", "home", "nowhere"))
    assert response.status_code == 404
    assert response.json()["errors"][0]["pointer"] == "/placements/1/placement_id"
