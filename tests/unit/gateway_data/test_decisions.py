"""`POST /v1/decisions` over fakes of the hops."""

import asyncio

import httpx
import pytest
from data_plane_world import ACME, NOW_US, FakeProfile, World

from bihuan_gateway.control.access import Principal, Role
from bihuan_gateway.control.snapshot import Advertiser
from bihuan_gateway.data.ports import Identifier, ReserveOutcome
from bihuan_shared.errors import Unavailable

CONSENT = {"purposes": ["TARGETING", "MEASUREMENT"], "data_classes": ["OPERATION"], "source": "cmp"}
COOKIE = [{"namespace": "cookie", "value": "c1"}]


def ask(request_id: str = "r1", *placements: str, **more: object) -> dict[str, object]:
    return {
        "request_id": request_id,
        "placements": [{"placement_id": name} for name in placements or ("home",)],
        **more,
    }


async def decide(client: httpx.AsyncClient, body: dict[str, object]) -> dict[str, object]:
    response = await client.post("/v1/decisions", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, object] = response.json()
    return answer


async def first(client: httpx.AsyncClient, body: dict[str, object]) -> dict[str, object]:
    placements = (await decide(client, body))["placements"]
    assert isinstance(placements, list)
    decision: dict[str, object] = placements[0]
    return decision


def winner(decision: dict[str, object]) -> str | None:
    creative = decision["creative"]
    return creative["campaign_id"] if isinstance(creative, dict) else None


async def test_the_highest_bid_wins_and_pays_the_second_price(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("low", bid_micros=300_000)
    world.advertise("high", bid_micros=900_000)
    decision = await first(client, ask())
    assert winner(decision) == "high"
    assert decision["price"] in ({"currency": "USD", "micros": 300_000}, {"currency": "USD", "micros": 300_001})
    assert decision["reason"] is None
    assert decision["creative"] == {
        "creative_id": "high-0", "campaign_id": "high", "width": 0, "height": 0, "assets": {"title": "Tea"},
    }  # fmt: skip


async def test_the_token_says_what_was_decided_and_all_links_carry_it(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("tea", bid_micros=900_000)
    world.place("home", floor_micros=250_000)
    decision = await first(client, ask(identifiers=COOKIE, consent=CONSENT))
    links = [str(decision[f"{name}_url"]) for name in ("impression", "viewable", "click", "landing")]
    assert [link.rpartition("/")[0] for link in links] == [f"https://ads.example/t/{kind}" for kind in "ivcl"]
    (text,) = {link.rpartition("/")[2] for link in links}
    token = world.keys.open(text, NOW_US)
    assert (token.decision_id, token.creative_id, token.price_micros, token.reserve_nanos, token.person_id) == (
        decision["decision_id"], "tea-0", 250_000, 250_000, 1,
    )  # fmt: skip
    assert world.budgets.reserved == {token.reservation_id: ("tea-0", 250_000)}


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


async def test_a_hanging_budget_check_is_a_budget_that_does_not_answer(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("tea")
    world.budgets.faults.error = Unavailable("down")
    answer = await decide(client, ask())
    assert answer["degraded"] == ["budget"]
    assert world.budgets.reserve_faults.calls == 0


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


async def test_a_refused_winner_makes_room_for_the_next_at_its_own_price(
    world: World, client: httpx.AsyncClient
) -> None:
    for name, bid in (("first", 900_000), ("second", 700_000), ("third", 500_000)):
        world.advertise(name, bid_micros=bid)
    world.budgets.late["first"] = ReserveOutcome.BUDGET_EXHAUSTED
    decision = await first(client, ask(explain=True))
    assert winner(decision) == "second"
    price = decision["price"]
    assert isinstance(price, dict)
    assert price["micros"] in (500_000, 500_001)
    candidates = decision["candidates"]
    assert isinstance(candidates, list)
    assert [(c["campaign_id"], c["verdict"]) for c in candidates] == [
        ("first", "BUDGET_EXHAUSTED"), ("second", "WON"), ("third", "OUTRANKED"),
    ]  # fmt: skip


async def test_a_campaign_without_money_sets_no_price(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("broke", bid_micros=900_000)
    world.advertise("tea", bid_micros=800_000)
    world.budgets.outcomes["broke"] = ReserveOutcome.BUDGET_EXHAUSTED
    decision = await first(client, ask())
    assert winner(decision) == "tea"
    assert decision["price"] == {"currency": "USD", "micros": 1}


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (ReserveOutcome.CAPPED, "CAPPED"),
        (ReserveOutcome.BUDGET_EXHAUSTED, "BUDGET_EXHAUSTED"),
        (ReserveOutcome.BALANCE_EXHAUSTED, "BUDGET_EXHAUSTED"),
        (ReserveOutcome.NO_TERMS, "NO_CANDIDATE"),
    ],
)
async def test_the_reason_says_why_nothing_is_shown(
    world: World, client: httpx.AsyncClient, outcome: ReserveOutcome, reason: str
) -> None:
    world.advertise("tea")
    world.budgets.outcomes["tea"] = outcome
    assert (await first(client, ask("before")))["reason"] == reason
    world.budgets.outcomes.clear()
    world.budgets.late["tea"] = outcome
    assert (await first(client, ask("after")))["reason"] == reason


async def test_bids_below_the_floor_are_not_shown(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("tea", bid_micros=100)
    world.place("home", floor_micros=101)
    assert (await first(client, ask()))["reason"] == "BELOW_FLOOR"


async def test_no_campaign_no_candidate(world: World, client: httpx.AsyncClient) -> None:
    assert (await first(client, ask()))["reason"] == "NO_CANDIDATE"


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


async def test_without_consent_to_targeting_nothing_of_the_person_is_read(
    world: World, client: httpx.AsyncClient
) -> None:
    world.advertise("fans", bid_micros=9_000_000, audiences=("tea-fans",))
    world.advertise("all")
    decision = await first(client, ask(identifiers=COOKIE, consent={"purposes": ["measurement"]}))
    assert winner(decision) == "all"
    assert (world.profiles.faults.calls, world.scorer.membership_faults.calls) == (0, 0)
    assert world.budgets.queries[0].person_id == 0
    assert world.keys.open(str(decision["click_url"]).rpartition("/")[2], NOW_US).person_id == 1


async def test_without_consent_to_measurement_nothing_of_the_person_is_kept(
    world: World, client: httpx.AsyncClient
) -> None:
    world.advertise("all")
    decision = await first(client, ask(identifiers=COOKIE, consent={"purposes": ["TARGETING"]}))
    assert world.keys.open(str(decision["click_url"]).rpartition("/")[2], NOW_US).person_id == 0
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


async def test_a_campaign_is_shown_once_a_request(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("big", bid_micros=900_000, creatives=2)
    world.advertise("small", bid_micros=100_000)
    answer = await decide(client, ask("r1", "home", "side", "foot"))
    placements = answer["placements"]
    assert isinstance(placements, list)
    assert [winner(decision) for decision in placements] == ["big", "small", None]
    assert len({decision["decision_id"] for decision in placements}) == 3
    assert len({query.reservation_id for query in world.budgets.queries}) == 2


async def test_clicks_are_bid_for_by_their_probability(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("cpc", "cpc", 100_000)
    world.advertise("cpm", "cpm", 1_000_000)
    world.scorer.pctr["cpc-0"] = 0.05
    decision = await first(client, ask())
    # 100,000 x 0.05 x 1,000 = 5,000,000 beats 1,000,000; a click at 20,000 (or a micro more) still does.
    assert winner(decision) == "cpc"
    price = decision["price"]
    assert isinstance(price, dict)
    assert price["micros"] in (20_000, 20_001)
    assert world.budgets.queries[0].candidates[0][1] == -(-price["micros"] * 1000 * 5 // 100)


async def test_the_lake_gets_what_was_decided_on(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("tea", bid_micros=500)
    world.advertise("fans", audiences=("tea-fans",))
    decision = await first(client, ask(identifiers=COOKIE, consent=CONSENT, keywords=["tea", "tea"]))
    (record,) = world.records.records
    assert record.decision_id == decision["decision_id"]
    assert (record.winner_creative_id, record.profile, record.person_id) == ("tea-0", b"profile", 1)
    assert (record.keywords, record.channel, record.propensity, record.model_version) == (("tea",), "feed", 1.0, "m1")
    assert [(c.creative_id, c.pctr, c.ecpm_micros, c.tags) for c in record.candidates] == [
        ("tea-0", 0.02, 500, ("category:tea",))
    ]


async def test_explaining_shows_the_score_of_what_is_capped(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("tea")
    world.budgets.outcomes["tea"] = ReserveOutcome.CAPPED
    decision = await first(client, ask(explain=True))
    assert decision["candidates"] == [
        {
            "creative_id": "tea-0", "campaign_id": "tea", "verdict": "CAPPED", "pctr": 0.02, "pcvr": 0.1,
            "ecpm_micros": None, "price_micros": None,
        }
    ]  # fmt: skip


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
