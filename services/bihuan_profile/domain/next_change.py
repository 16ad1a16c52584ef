"""When rules say something else of a person although nothing happens."""

from collections.abc import Iterator

from bihuan_profile.domain.aarrr import aarrr
from bihuan_profile.domain.ladder import ladder
from bihuan_profile.domain.record import Record
from bihuan_profile.domain.segments import LAPSED_AFTER_US, SEGMENTS


def next_change_us(record: Record, now_us: int) -> int | None:
    """
    The first instant after `now_us` at which a segment, the ladder or the stage may be another; None where never.

    At the newest event's time, where that is ahead, decay begins. The influence tier is not looked at, as it is of the
    social class, nor what rests on the population.
    """
    return min((instant for instant in _instants(record, now_us) if instant > now_us), default=None)


def _instants(record: Record, now_us: int) -> Iterator[int]:
    yield record.reference_us
    for segment in SEGMENTS:
        until_us = segment.until_us(record) if segment.holds(record, now_us) else None
        if until_us is not None:
            yield until_us
    if record.orders.frequency > 0:
        yield record.orders.last_time_us + LAPSED_AFTER_US + 1
    for stage in (ladder(record, now_us), aarrr(record, now_us)):
        if stage is not None and stage.until_us is not None:
            yield stage.until_us
