"""The auction: ranking, clearing prices, reservations."""

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bihuan_gateway.data.domain.auction import (
    PPB,
    Bid,
    Pricing,
    ecpm_micros,
    price_at,
    probability_ppb,
    rank,
    reservation_nanos,
    tie_rank,
)

probabilities = st.integers(0, PPB)
amounts = st.integers(0, 10**9)


@st.composite
def bids(draw: st.DrawFn) -> list[Bid]:
    count = draw(st.integers(0, 8))
    return [
        Bid(
            creative_id=f"cr{index}",
            campaign_id=f"ca{draw(st.integers(0, 5))}",
            pricing=draw(st.sampled_from(Pricing)),
            bid_micros=draw(st.one_of(amounts, st.integers(0, 5))),
            pctr_ppb=draw(st.one_of(probabilities, st.just(PPB // 100))),
            pcvr_ppb=draw(probabilities),
            commission_rate_ppm=draw(st.integers(0, 1_000_000)),
            expected_order_micros=draw(amounts),
        )
        for index in range(count)
    ]


def place_of(bid: Bid, price_micros: int, others: list[Bid], decision_id: str, floor: int) -> int | None:
    """Where the bid would stand if it had bid `price_micros`."""
    ranking = rank([replace(bid, bid_micros=price_micros), *others], floor_micros=floor, decision_id=decision_id)
    ids = [entry.bid.creative_id for entry in ranking.ranked]
    return ids.index(bid.creative_id) if bid.creative_id in ids else None


@given(bids=bids(), floor=st.one_of(amounts, st.just(0)), decision_id=st.text(max_size=5))
def test_a_winner_pays_the_smallest_price_that_keeps_its_rank(bids: list[Bid], floor: int, decision_id: str) -> None:
    ranking = rank(bids, floor_micros=floor, decision_id=decision_id)
    chosen = [entry.bid for entry in ranking.ranked]
    for place, entry in enumerate(ranking.ranked):
        if entry.bid.pricing is Pricing.CPS:
            assert (entry.price_micros, entry.reserve_nanos) == (0, 0)
            continue
        below = chosen[place + 1 :]
        assert 0 < entry.price_micros <= entry.bid.bid_micros
        assert place_of(entry.bid, entry.price_micros, below, decision_id, floor) == 0
        assert place_of(entry.bid, entry.price_micros - 1, below, decision_id, floor) != 0


@given(bids=bids(), floor=st.one_of(amounts, st.just(0)), decision_id=st.text(max_size=5), seed=st.randoms())
def test_the_ranking_is_ordered_has_one_creative_a_campaign_and_forgets_nothing(
    bids: list[Bid], floor: int, decision_id: str, seed: "object"
) -> None:
    ranking = rank(bids, floor_micros=floor, decision_id=decision_id)
    ecpms = [entry.ecpm_micros for entry in ranking.ranked]
    assert ecpms == sorted(ecpms, reverse=True)
    assert all(ecpm >= max(1, floor) for ecpm in ecpms)
    campaigns = [entry.bid.campaign_id for entry in ranking.ranked]
    assert len(campaigns) == len(set(campaigns))
    won = {entry.bid.creative_id for entry in ranking.ranked}
    assert won | ranking.below_floor | ranking.passed_over == {bid.creative_id for bid in bids}
    assert rank(bids[::-1], floor_micros=floor, decision_id=decision_id) == ranking


@given(bids=bids(), decision_id=st.text(max_size=5))
def test_the_next_in_rank_pays_what_it_would_pay_had_the_first_not_been_there(
    bids: list[Bid], decision_id: str
) -> None:
    ranking = rank(bids, floor_micros=0, decision_id=decision_id)
    rest = [entry.bid for entry in ranking.ranked[1:]]
    assert rank(rest, floor_micros=0, decision_id=decision_id).ranked == ranking.ranked[1:]


@given(pctr=st.integers(1, PPB), target=st.integers(1, 10**12))
def test_a_click_price_is_the_ceiling_of_its_target(pctr: int, target: int) -> None:
    bid = Bid("cr", "ca", Pricing.CPC, 0, pctr)
    price = price_at(bid, target)
    assert ecpm_micros(replace(bid, bid_micros=price)) >= target
    assert ecpm_micros(replace(bid, bid_micros=price - 1)) < target


def test_a_cpm_price_in_micros_is_reserved_as_nanos() -> None:
    assert reservation_nanos(Bid("cr", "ca", Pricing.CPM, 5_000_000, 0), 1_234_567) == 1_234_567


def test_a_click_is_reserved_at_its_price_times_its_probability_rounded_up() -> None:
    bid = Bid("cr", "ca", Pricing.CPC, 900_000, 333_333_333)
    assert reservation_nanos(bid, 100) == 33_334


def test_cps_ranks_by_expected_commission_and_reserves_nothing() -> None:
    bid = Bid("cr", "ca", Pricing.CPS, 0, PPB // 100, PPB // 10, 100_000, 50_000_000)
    # 1 % x 10 % x 10 % x 50 units x 1,000 = 5 units
    assert ecpm_micros(bid) == 5_000_000
    assert reservation_nanos(bid, 0) == 0


def test_of_two_creatives_of_a_campaign_the_more_clickable_one_stands() -> None:
    low, high = Bid("a", "ca", Pricing.CPC, 100, PPB // 100), Bid("b", "ca", Pricing.CPC, 10, PPB // 10)
    ranking = rank([low, high], floor_micros=0, decision_id="d")
    assert [entry.bid.creative_id for entry in ranking.ranked] == ["b"]
    assert ranking.passed_over == {"a"}


def test_equal_bids_pay_their_bid_and_ties_are_spread_over_decisions() -> None:
    pair = [Bid("a", "c1", Pricing.CPM, 1000, 0), Bid("b", "c2", Pricing.CPM, 1000, 0)]
    winners = set()
    for number in range(40):
        first = rank(pair, floor_micros=0, decision_id=f"d{number}").ranked[0]
        assert first.price_micros == 1000
        winners.add(first.bid.creative_id)
    assert winners == {"a", "b"}
    assert tie_rank("d", "a") == tie_rank("d", "a")


def test_the_floor_is_paid_by_a_lone_bid_and_bids_below_it_are_named() -> None:
    ranking = rank(
        [Bid("a", "c1", Pricing.CPM, 900, 0), Bid("b", "c2", Pricing.CPM, 100, 0)], floor_micros=500, decision_id="d"
    )
    assert [(entry.bid.creative_id, entry.price_micros) for entry in ranking.ranked] == [("a", 500)]
    assert ranking.below_floor == {"b"}


def test_probabilities_outside_their_range_are_clamped() -> None:
    figures = (math.nan, -1.0, 0.0, 0.25, 1.0, math.inf)
    assert [probability_ppb(figure) for figure in figures] == [0, 0, 0, PPB // 4, PPB, PPB]
