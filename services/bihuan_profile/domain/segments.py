"""
Segments made by rule.

- `new`: the first view, click or other operation was less than 30 days ago.
- `active_30d`: something other than being shown an advertisement was done in the last 30 days, purchases apart.
- `lapsed`: has ordered, but not in the last 90 days.
- `loyal`: three orders or more, the last of them in the last 90 days.

A span of n days is [now - n days, now]. The first two rest on operation data, the others on transactions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bihuan_profile.domain.behaviour import Behaviour, data_class_of
from bihuan_profile.domain.governance import ADVERTISING_PURPOSES, DataClass, Purpose
from bihuan_profile.domain.record import Record
from bihuan_shared.clock import DAY_US

RECENT_US: Final = 30 * DAY_US
LAPSED_AFTER_US: Final = 90 * DAY_US
LOYAL_ORDERS: Final = 3


@dataclass(frozen=True, slots=True)
class Segment:
    """A rule, the class of the data it rests on, and what it may be used for."""

    name: str
    data_class: DataClass
    purposes: frozenset[Purpose]
    holds: Callable[[Record, int], bool]


def is_new(record: Record, now_us: int) -> bool:
    """First operation less than 30 days ago."""
    return record.first_operation_us > now_us - RECENT_US


def is_active(record: Record, now_us: int) -> bool:
    """Some operation other than an impression in the last 30 days."""
    return any(
        count.last_time_us >= now_us - RECENT_US
        for behaviour, count in record.counts.items()
        if behaviour != Behaviour.IMPRESSION and data_class_of(Behaviour(behaviour)) is DataClass.OPERATION
    )


def is_lapsed(record: Record, now_us: int) -> bool:
    """Has ordered, but not in the last 90 days."""
    return record.orders.frequency > 0 and record.orders.last_time_us < now_us - LAPSED_AFTER_US


def is_loyal(record: Record, now_us: int) -> bool:
    """Three orders or more, the last in the last 90 days."""
    orders = record.orders
    return orders.frequency >= LOYAL_ORDERS and orders.last_time_us >= now_us - LAPSED_AFTER_US


SEGMENTS: Final = (
    Segment("new", DataClass.OPERATION, ADVERTISING_PURPOSES, is_new),
    Segment("active_30d", DataClass.OPERATION, ADVERTISING_PURPOSES, is_active),
    Segment("lapsed", DataClass.TRANSACTION, ADVERTISING_PURPOSES, is_lapsed),
    Segment("loyal", DataClass.TRANSACTION, ADVERTISING_PURPOSES, is_loyal),
)
