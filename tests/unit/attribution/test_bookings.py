"""Who wins a day, and which bookings are taken in."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_attribution.domain.booking import Booking, DayState, award, open_day
from bihuan_attribution.domain.booking_day import close_time_us
from bihuan_attribution.domain.booking_rules import check_booking, check_currency, check_new, is_cancelled_now
from bihuan_attribution.domain.terms import CampaignTerms
from bihuan_shared.errors import AlreadyExists, FailedPrecondition, InvalidArgument

DAY = date(2026, 3, 8)
MADE_US = close_time_us(DAY) - 1_000_000_000
BID = Booking(
    booking_id="b1",
    campaign_id="d1",
    advertiser_id="acme",
    placement_id="home",
    keyword="",
    start_date="2026-03-08",
    end_date="2026-03-10",
    day_rate_micros=5_000_000,
    currency="USD",
    time_zone="America/New_York",
    create_time_us=MADE_US,
)
TERMS = CampaignTerms(
    campaign_id="d1",
    advertiser_id="acme",
    version=1,
    effective_time_us=0,
    currency="USD",
    time_zone="America/New_York",
    pricing_model="cpd",
    bid_micros=0,
    commission_rate_ppm=0,
    promoter_share_ppm=0,
    bills_viewable=False,
    daily_micros=0,
    total_micros=0,
    click_window_us=1,
    view_window_us=1,
    caps=(),
    stopped=False,
)
EARLY = date(2026, 3, 1)

bids = st.builds(
    Booking,
    booking_id=st.uuids().map(str),
    campaign_id=st.just("d1"),
    advertiser_id=st.sampled_from(["acme", "rival"]),
    placement_id=st.sampled_from(["home", "side", ""]),
    keyword=st.sampled_from(["tea", "cup"]),
    start_date=st.just("2026-03-08"),
    end_date=st.just("2026-03-08"),
    day_rate_micros=st.integers(1, 3),
    currency=st.sampled_from(["USD", "CNY"]),
    time_zone=st.sampled_from(["America/New_York", "Asia/Shanghai"]),
    create_time_us=st.integers(1, 3),
    cancel_time_us=st.sampled_from([0, 0, 0, 3, close_time_us(DAY)]),
).map(lambda one: replace(one, keyword="") if one.placement_id else one)


def states(*bookings: Booking) -> dict[str, DayState]:
    return {one.booking_id: one.state for one in award(bookings, DAY)}


def test_the_highest_rate_wins_then_the_first_made_then_the_lowest_id() -> None:
    high = replace(BID, booking_id="z", day_rate_micros=5_000_001, create_time_us=MADE_US + 9)
    assert states(BID, high) == {"b1": DayState.OUTBID, "z": DayState.WON}
    sooner = replace(BID, booking_id="z", create_time_us=MADE_US - 1)
    assert states(BID, sooner) == {"b1": DayState.OUTBID, "z": DayState.WON}
    assert states(BID, replace(BID, booking_id="a")) == {"a": DayState.WON, "b1": DayState.OUTBID}


def test_other_targets_do_not_compete() -> None:
    other = replace(BID, booking_id="b2", placement_id="", keyword="tea")
    third = replace(BID, booking_id="b3", placement_id="", keyword="tea", currency="CNY")
    assert set(states(BID, other, third).values()) == {DayState.WON}


@pytest.mark.parametrize(("at_us", "state"), [(close_time_us(DAY) - 1, "CANCELLED"), (close_time_us(DAY), "WON")])
def test_what_is_taken_back_before_the_close_does_not_bid(at_us: int, state: str) -> None:
    taken_back = replace(BID, cancel_time_us=at_us)
    assert states(taken_back) == {"b1": DayState[state]}
    assert open_day(taken_back, DAY).state is (DayState.CANCELLED if state == "CANCELLED" else DayState.OPEN)


@given(st.lists(bids, max_size=12, unique_by=lambda one: one.booking_id), st.randoms())
def test_the_award_does_not_depend_on_the_order_of_bids(bookings: list[Booking], chance: "st.randoms") -> None:  # type: ignore[valid-type]  # hypothesis' own random
    shuffled = list(bookings)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # as above
    days = award(bookings, DAY)
    assert days == award(shuffled, DAY)
    assert [one.booking_id for one in days] == sorted(one.booking_id for one in bookings)
    by_id = {one.booking_id: one for one in bookings}
    won = [by_id[one.booking_id] for one in days if one.state is DayState.WON]
    # One winner a market that has a bid, and nobody in it bid more.
    standing = [one for one in bookings if not 0 < one.cancel_time_us < close_time_us(DAY)]
    assert sorted(one.market for one in won) == sorted({one.market for one in standing})
    for one in won:
        assert one.day_rate_micros == max(other.day_rate_micros for other in standing if other.market == one.market)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"placement_id": ""}, "target"),
        ({"placement_id": "", "keyword": "Tea"}, "keyword"),
        ({"placement_id": "", "keyword": " tea"}, "keyword"),
        ({"time_zone": "Mars/Base"}, "time_zone"),
        ({"start_date": "2026-02-30"}, "start_date"),
        ({"end_date": "2026-13-01"}, "end_date"),
        ({"end_date": "2026-03-07"}, "end_date"),
        ({"end_date": "2027-03-09"}, "end_date"),
        ({"time_zone": "Pacific/Apia", "start_date": "2011-12-29", "end_date": "2012-01-02"}, "start_date"),
        ({"cancel_time_us": MADE_US - 1}, "cancel_time"),
    ],
)
def test_what_no_booking_can_be_is_refused_by_field(changes: dict[str, object], field: str) -> None:
    check_booking(BID, "bookings[3]")
    with pytest.raises(InvalidArgument) as refused:
        check_booking(replace(BID, **changes), "bookings[3]")  # type: ignore[arg-type]  # names of its fields
    assert refused.value.violations[0].field == f"bookings[3].{field}"


def test_a_booking_of_366_days_is_one() -> None:
    check_booking(replace(BID, end_date="2027-03-08"), "b")


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        (None, "campaign_id"),
        (replace(TERMS, pricing_model="cpm"), "campaign_id"),
        (replace(TERMS, advertiser_id="rival"), "advertiser_id"),
        (replace(TERMS, currency="EUR"), "currency"),
        (replace(TERMS, time_zone="UTC"), "time_zone"),
    ],
)
def test_a_booking_must_fit_its_campaign(terms: CampaignTerms | None, field: str) -> None:
    check_new(BID, TERMS, EARLY, MADE_US, "b")
    with pytest.raises(FailedPrecondition) as refused:
        check_new(BID, terms, EARLY, MADE_US, "b")
    assert refused.value.violations[0].field == f"b.{field}"


@pytest.mark.parametrize(("now_us", "awarded"), [(close_time_us(DAY), EARLY), (MADE_US, DAY)])
def test_a_date_whose_bids_have_closed_is_not_bid_for(now_us: int, awarded: date) -> None:
    check_new(BID, TERMS, EARLY, close_time_us(DAY) - 1, "b")
    with pytest.raises(FailedPrecondition) as refused:
        check_new(BID, TERMS, awarded, now_us, "b")
    assert refused.value.violations[0].field == "b.start_date"


def test_bids_for_one_placement_and_date_are_of_one_currency() -> None:
    other = replace(BID, booking_id="b2", currency="CNY")
    with pytest.raises(FailedPrecondition) as refused:
        check_currency(other, [BID], "b")
    assert refused.value.violations[0].field == "b.currency"
    check_currency(replace(other, start_date="2026-03-11", end_date="2026-03-11"), [BID], "b")
    check_currency(other, [replace(BID, cancel_time_us=MADE_US)], "b")


def test_a_bid_is_for_ever_the_same_and_is_taken_back_once() -> None:
    assert not is_cancelled_now(BID, BID)
    assert is_cancelled_now(replace(BID, cancel_time_us=MADE_US), BID)
    cancelled = replace(BID, cancel_time_us=MADE_US)
    assert not is_cancelled_now(cancelled, cancelled)
    assert not is_cancelled_now(BID, cancelled)
    for other in (
        replace(BID, day_rate_micros=1),
        replace(BID, day_rate_micros=1, cancel_time_us=MADE_US),
    ):
        with pytest.raises(AlreadyExists):
            is_cancelled_now(other, BID)
    with pytest.raises(AlreadyExists):
        is_cancelled_now(replace(BID, cancel_time_us=MADE_US + 1), cancelled)
