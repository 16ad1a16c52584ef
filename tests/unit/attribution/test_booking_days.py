"""Days as they are sold: their bounds in every time zone, and when their bids close."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_attribution.domain.booking_day import close_time_us, day_bounds_us, last_closed, midnight_us, parse_date
from bihuan_attribution.domain.budget_day import budget_day
from bihuan_shared.clock import DAY_US, HOUR_US, parse_rfc3339_us

ZONES = sorted(available_timezones())
ODD = {"Antarctica/Casey", "Antarctica/Davis", "Antarctica/Troll", "Asia/Pyongyang", "Antarctica/Vostok"}
"""Zones whose clocks were moved by something else than half an hour or an hour since 2012."""
NORMAL_H = {23.0, 23.5, 24.0, 24.5, 25.0}


def local_date(at_us: int, zone: str) -> date:
    return datetime.fromtimestamp(at_us // 1_000_000, ZoneInfo(zone)).date()


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("America/New_York", "2026-03-08", 23),
        ("America/New_York", "2026-11-01", 25),
        ("America/New_York", "2026-03-09", 24),
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("Australia/Lord_Howe", "2026-10-04", 23.5),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("Asia/Shanghai", "2026-03-29", 24),
        # Clocks went from 23:59 to 01:00: the day begins at 01:00.
        ("America/Sao_Paulo", "2018-11-04", 23),
        # Clocks went back to 23:01 a minute after midnight: the day had begun, and has the hour.
        ("America/St_Johns", "2010-11-07", 25),
        ("America/St_Johns", "2010-11-06", 24),
        ("Antarctica/Troll", "2016-03-27", 22),
        ("Pacific/Apia", "2011-12-29", 24),
        ("Pacific/Apia", "2011-12-30", 0),
        ("Pacific/Apia", "2011-12-31", 24),
    ],
)
def test_a_day_has_the_hours_that_clocks_show(zone: str, day: str, hours: float) -> None:
    start_us, end_us = day_bounds_us(date.fromisoformat(day), zone)
    assert (end_us - start_us) / HOUR_US == hours


def test_bounds_are_instants_in_utc() -> None:
    bounds = day_bounds_us(date(2026, 3, 8), "America/New_York")
    assert bounds == (parse_rfc3339_us("2026-03-08T05:00:00Z"), parse_rfc3339_us("2026-03-09T04:00:00Z"))


@given(st.sampled_from(ZONES), st.dates(date(2012, 1, 1), date(2037, 12, 30)))
def test_days_follow_each_other_without_a_gap_in_every_zone(zone: str, day: date) -> None:
    start_us, end_us = day_bounds_us(day, zone)
    assert day_bounds_us(day + timedelta(days=1), zone)[0] == end_us
    assert local_date(start_us, zone) == day
    assert local_date(start_us - 1_000_000, zone) < day
    assert (end_us - start_us) / HOUR_US in NORMAL_H or zone in ODD
    # The budget day that a charge at the day's begin counts on is the day itself.
    assert budget_day(start_us, zone) == day.isoformat()


@pytest.mark.slow
def test_every_day_of_a_year_in_every_zone() -> None:
    for zone in ZONES:
        last_end_us = day_bounds_us(date(2025, 12, 31), zone)[1]
        for number in range(365):
            start_us, end_us = day_bounds_us(date(2026, 1, 1) + timedelta(days=number), zone)
            assert start_us == last_end_us
            assert (end_us - start_us) / HOUR_US in NORMAL_H or zone in ODD, (zone, number)
            last_end_us = end_us


@given(st.sampled_from(ZONES), st.dates(date(2000, 1, 1), date(2099, 12, 30)))
def test_bids_close_before_the_day_begins_anywhere(zone: str, day: date) -> None:
    start_us, end_us = day_bounds_us(day, zone)
    assert close_time_us(day) <= start_us <= end_us


def test_bids_close_at_ten_of_the_day_before() -> None:
    close_us = close_time_us(date(2026, 3, 8))
    assert close_us == parse_rfc3339_us("2026-03-07T10:00:00Z")
    assert close_us == day_bounds_us(date(2026, 3, 8), "Pacific/Kiritimati")[0]


@given(st.dates(date(1970, 1, 2), date(2199, 12, 31)))
def test_a_date_is_closed_from_its_close_on(day: date) -> None:
    assert last_closed(close_time_us(day)) == day
    assert last_closed(close_time_us(day) - 1) == day - timedelta(days=1)
    assert midnight_us(day) - midnight_us(day - timedelta(days=1)) == DAY_US


@pytest.mark.parametrize(
    "text", ["2026-2-1", "2026-02-30", "20260201", "", "x", "1969-12-31", "2200-01-01", "2026-W01"]
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert parse_date(text) is None
