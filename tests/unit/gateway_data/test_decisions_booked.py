"""`POST /v1/decisions` on a sold day: the sponsor is shown ahead of the auction, and nobody pays more for it."""

from dataclasses import replace

import httpx
import pytest
from data_plane_requests import CONSENT, COOKIE, ask, decide, first, winner
from data_plane_world import NOW_US, World
from hypothesis import given
from hypothesis import strategies as st

from bihuan_gateway.control.access import Principal, Role
from bihuan_gateway.control.snapshot import Advertiser
from bihuan_gateway.data.domain.auction import Bid, Pricing, rank
from bihuan_gateway.data.domain.booked import BookedDay, BookedDays, RankClass
from bihuan_gateway.data.domain.eligibility import MAX_CANDIDATES
from bihuan_gateway.data.ports import ReserveOutcome
from bihuan_shared.clock import HOUR_US

DAY = BookedDay("sponsor", "home", "", NOW_US, NOW_US + 23 * HOUR_US)
TEA = replace(DAY, placement_id="", keyword="tea")


async def test_the_sponsor_is_shown_ahead_of_any_bid_for_nothing(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("sponsor", "cpd")
    world.advertise("rich", bid_micros=9_000_000_000)
    world.place("home", floor_micros=500_000)
    world.booked.days = [DAY]
    decision = await first(client, ask(explain=True))
    assert (winner(decision), decision["pricing_model"], decision["reason"]) == ("sponsor", "cpd", None)
    assert decision["price"] == {"currency": "USD", "micros": 0}
    token = world.keys.open(str(decision["click_url"]).rpartition("/")[2], NOW_US)
    assert (token.pricing_model, token.price_micros, token.reserve_nanos) == ("cpd", 0, 0)
    assert world.budgets.reserved[token.reservation_id] == ("sponsor-0", 0)
    assert winner(await first(client, ask("r2", "side"))) == "rich"


@pytest.mark.parametrize(
    ("at_us", "shown"), [(-1, None), (0, "sponsor"), (23 * HOUR_US - 1, "sponsor"), (23 * HOUR_US, None)]
)
async def test_a_day_begins_and_ends_by_itself(
    world: World, client: httpx.AsyncClient, at_us: int, shown: str | None
) -> None:
    world.advertise("sponsor", "cpd")
    world.booked.days = [DAY]
    world.clock.advance_us(at_us)
    assert winner(await first(client, ask())) == shown


async def test_without_a_day_a_sponsor_is_not_on_offer(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("sponsor", "cpd")
    assert (await first(client, ask()))["reason"] == "NO_CANDIDATE"


async def test_whom_the_sponsor_does_not_address_gets_the_auction(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("sponsor", "cpd", audiences=("fans",))
    world.advertise("tea", bid_micros=500_000)
    world.booked.days = [DAY]
    decision = await first(client, ask(identifiers=COOKIE, consent=CONSENT))
    assert (winner(decision), decision["price"]) == ("tea", {"currency": "USD", "micros": 1})
    world.scorer.audiences[1] = frozenset({"fans"})
    assert winner(await first(client, ask("r2", identifiers=COOKIE, consent=CONSENT))) == "sponsor"


@pytest.mark.parametrize("when", ["outcomes", "late"])
async def test_a_person_who_has_seen_enough_of_the_sponsor_gets_the_auction(
    world: World, client: httpx.AsyncClient, when: str
) -> None:
    world.advertise("sponsor", "cpd")
    world.advertise("tea", bid_micros=500_000)
    world.advertise("cup", bid_micros=300_000)
    world.booked.days = [DAY]
    getattr(world.budgets, when)["sponsor"] = ReserveOutcome.CAPPED
    decision = await first(client, ask())
    assert winner(decision) == "tea"
    assert decision["price"] in ({"currency": "USD", "micros": 300_000}, {"currency": "USD", "micros": 300_001})


async def test_a_keywords_sponsor_is_shown_on_any_placement_for_it(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("sponsor", "cpd")
    world.advertise("rich", bid_micros=900_000)
    world.booked.days = [TEA]
    answer = await decide(client, ask("r1", "home", "side", keywords=["Tea"]))
    placements = answer["placements"]
    assert isinstance(placements, list)
    assert [winner(one) for one in placements] == ["sponsor", "sponsor"]
    assert winner(await first(client, ask("r2", keywords=["cup"]))) == "rich"
    assert winner(await first(client, ask("r3"))) == "rich"


async def test_the_placements_sponsor_comes_before_a_keywords(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("sponsor", "cpd")
    world.advertise("other", "cpd")
    world.booked.days = [DAY, replace(TEA, campaign_id="other")]
    for number in range(8):
        assert winner(await first(client, ask(f"r{number}", keywords=["tea"]))) == "sponsor"
    assert winner(await first(client, ask("s", "side", keywords=["tea"]))) == "other"


async def test_sponsors_of_two_keywords_take_turns(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("sponsor", "cpd")
    world.advertise("other", "cpd")
    world.booked.days = [TEA, replace(TEA, campaign_id="other", keyword="cup")]
    shown = {winner(await first(client, ask(f"r{number}", keywords=["tea", "cup"]))) for number in range(32)}
    assert shown == {"sponsor", "other"}


async def test_the_sponsors_own_placements_and_currency_hold(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("sponsor", "cpd", placements=("side",))
    world.booked.days = [TEA]
    assert winner(await first(client, ask(keywords=["tea"]))) is None
    assert winner(await first(client, ask("r2", "side", keywords=["tea"]))) == "sponsor"
    world.place("side", currency="CNY")
    assert winner(await first(client, ask("r3", "side", keywords=["tea"]))) is None


async def test_another_tenants_sponsor_is_not_shown_to_an_advertisers_key(
    world: World, client: httpx.AsyncClient
) -> None:
    world.advertise("sponsor", "cpd", advertiser=Advertiser("rival", "USD", "UTC"))
    world.booked.days = [DAY]
    world.principal = Principal("key", Role.ADVERTISER, "acme")
    assert winner(await first(client, ask())) is None


async def test_a_sponsor_is_found_among_any_number_of_candidates(world: World, client: httpx.AsyncClient) -> None:
    world.advertise("aaa", bid_micros=900_000, creatives=MAX_CANDIDATES)
    world.advertise("sponsor", "cpd")
    world.booked.days = [DAY]
    assert winner(await first(client, ask())) == "sponsor"


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=6), st.integers(0, 3), st.integers(0, 10**6))
def test_sold_days_change_nobodys_price(bids: list[int], sold: int, floor: int) -> None:
    auction = [Bid(f"c{n}", f"k{n}", Pricing.CPM, bid, 1000) for n, bid in enumerate(bids)]
    days = [Bid(f"s{n}", f"d{n}", Pricing.CPD, 0, 1000, rank_class=RankClass.KEYWORD) for n in range(sold)]
    alone = rank(auction, floor_micros=floor, decision_id="d")
    both = rank([*auction, *days], floor_micros=floor, decision_id="d")
    assert both.ranked[sold:] == alone.ranked
    assert both.below_floor == alone.below_floor
    assert [(one.ecpm_micros, one.price_micros, one.reserve_nanos) for one in both.ranked[:sold]] == [(0, 0, 0)] * sold


def test_what_is_known_of_days_is_indexed_once() -> None:
    days = BookedDays.of([DAY, TEA])
    assert days.ranks("home", ["tea"], NOW_US) == {"sponsor": RankClass.PLACEMENT}
    assert days.ranks("side", ["TEA", "cup"], NOW_US) == {"sponsor": RankClass.KEYWORD}
    assert days.ranks("side", [], NOW_US) == BookedDays().ranks("home", ["tea"], NOW_US) == {}
