"""Which index entries may be believed: what a process keeps in memory of persons that are not what they were."""

from collections.abc import Iterable, Sequence

from pyroaring import BitMap64

from bihuan_identity.domain.graph import MAX_GENERATION, Attachment, PersonsChange

_PLANES = MAX_GENERATION.bit_length()


class StandingPersons:
    """
    The ids that were absorbed or erased, and the generations above 0, as compressed bitmaps (about two bytes an id).

    Followed from the log of changes, in order; `last_change_id` is how far. Ids that this process changed itself are in
    doubt until that change was followed. An entry is believed where its person stands, is not in doubt, and has the
    entry's generation: then the identifier is still there, because no person gives one up within a generation.
    """

    __slots__ = ("_doubts", "_gone", "_planes", "_shaken", "last_change_id")

    def __init__(
        self, last_change_id: int = 0, gone: Iterable[int] = (), generations: Iterable[tuple[int, int]] = ()
    ) -> None:
        self.last_change_id = last_change_id
        self._gone = BitMap64(gone)
        self._shaken = BitMap64()
        self._planes = [BitMap64() for _ in range(_PLANES)]
        self._doubts: dict[int, tuple[int, ...]] = {}
        for person_id, generation in generations:
            self._set_generation(person_id, generation)

    def believes(self, entry: Attachment) -> bool:
        """Tell whether an index entry says what the truth says."""
        person_id = entry.person_id
        if self._doubts and any(person_id in ids for ids in self._doubts.values()):
            return False
        if person_id in self._gone or entry.generation == MAX_GENERATION:
            return False
        if person_id not in self._shaken:
            return entry.generation == 0
        return entry.generation == sum(1 << bit for bit, plane in enumerate(self._planes) if person_id in plane)

    def doubt(self, changes: Iterable[PersonsChange]) -> None:
        """Doubt the persons of changes that were just committed here, until they are followed."""
        for change in changes:
            if change.change_id > self.last_change_id:
                self._doubts[change.change_id] = _concerned(change)

    def follow(self, changes: Sequence[PersonsChange]) -> None:
        """Take over changes, ascending from the newest one followed."""
        for change in changes:
            after = {part.person_id for part in change.parts}
            self._gone -= BitMap64(after)
            self._gone |= BitMap64(person_id for person_id in change.before if person_id not in after)
            for person_id, generation in change.generations:
                self._set_generation(person_id, generation)
            self.last_change_id = change.change_id
            self._doubts.pop(change.change_id, None)

    def _set_generation(self, person_id: int, generation: int) -> None:
        self._shaken.add(person_id)
        for bit, plane in enumerate(self._planes):
            if generation >> bit & 1:
                plane.add(person_id)
            else:
                plane.discard(person_id)


def _concerned(change: PersonsChange) -> tuple[int, ...]:
    return (*change.before, *(part.person_id for part in change.parts))
