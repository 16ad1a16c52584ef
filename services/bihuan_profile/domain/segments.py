"""
Segments made by rule.

- `new`: the first view, click or other operation was less than 30 days ago.
- `active_30d`: something other than being shown an advertisement was done in the last 30 days, purchases apart.
- `lapsed`: has ordered, but not in the last 90 days.
- `loyal`: three orders or more, the last of them in the last 90 days.

A span of n days is [now - n days, now]. The first two rest on operation data, the others on transactions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from bihuan_profile.domain.behaviour import Behaviour, data_class_of
from bihuan_profile.domain.governance import ADVERTISING_PURPOSES, DataClass, Purpose
from bihuan_profile.domain.record import Record, last_done_us
from bihuan_shared.clock import DAY_US

RECENT_DAYS: Final = 30
RECENT_US: Final = RECENT_DAYS * DAY_US
LAPSED_DAYS: Final = 90
LAPSED_AFTER_US: Final = LAPSED_DAYS * DAY_US
LOYAL_ORDERS: Final = 3


_ACTIVE: Final = tuple(
    one for one in Behaviour if one is not Behaviour.IMPRESSION and data_class_of(one) is DataClass.OPERATION
)


@dataclass(frozen=True, slots=True)
class Segment:
    """
    A rule, the class of the data it rests on, and what it may be used for.

    `rule` says it in words. Of a record that is in it, `until_us` gives the first instant at which it is not if nothing
    happens (microseconds; None: never), and `evidence` what was looked at, by name: a count, or an instant (`*_time`).
    """

    name: str
    data_class: DataClass
    purposes: frozenset[Purpose]
    holds: Callable[[Record, int], bool]
    rule: str
    until_us: Callable[[Record], int | None]
    evidence: Callable[[Record], Mapping[str, int]]


def is_new(record: Record, now_us: int) -> bool:
    """First operation less than 30 days ago."""
    return record.first_operation_us > now_us - RECENT_US


def is_active(record: Record, now_us: int) -> bool:
    """Some operation other than an impression in the last 30 days."""
    last_us = last_active_us(record)
    return last_us > 0 and last_us >= now_us - RECENT_US


def last_active_us(record: Record) -> int:
    """When an operation other than an impression was last done, 0 where never."""
    return last_done_us(record.counts, _ACTIVE)


def is_lapsed(record: Record, now_us: int) -> bool:
    """Has ordered, but not in the last 90 days."""
    return record.orders.frequency > 0 and record.orders.last_time_us < now_us - LAPSED_AFTER_US


def is_loyal(record: Record, now_us: int) -> bool:
    """Three orders or more, the last in the last 90 days."""
    orders = record.orders
    return orders.frequency >= LOYAL_ORDERS and orders.last_time_us >= now_us - LAPSED_AFTER_US


def _orders(record: Record) -> Mapping[str, int]:
    return {"orders": record.orders.frequency, "last_order_time": record.orders.last_time_us}


SEGMENTS: Final = (
    Segment(
        "new",
        DataClass.OPERATION,
        ADVERTISING_PURPOSES,
        is_new,
        f"the first view, click or other operation was less than {RECENT_DAYS} days ago",
        lambda record: record.first_operation_us + RECENT_US,
        lambda record: {"first_operation_time": record.first_operation_us},
    ),
    Segment(
        "active_30d",
        DataClass.OPERATION,
        ADVERTISING_PURPOSES,
        is_active,
        f"something other than being shown an advertisement was done in the last {RECENT_DAYS} days, purchases apart",
        lambda record: last_active_us(record) + RECENT_US + 1,
        lambda record: {"last_operation_time": last_active_us(record)},
    ),
    Segment(
        "lapsed",
        DataClass.TRANSACTION,
        ADVERTISING_PURPOSES,
        is_lapsed,
        f"has ordered, but not in the last {LAPSED_DAYS} days",
        lambda _record: None,
        _orders,
    ),
    Segment(
        "loyal",
        DataClass.TRANSACTION,
        ADVERTISING_PURPOSES,
        is_loyal,
        f"{LOYAL_ORDERS} orders or more, the last in the last {LAPSED_DAYS} days",
        lambda record: record.orders.last_time_us + LAPSED_AFTER_US + 1,
        _orders,
    ),
)
SOURCE: Final = "Bihuan"
