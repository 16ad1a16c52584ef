"""A store that tells whose records are about to be written."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from bihuan_profile.domain.record import Record
from bihuan_profile.use_cases.ports import Answer, Ask, Change, Held, ProfileStore


class AnnouncingProfileStore:
    """
    Another store, every write of which is told before it is made; where telling fails, nothing is written.

    It is told before and not after, as a process may end in between.
    """

    def __init__(self, store: ProfileStore, announce: Callable[[Sequence[int]], Awaitable[None]]) -> None:
        self._store = store
        self._announce = announce

    async def read(self, person_ids: Sequence[int]) -> list[Held]:
        """What is held about each, in the same order."""
        return await self._store.read(person_ids)

    async def ask(self, asks: Sequence[Ask]) -> list[Answer]:
        """What is held about each person and which marks are known."""
        return await self._store.ask(asks)

    async def compare_and_set(self, changes: Sequence[Change]) -> list[bool]:
        """Of each change whether it was written; all are told first."""
        await self._announce([change.person_id for change in changes])
        return await self._store.compare_and_set(changes)

    def scan(self, batch_size: int) -> AsyncIterator[list[tuple[int, Record]]]:
        """Every person who is not erased or part of another, in batches."""
        return self._store.scan(batch_size)

    async def followed(self) -> int | None:
        """The last change of who is who that was followed."""
        return await self._store.followed()

    async def note_followed(self, change_id: int) -> None:
        """Note how far changes were followed."""
        await self._store.note_followed(change_id)

    async def ping(self) -> bool:
        """Whether the store answers."""
        return await self._store.ping()
