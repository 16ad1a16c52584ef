"""When rules say something else of a person although nothing happens."""

from collections.abc import Iterator
from typing import Protocol

from bihuan_profile.domain.aarrr import aarrr
from bihuan_profile.domain.aipl import aipl
from bihuan_profile.domain.ladder import ladder
from bihuan_profile.domain.record import Record
from bihuan_profile.domain.relation import relation
from bihuan_profile.domain.segments import LAPSED_AFTER_US, SEGMENTS


class _Stage(Protocol):
    @property
    def until_us(self) -> int | None: ...


def next_change_us(record: Record, now_us: int) -> int | None:
    """
    The first instant after `now_us` at which a segment, the ladder, the stage or a relation may be another.

    None where that is never. At the newest event's time, where that is ahead, decay begins. The influence tier is not
    looked at, as it is of the social class, nor what rests on the population.
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
    at_us = max(now_us, record.reference_us)
    stages: list[_Stage | None] = [ladder(record, now_us), aarrr(record, now_us)]
    for bond in record.bonds.values():
        stages += [relation(bond, record.reference_us, at_us), aipl(bond, at_us)]
    for stage in stages:
        if stage is not None and stage.until_us is not None:
            yield stage.until_us
