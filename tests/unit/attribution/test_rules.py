"""Pure rules: days, windows, terms, caps, purses, intake."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_attribution.domain.budget_day import budget_day, is_time_zone
from bihuan_attribution.domain.caps import cap_slots
from bihuan_attribution.domain.event import HOUR_US
from bihuan_attribution.domain.ledger import Payee, Purse, charge_postings, payable_postings, payable_reversal_postings
from bihuan_attribution.domain.terms import CampaignTerms, CapLevel, CapWindow, FrequencyCap, TermsBook, check_windows
from bihuan_shared.clock import DAY_US, parse_rfc3339_us
from bihuan_shared.errors import InvalidArgument

TERMS = CampaignTerms(
    campaign_id="c",
    advertiser_id="a",
    version=1,
    effective_time_us=100,
    currency="CNY",
    time_zone="Europe/Berlin",
    pricing_model="cpm",
    bid_micros=1,
    commission_rate_ppm=0,
    promoter_share_ppm=0,
    bills_viewable=False,
    daily_micros=0,
    total_micros=0,
    click_window_us=DAY_US,
    view_window_us=0,
    caps=(),
    stopped=False,
)
NANOS = st.integers(0, 10**15)


@pytest.mark.parametrize(("day", "hours"), [("2025-03-30", 23), ("2025-10-26", 25), ("2025-06-01", 24)])
def test_a_budget_day_is_as_long_as_the_calendar_says(day: str, hours: int) -> None:
    start_us = parse_rfc3339_us(f"{day}T00:00:00Z") - 3 * HOUR_US
    instants = [start_us + quarter * HOUR_US // 4 for quarter in range(4 * 30)]
    assert sum(budget_day(at_us, "Europe/Berlin") == day for at_us in instants) == 4 * hours


def test_unknown_time_zones_are_told() -> None:
    assert is_time_zone("Asia/Kolkata")
    assert not any(is_time_zone(name) for name in ("Mars/Base", "../etc/passwd", "/abs", "\x00"))


@pytest.mark.parametrize(("click_days", "view_days"), [(0, 1), (91, 1), (1, 31), (1, -1)])
def test_windows_outside_their_bounds_are_refused(click_days: int, view_days: int) -> None:
    terms = replace(TERMS, click_window_us=click_days * DAY_US, view_window_us=view_days * DAY_US)
    with pytest.raises(InvalidArgument):
        check_windows(terms, "terms[0]")


def test_terms_hold_from_their_effective_time_on() -> None:
    later = replace(TERMS, version=2, effective_time_us=200)
    book = TermsBook([later, TERMS])
    assert book.in_force("c", 99) is None
    assert book.in_force("c", 199) == TERMS
    assert book.in_force("c", 200) == later
    assert book.at("c", 0) == TERMS
    assert book.sold_under("c", 5) == later
    assert book.at("other", 0) is None


def test_an_impression_moves_the_counters_of_its_own_caps_and_of_the_advertiser() -> None:
    caps = (
        FrequencyCap(CapLevel.CREATIVE, CapWindow.LIFETIME, 3),
        FrequencyCap(CapLevel.CREATIVE, CapWindow.LIFETIME, 2),
        FrequencyCap(CapLevel.AD_GROUP, CapWindow.HOUR, 1),
    )
    slots = cap_slots(replace(TERMS, caps=caps), [CapWindow.DAY], "g", "x", 5 * HOUR_US)
    assert [(one.bucket, one.entity, one.max_impressions) for one in slots] == [
        ("d1970-01-01", "1", 0),
        ("h5", "3:c:g", 1),
        ("l", "4:c:x", 2),
    ]


@given(NANOS, NANOS, NANOS, st.integers(0, 10**6))
def test_what_is_drawn_and_given_back_leaves_the_purse_as_it_was(
    prepaid: int, owed: int, amount: int, promoter: int
) -> None:
    purse = Purse("a", prepaid, owed)
    postings = charge_postings(purse, amount)
    assert sum(one.amount_nanos for one in postings) == 0
    assert purse.prepaid_nanos >= 0
    assert prepaid - owed - amount == purse.prepaid_nanos - purse.receivable_nanos
    share = Payee("promoter:payable:p", min(promoter, amount))
    booked = payable_postings(purse, amount, share)
    back = payable_reversal_postings(purse, amount, share)
    assert sum(one.amount_nanos for one in (*booked, *back)) == 0
    assert prepaid - owed - amount == purse.prepaid_nanos - purse.receivable_nanos
