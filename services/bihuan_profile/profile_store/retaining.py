"""A store in which whatever is older than its retention is not there: for reads, and for what is written after them."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from bihuan_profile.domain.record import Record
from bihuan_profile.domain.retention import Retention, expired
from bihuan_profile.use_cases.ports import Answer, Ask, Held, ProfileStore
from bihuan_profile.use_cases.private_retention import PrivateRetention
from bihuan_shared.clock import Clock


class RetainingProfileStore:
    """
    A ProfileStore in front of another one.

    A write after a read stores what the read told, so that what has expired never counts again.
    """

    def __init__(self, store: ProfileStore, clock: Clock, retention: PrivateRetention) -> None:
        self._store = store
        self._clock = clock
        self._retention = retention
        self.compare_and_set = store.compare_and_set
        self.followed = store.followed
        self.note_followed = store.note_followed
        self.ping = store.ping

    async def read(self, person_ids: Sequence[int]) -> list[Held]:
        """What is held about each, in the same order."""
        found = await self._store.read(person_ids)
        retention, now_us = await self._retention.of(held.record for held in found), self._clock.now_us()
        return [_pruned(held, now_us, retention) for held in found]

    async def ask(self, asks: Sequence[Ask]) -> list[Answer]:
        """What is held about each person and which marks are known, in the same order."""
        found = await self._store.ask(asks)
        retention, now_us = await self._retention.of(one.held.record for one in found), self._clock.now_us()
        return [Answer(_pruned(one.held, now_us, retention), one.seen) for one in found]

    async def scan(self, batch_size: int) -> AsyncIterator[list[tuple[int, Record]]]:
        """Everyone who is not erased, in batches."""
        async for batch in self._store.scan(batch_size):
            retention, now_us = await self._retention.of(record for _, record in batch), self._clock.now_us()
            yield [(person_id, expired(record, now_us, retention)) for person_id, record in batch]


def _pruned(held: Held, now_us: int, retention: Retention) -> Held:
    record = expired(held.record, now_us, retention)
    return held if record is held.record else replace(held, record=record)
