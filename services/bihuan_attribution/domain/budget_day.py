"""Days as an advertiser's calendar has them."""

from datetime import datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bihuan_attribution.domain.event import HOUR_US, SECOND_US

QUARTER_US = HOUR_US // 4


@lru_cache(maxsize=65_536)
def _day_of_quarter(quarter: int, time_zone: str) -> str:
    return datetime.fromtimestamp(quarter * 900, ZoneInfo(time_zone)).date().isoformat()


def budget_day(at_us: int, time_zone: str) -> str:
    """
    The date (`YYYY-MM-DD`) of an instant in an IANA time zone.

    Looked up once a quarter of an hour: every offset in use since 1972 is a multiple of that.
    """
    return _day_of_quarter(at_us // QUARTER_US, time_zone)


def day_end_us(at_us: int, time_zone: str) -> int:
    """When the day of an instant ends in an IANA time zone: the first instant of the next one."""
    zone = ZoneInfo(time_zone)
    day = datetime.fromtimestamp(at_us // SECOND_US, zone).date() + timedelta(days=1)
    return int(datetime.combine(day, time(), zone).timestamp()) * SECOND_US


def is_time_zone(name: str) -> bool:
    """Whether the name is known."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
