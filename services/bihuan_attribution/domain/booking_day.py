"""Days as they are sold: where a date begins and ends in a time zone, and until when it is bid for."""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from bihuan_attribution.domain.event import HOUR_US, SECOND_US

FIRST_DATE = date(1970, 1, 1)
LAST_DATE = date(2199, 12, 31)
"""Dates outside are refused, so that every instant around one can be computed."""
_BEFORE_MIDNIGHT_US = 14 * HOUR_US
_MOST_OFFSET_S = 16 * 3_600
_STEP_S = 4 * 3_600
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_date(text: str) -> date | None:
    """The date that `YYYY-MM-DD` names, between 1970 and 2199; None for anything else."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if FIRST_DATE <= found <= LAST_DATE and found.isoformat() == text else None


def midnight_us(day: date) -> int:
    """The first instant of a date in UTC."""
    return (day.toordinal() - FIRST_DATE.toordinal()) * 24 * HOUR_US


def close_time_us(day: date) -> int:
    """
    The first instant at which a date is not bid for any more.

    It is 10:00 UTC of the day before, when the date begins in the first time zone of the earth (UTC+14): nobody bids
    for a day that has begun anywhere.
    """
    return midnight_us(day) - _BEFORE_MIDNIGHT_US


def last_closed(now_us: int) -> date:
    """The last date that is not bid for any more at an instant."""
    return FIRST_DATE + timedelta(days=(now_us + _BEFORE_MIDNIGHT_US) // (24 * HOUR_US))


def day_bounds_us(day: date, time_zone: str) -> tuple[int, int]:
    """
    First instant of a date in an IANA time zone, and of the date after it, mostly 23, 24 or 25 hours apart.

    A date begins when clocks show it for the first time, or a later one; days therefore follow each other without a
    gap. Half an hour more or less occurs (Australia/Lord_Howe), and two or three hours (Antarctica/Troll, Casey). Where
    clocks go back over midnight, what they show twice belongs to the date that has begun. A date that a zone leaves out
    (Pacific/Apia had no 2011-12-30) has no time in it: both instants are the same.
    """
    return _begin_us(day, time_zone), _begin_us(day + timedelta(days=1), time_zone)


@lru_cache(maxsize=65_536)
def _begin_us(day: date, time_zone: str) -> int:
    zone = ZoneInfo(time_zone)
    midnight_s = midnight_us(day) // SECOND_US
    around = range(midnight_s - _MOST_OFFSET_S, midnight_s + _MOST_OFFSET_S + 1, _STEP_S)
    offsets = {_offset_s(at_s, zone) for at_s in around}
    exact = [midnight_s - one for one in offsets if _offset_s(midnight_s - one, zone) == one]
    if exact:
        return min(exact) * SECOND_US
    # Clocks jumped over midnight: the date begins where they did.
    before_s, after_s = around[0], around[-1]
    while after_s - before_s > 1:
        middle_s = (before_s + after_s) // 2
        if middle_s + _offset_s(middle_s, zone) >= midnight_s:
            after_s = middle_s
        else:
            before_s = middle_s
    return after_s * SECOND_US


def _offset_s(at_s: int, zone: ZoneInfo) -> int:
    offset = (_EPOCH + timedelta(seconds=at_s)).astimezone(zone).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0
