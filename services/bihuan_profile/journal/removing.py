"""Taking rows out of what profile has kept in the lake."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from bihuan_profile.journal.datasets import ATTRIBUTES, BEHAVIOUR, EDGES
from bihuan_profile.use_cases.ports import Gone, Kept
from bihuan_shared.clock import SECOND_US
from bihuan_shared.errors import Unavailable
from bihuan_shared.lake import Lake, landed_date

_DATASETS: Final = {Kept.EVENTS: BEHAVIOUR, Kept.FACTS: ATTRIBUTES, Kept.EDGES: EDGES}
_TOLD_OF: Final = (("person_id", "sighting_id"),)
_PLACES: Final[Mapping[str, Sequence[tuple[str, str | None]]]] = {
    BEHAVIOUR: _TOLD_OF,
    ATTRIBUTES: _TOLD_OF,
    EDGES: (("person_id", None), ("other_id", None)),
}
"""Where a row names a person, and the sighting where there is one; a relation goes with either of its ends."""


class LakeRows:
    """
    Rows in the lake; only one process may take some out at a time, which a lease sees to.

    A file is rewritten without them, in its place; where nothing is left, it goes.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    async def remove_rows(self, gone: Gone, proceed: Callable[[], Awaitable[bool]]) -> int | None:
        """Take out every row that `gone` names; how many there were. None where `proceed` said no."""
        wanted = _Wanted(gone)
        removed = 0
        try:
            for dataset, places in _PLACES.items():
                for path in await asyncio.to_thread(self._lake.list, dataset):
                    if not await proceed():
                        return None
                    rest = await asyncio.to_thread(self._without, path, wanted, places)
                    if rest is not None:
                        table, count = rest
                        await self._lake.replace(path, table)
                        removed += count
        except (OSError, pa.ArrowInvalid) as error:
            raise Unavailable("the lake cannot be rewritten") from error
        return removed

    async def remove_before(self, kind: Kept, time_us: int) -> int:
        """Remove files of a kind of which every row is of a day before an instant; how many."""
        before = datetime.fromtimestamp(time_us // SECOND_US, UTC).date()
        removed = 0
        try:
            for path in await asyncio.to_thread(self._lake.list, _DATASETS[kind]):
                if landed_date(path) < before:
                    await self._lake.remove(path)
                    removed += 1
        except OSError as error:
            raise Unavailable("the lake cannot be rewritten") from error
        return removed

    def _without(
        self, path: str, wanted: "_Wanted", places: Sequence[tuple[str, str | None]]
    ) -> tuple[pa.Table, int] | None:
        """What is left of a file, and how many rows are not; None where nothing has to go."""
        columns = [name for place in places for name in place if name is not None]
        mask = wanted.mask(self._lake.read(path, columns=columns), places)
        count = pc.sum(mask).as_py() or 0
        return (self._lake.read(path).filter(pc.invert(mask)), count) if count else None


class _Wanted:
    """The rows that go, as masks over tables."""

    def __init__(self, gone: Gone) -> None:
        self._gone = gone
        self._persons = pa.array(sorted(gone.person_ids), pa.uint64())
        self._sightings = pa.array(sorted(gone.sighting_ids), pa.uint64())

    def mask(self, table: pa.Table, places: Sequence[tuple[str, str | None]]) -> pa.Array:
        mask = [False] * table.num_rows
        for person_column, sighting_column in places:
            persons = table.column(person_column)
            sightings = pa.nulls(table.num_rows, pa.uint64()) if sighting_column is None else table[sighting_column]
            maybe = pc.or_(pc.is_in(persons, self._persons), pc.is_in(sightings, self._sightings))
            for index in pc.indices_nonzero(maybe).to_pylist():
                mask[index] |= self._gone.has(persons[index].as_py(), sightings[index].as_py() or 0)
        return pa.array(mask, pa.bool_())
