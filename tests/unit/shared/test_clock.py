"""Time as integers, as RFC 3339 and as protobuf; the replayed request's own time."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_shared.clock import (
    DAY_US,
    FixedClock,
    ReplayClock,
    SystemClock,
    background_time_us,
    clock_from,
    format_rfc3339,
    parse_rfc3339_us,
    replay_time_us,
    reset_replay_time,
    set_replay_time_us,
    to_timestamp,
    to_us,
)

YEAR_1_US = -62_135_596_800_000_000
YEAR_9999_END_US = 253_402_300_799_999_999
INSTANTS_US = st.integers(YEAR_1_US, YEAR_9999_END_US)


@given(INSTANTS_US)
def test_rfc3339_text_reads_back_as_the_same_instant(time_us: int) -> None:
    assert parse_rfc3339_us(format_rfc3339(time_us)) == time_us


@given(INSTANTS_US)
def test_timestamp_reads_back_as_the_same_instant(time_us: int) -> None:
    timestamp = to_timestamp(time_us)
    assert to_us(timestamp) == time_us
    assert 0 <= timestamp.nanos < 1_000_000_000


@given(
    st.datetimes(datetime(1000, 1, 2), datetime(9999, 12, 30)),  # noqa: DTZ001  # the offset is added below
    st.integers(-23 * 60 - 59, 23 * 60 + 59),
)
def test_offset_is_taken_off(local: datetime, offset_minutes: int) -> None:
    sign, (hours, minutes) = "-" if offset_minutes < 0 else "+", divmod(abs(offset_minutes), 60)
    expected = local.replace(tzinfo=UTC) - timedelta(minutes=offset_minutes)
    text = f"{local.isoformat(timespec='microseconds')}{sign}{hours:02}:{minutes:02}"
    assert parse_rfc3339_us(text) == (expected - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("text", "expected_us"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:00.5z", 500_000),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("1970-01-01T08:00:00+08:00", 0),
        ("2017-08-15T00:00:00Z", 1_502_755_200_000_000),
    ],
)
def test_known_instants(text: str, expected_us: int) -> None:
    assert parse_rfc3339_us(text) == expected_us


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2017-08-15",
        "2017-08-15 00:00:00Z",
        "2017-08-15T00:00:00",
        "2017-02-29T00:00:00Z",
        "2017-08-15T24:00:00Z",
        "2017-08-15T23:59:60Z",
        "2017-08-15T00:00:00+24:00",
        "2017-08-15T00:00:00+00:60",
        "2017-08-15T00:00:00.Z",
        "2017-08-15T00:00:00.1234567890Z",
        "٢٠١٧-08-15T00:00:00Z",
        "2017-08-15T00:00:00Z\n",
    ],
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_rfc3339_us(text)


def test_fixed_clock_moves_only_when_told() -> None:
    clock = FixedClock(5)
    assert (clock.now_us(), clock.now_us()) == (5, 5)
    clock.advance_us(DAY_US)
    assert clock.now_us() == 5 + DAY_US


def test_replay_clock_is_the_wall_clock_before_the_first_request() -> None:
    before_us = SystemClock().now_us()
    assert before_us <= ReplayClock().now_us() <= SystemClock().now_us()


async def test_each_request_sees_its_own_time_and_the_background_the_highest() -> None:
    clock = ReplayClock()
    both_set = asyncio.Barrier(2)

    async def request(time_us: int) -> int:
        set_replay_time_us(time_us)
        await both_set.wait()
        return clock.now_us()

    assert list(await asyncio.gather(request(2_000), request(1_000))) == [2_000, 1_000]
    assert replay_time_us() is None
    assert clock.now_us() == 2_000


def test_resetting_restores_the_outer_time() -> None:
    outer = set_replay_time_us(10)
    inner = set_replay_time_us(5)
    reset_replay_time(inner)
    assert ReplayClock().now_us() == 10
    reset_replay_time(outer)
    assert replay_time_us() is None


def test_clock_setting_names_one_of_two_clocks() -> None:
    assert isinstance(clock_from("system"), SystemClock)
    assert isinstance(clock_from("replay"), ReplayClock)
    with pytest.raises(ValueError, match="clock must be"):
        clock_from("sundial")


def test_a_replay_that_has_not_begun_has_no_time_for_work_that_nobody_asked_for() -> None:
    clock = ReplayClock()
    assert background_time_us(clock) is None
    assert background_time_us(FixedClock(7)) == 7
    reset_replay_time(set_replay_time_us(42))
    assert background_time_us(clock) == 42
