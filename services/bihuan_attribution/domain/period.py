"""Accounting periods: calendar months in UTC. What belongs to a closed one is booked in the first that is open."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

FIRST_PERIOD: Final = "1970-01"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Period:
    """
    One accounting period, `YYYY-MM`.

    Once it is closed, `head_hash` is the hash of the ledger's last entry at that moment, which stands for everything
    up to it. An open one has none, and 0 in the numbers.
    """

    period: str
    is_closed: bool = False
    close_time_us: int = 0
    last_entry_id: int = 0
    head_hash: bytes = b""


def period_of(at_us: int) -> str:
    """The period (`YYYY-MM`) of an instant."""
    return (_EPOCH + timedelta(microseconds=at_us)).strftime("%Y-%m")


def period_after(period: str) -> str:
    """The period after one."""
    year, month = int(period[:4]), int(period[5:])
    return f"{year + 1:04d}-01" if month == 12 else f"{year:04d}-{month + 1:02d}"  # noqa: PLR2004


def period_end_us(period: str) -> int:
    """The first instant after a period."""
    after = period_after(period)
    end = datetime(int(after[:4]), int(after[5:]), 1, tzinfo=UTC)
    return (end - _EPOCH) // timedelta(microseconds=1)


def booked_in(at_us: int, last_closed: str) -> tuple[str, bool]:
    """Where something of an instant is booked, and whether that is an adjustment; `last_closed` is empty for none."""
    period = period_of(at_us)
    return (period, False) if period > last_closed else (period_after(last_closed), True)
