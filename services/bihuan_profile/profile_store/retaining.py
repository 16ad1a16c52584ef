"""A store in which whatever is older than its retention is not there: for reads, and for what is written after them."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from bihuan_profile.domain.record import Record
from bihuan_profile.domain.retention import Retention, expired
from bihuan_profile.use_cases.ports import Answer, Ask, Held, ProfileStore
from bihuan_shared.clock import Clock


class RetainingProfileStore:
    """
    A ProfileStore in front of another one.

    A write after a read stores what the read told, so that what has expired never counts again.
    """

    def __init__(self, store: ProfileStore, clock: Clock, retention: Retention) -> None:
        self._store = store
        self._clock = clock
        self._retention = retention
        self.compare_and_set = store.compare_and_set
        self.followed = store.followed
        self.note_followed = store.note_followed
        self.ping = store.ping

    async def read(self, person_ids: Sequence[int]) -> list[Held]:
        """What is held about each, in the same order."""
        now_us = self._clock.now_us()
        return [self._pruned(held, now_us) for held in await self._store.read(person_ids)]

    async def ask(self, asks: Sequence[Ask]) -> list[Answer]:
        """What is held about each person and which marks are known, in the same order."""
        now_us = self._clock.now_us()
        return [Answer(self._pruned(one.held, now_us), one.seen) for one in await self._store.ask(asks)]

    async def scan(self, batch_size: int) -> AsyncIterator[list[tuple[int, Record]]]:
        """Everyone who is not erased, in batches."""
        async for batch in self._store.scan(batch_size):
            now_us = self._clock.now_us()
            yield [(person_id, expired(record, now_us, self._retention)) for person_id, record in batch]

    def _pruned(self, held: Held, now_us: int) -> Held:
        record = expired(held.record, now_us, self._retention)
        return held if record is held.record else replace(held, record=record)
