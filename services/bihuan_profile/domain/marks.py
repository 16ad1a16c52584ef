"""How an event is remembered once it was taken in: 8 bytes in the set of its month."""

import time
from dataclasses import dataclass, replace
from hashlib import blake2b

from bihuan_profile.domain.behaviour import Event

_MICROS_PER_SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Mark:
    """
    An event that was taken in.

    `month` is the event's, in UTC, as yyyymm; `digest` is a signed 64-bit digest of person and event key, small enough
    for the store's integer sets. Two events of a person share one by chance once in about 10¹⁹ pairs. `person_id` is
    the id under which it is remembered, 0 for the person that is asked about.
    """

    month: int
    digest: int
    person_id: int = 0


def mark_of(event: Event) -> Mark:
    """The mark of an event: the same for the same person, key and month of the event."""
    return _mark(event.person_id, event.key, event.time_us)


def mark_under(event: Event, former_id: int) -> Mark:
    """The mark that an event has where it was taken in under an id that its person had before."""
    return replace(_mark(former_id, event.key, event.time_us), person_id=former_id)


def mark_of_merge(survivor_id: int, absorbed_id: int, change_id: int, time_us: int) -> Mark:
    """The mark of a profile that was folded into another one."""
    return _mark(survivor_id, f"\0merge:{change_id}:{absorbed_id}", time_us)


def _mark(person_id: int, key: str, time_us: int) -> Mark:
    digest = blake2b(f"{person_id}\0{key}".encode(), digest_size=8).digest()
    instant = time.gmtime(time_us // _MICROS_PER_SECOND)
    return Mark(instant.tm_year * 100 + instant.tm_mon, int.from_bytes(digest, "big", signed=True))
