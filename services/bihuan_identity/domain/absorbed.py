"""Which persons were merged away, kept in memory so that an old index entry is never believed."""

from collections.abc import Iterable, Sequence

from pyroaring import BitMap64


class AbsorbedPersons:
    """
    The ids of all persons that a merge absorbed, as a compressed bitmap (about two bytes an id).

    Ids are added at once by the process that merged, and by following the merges of all processes; `last_merge_id` is
    how far that went.
    """

    __slots__ = ("_ids", "_last_merge_id")

    def __init__(self) -> None:
        self._ids = BitMap64()
        self._last_merge_id = 0

    @property
    def last_merge_id(self) -> int:
        """The newest merge that was followed; 0 before the first."""
        return self._last_merge_id

    def __contains__(self, person_id: int) -> bool:
        return person_id in self._ids

    def add(self, person_ids: Iterable[int]) -> None:
        """Add what this process merged away; following will meet these merges again, without effect."""
        self._ids.update(person_ids)

    def follow(self, merges: Sequence[tuple[int, int]]) -> None:
        """Add pairs (merge id, absorbed person id), ascending from the newest one followed."""
        if merges:
            self._ids.update(person_id for _, person_id in merges)
            self._last_merge_id = max(self._last_merge_id, merges[-1][0])
