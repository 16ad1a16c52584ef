"""
What profile keeps in the lake, from which profiles are made anew.

Datasets: `behaviour`, every event that was taken in; `attributes`, every fact that was accepted; `profile_changes`, the
changes of who is who that were followed; `profile_erasures_open`, erasures whose rows are still to be removed, and
`profile_erasures`, whom not to bring back.
"""

import asyncio
from collections.abc import Collection, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from bihuan_profile.domain.behaviour import Event
from bihuan_profile.domain.told import Erasure, ToldFact
from bihuan_profile.journal import rows
from bihuan_profile.journal.datasets import (
    ATTRIBUTES,
    BEHAVIOUR,
    CHANGES,
    ERASURES,
    MAX_ROWS,
    OPEN_ERASURES,
    Kept,
    reading,
)
from bihuan_profile.journal.history import LakeHistory
from bihuan_profile.journal.removing import LakeRows
from bihuan_shared.errors import Unavailable
from bihuan_shared.lake import Lake
from bihuan_shared.person_change import PersonsChange

__all__ = [
    "ATTRIBUTES",
    "BEHAVIOUR",
    "CHANGES",
    "ERASURES",
    "MAX_ROWS",
    "OPEN_ERASURES",
    "LakeHistory",
    "LakeJournal",
    "LakeRows",
]


class LakeJournal:
    """
    Keeps what profile is told, in files; what waits while one is written goes into the next together.

    What was told again in another batch may stand in two files: readers keep one row a person and key.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._history = LakeHistory(lake)
        self._events: Kept[Event] = Kept(
            lake, BEHAVIOUR, rows.event_table, lambda one: f"{one.person_id}\0{one.key}", lambda one: one.time_us
        )
        self._facts: Kept[ToldFact] = Kept(
            lake, ATTRIBUTES, rows.fact_table, repr, lambda one: one.set_us, in_order=True
        )
        self._changes: Kept[PersonsChange] = Kept(
            lake, CHANGES, rows.change_table, lambda one: str(one.change_id), lambda one: one.change_time_us
        )

    async def write(self, events: Sequence[Event]) -> None:
        """Keep events, durably on return. Raises Unavailable, and ResourceExhausted where too many wait."""
        await self._events.write(events)

    async def write_facts(self, facts: Sequence[ToldFact]) -> None:
        """Keep facts, as `write` does events."""
        await self._facts.write(facts)

    async def write_changes(self, changes: Sequence[PersonsChange]) -> None:
        """Keep changes of who is who, as `write` does events."""
        await self._changes.write(changes)

    async def read(self, person_ids: Collection[int], sighting_ids: Collection[int]) -> list[Event]:
        """
        Events under one of some persons or sightings, in no order; every file is looked at. Raises Unavailable.

        Those of an erased person are left out, though they may still stand in a file.
        """
        found = await self._of(BEHAVIOUR, rows.BEHAVIOUR, person_ids, sighting_ids)
        return [rows.event_of(row) for row in found]

    async def read_facts(self, person_ids: Collection[int], sighting_ids: Collection[int]) -> list[ToldFact]:
        """Facts under one of some persons or sightings, as `read` does events."""
        found = await self._of(ATTRIBUTES, rows.ATTRIBUTES, person_ids, sighting_ids)
        return [rows.fact_of(row) for row in found]

    async def open_erasures(self, erasures: Sequence[Erasure]) -> None:
        """Keep that persons are erased, durably on return, and their rows to be removed. Raises Unavailable."""
        try:
            for erasure in erasures:
                table = rows.erasure_table([erasure], rows.OPEN_ERASURES)
                name = _open_name(erasure.person_id)
                await self._lake.write(OPEN_ERASURES, name, table, time_us=erasure.time_us)
        except OSError as error:
            raise Unavailable("the lake cannot be written") from error

    async def close_erasures(self, erasures: Sequence[Erasure]) -> None:
        """Keep only that and when persons were erased: their rows are gone. Raises Unavailable."""
        done = sorted(erasures, key=lambda one: one.person_id)
        kept: Kept[Erasure] = Kept(
            self._lake,
            ERASURES,
            lambda batch: rows.erasure_table(batch, rows.ERASURES),
            lambda one: str(one.person_id),
            lambda one: one.time_us,
        )
        await kept.write(done)
        names = {f"{_open_name(one.person_id)}.parquet" for one in done}
        try:
            for path in await asyncio.to_thread(self._lake.list, OPEN_ERASURES):
                if path.rpartition("/")[2] in names:
                    await self._lake.remove(path)
        except OSError as error:
            raise Unavailable("the lake cannot be written") from error

    async def close(self) -> None:
        """Finish what was submitted."""
        for kept in (self._events, self._facts, self._changes):
            await kept.close()

    async def _of(
        self, dataset: str, schema: pa.Schema, person_ids: Collection[int], sighting_ids: Collection[int]
    ) -> list[dict[str, object]]:
        persons, sightings = (pa.array(sorted(ids), pa.uint64()) for ids in (person_ids, sighting_ids))
        wanted = pc.field("person_id").isin(persons) | pc.field("sighting_id").isin(sightings)
        found = await reading(lambda: self._lake.dataset(dataset, schema).to_table(columns=schema.names, filter=wanted))
        # After the rows: whoever was erased before they were read is then known.
        hidden = {one.person_id: one for one in await self._history.erasures_to_do()}
        return [row for row in found.to_pylist() if not _is_hidden(row, hidden)]


def _is_hidden(row: dict[str, object], erased: dict[int, Erasure]) -> bool:
    person_id, sighting_id = row["person_id"], row["sighting_id"]
    assert isinstance(person_id, int)
    assert isinstance(sighting_id, int)
    return person_id in erased and erased[person_id].covers(sighting_id)


def _open_name(person_id: int) -> str:
    return f"{person_id:016x}"
