"""Records in memory: the contract of the Redis store without Redis. Nothing survives the process."""

from collections.abc import AsyncIterator, Sequence

from bihuan_profile.domain.marks import Mark
from bihuan_profile.domain.record import Record
from bihuan_profile.profile_store.blob import next_revision
from bihuan_profile.use_cases.ports import Answer, Ask, Change, Held


class MemoryProfileStore:
    """A ProfileStore in two dicts. One event loop may use it from many tasks."""

    def __init__(self) -> None:
        self._held: dict[int, Held] = {}
        self._marks: set[tuple[int, Mark]] = set()
        self._followed: int | None = None

    async def read(self, person_ids: Sequence[int]) -> list[Held]:
        """What is held about each, in the same order."""
        return [self._held.get(person_id, Held()) for person_id in person_ids]

    async def ask(self, asks: Sequence[Ask]) -> list[Answer]:
        """What is held about each person, and which marks are known."""
        held = await self.read([ask.person_id for ask in asks])
        return [
            Answer(
                one,
                tuple(
                    (mark.person_id or ask.person_id, Mark(mark.month, mark.digest)) in self._marks
                    for mark in ask.marks
                ),
            )
            for ask, one in zip(asks, held, strict=True)
        ]

    async def compare_and_set(self, changes: Sequence[Change]) -> list[bool]:
        """Of each change whether it was written."""
        written = []
        for change in changes:
            current = self._held.get(change.person_id, Held())
            if current.revision == change.revision:
                revision = next_revision(change.revision)
                erased = change.record is None
                moved_to = 0 if erased else change.moved_to
                if change.forget:
                    self._held.pop(change.person_id, None)
                else:
                    self._held[change.person_id] = Held(change.record or Record(), revision, erased, moved_to)
                self._marks.update((change.person_id, mark) for mark in change.marks)
                written.append(True)
            else:
                written.append(False)
        return written

    async def scan(self, batch_size: int) -> AsyncIterator[list[tuple[int, Record]]]:
        """Every person who is not erased, in batches."""
        everyone = [
            (person_id, held.record) for person_id, held in self._held.items() if not held.erased and not held.moved_to
        ]
        for start in range(0, len(everyone), batch_size):
            yield everyone[start : start + batch_size]

    async def followed(self) -> int | None:
        """The last change of who is who that was followed."""
        return self._followed

    async def note_followed(self, change_id: int) -> None:
        """Note how far changes were followed."""
        self._followed = change_id

    async def ping(self) -> bool:
        """Always."""
        return True
