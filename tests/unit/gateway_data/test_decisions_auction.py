"""`POST /v1/decisions`: who wins, at which price, and what is told and kept of it."""

import httpx
import pytest
from data_plane_requests import CONSENT, COOKIE, ask, decide, first, winner
from data_plane_world import NOW_US, World

from bihuan_gateway.data.ports import ReserveOutcome


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
