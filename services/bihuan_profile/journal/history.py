"""Reading all that profile has kept in the lake."""

import asyncio
from collections.abc import Collection, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from bihuan_profile.domain.behaviour import Event
from bihuan_profile.domain.told import Erasure, ToldFact
from bihuan_profile.journal import rows
from bihuan_profile.journal.datasets import ATTRIBUTES, BEHAVIOUR, CHANGES, ERASURES, OPEN_ERASURES, reading
from bihuan_shared.errors import Unavailable
from bihuan_shared.lake import Lake
from bihuan_shared.person_change import PersonsChange


class LakeHistory:
    """A History in the lake."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    async def changes(self) -> list[PersonsChange]:
        """Every change that was kept, once, by number. Raises Unavailable."""
        found = await self._all(CHANGES, rows.CHANGES)
        by_id = {change.change_id: change for change in map(rows.change_of, found)}
        return [by_id[change_id] for change_id in sorted(by_id)]

    async def erasures_to_do(self) -> list[Erasure]:
        """Erasures whose rows are still to be removed. Raises Unavailable."""
        return [rows.erasure_of(row) for row in await self._all(OPEN_ERASURES, rows.OPEN_ERASURES)]

    async def erased(self) -> list[Erasure]:
        """Everyone that was ever erased, those to be done included. Raises Unavailable."""
        done = [rows.erasure_of(row) for row in await self._all(ERASURES, rows.ERASURES)]
        return [*done, *await self.erasures_to_do()]

    async def told_ids(self, among: Collection[int]) -> set[int]:
        """Which of some ids rows are kept under. Raises Unavailable."""
        if not among:
            return set()
        wanted = pc.field("person_id").isin(pa.array(sorted(among), pa.uint64()))

        def scan() -> set[int]:
            found: set[int] = set()
            for dataset, schema in ((BEHAVIOUR, rows.BEHAVIOUR), (ATTRIBUTES, rows.ATTRIBUTES)):
                scanned = self._lake.dataset(dataset, schema)
                for batch in scanned.to_batches(columns=["person_id"], filter=wanted):
                    found.update(pc.unique(batch.column("person_id")).to_pylist())
            return found

        return await reading(scan)

    async def event_files(self) -> list[str]:
        """Paths of the files of events. Raises Unavailable."""
        return await self._files(BEHAVIOUR)

    async def fact_files(self) -> list[str]:
        """Paths of the files of facts, by when the last one in each was set. Raises Unavailable."""
        return await self._files(ATTRIBUTES)

    async def events_in(self, files: Sequence[str]) -> list[Event]:
        """The events in some files. Raises Unavailable."""
        return [rows.event_of(row) for row in await self._in(BEHAVIOUR, rows.BEHAVIOUR, files)]

    async def facts_in(self, files: Sequence[str]) -> list[ToldFact]:
        """The facts in some files. Raises Unavailable."""
        return [rows.fact_of(row) for row in await self._in(ATTRIBUTES, rows.ATTRIBUTES, files)]

    async def _files(self, dataset: str) -> list[str]:
        try:
            return list(await asyncio.to_thread(self._lake.list, dataset))
        except OSError as error:
            raise Unavailable("the lake cannot be read") from error

    async def _all(self, dataset: str, schema: pa.Schema) -> list[dict[str, object]]:
        return await reading(lambda: _rows(self._lake.dataset(dataset, schema).to_table(columns=schema.names)))

    async def _in(self, dataset: str, schema: pa.Schema, files: Sequence[str]) -> list[dict[str, object]]:
        attempts = 0

        def scan() -> list[dict[str, object]]:
            nonlocal attempts
            attempts += 1
            # Looked up only where that failed: a listing of a bucket costs more than reading the files.
            there = files if attempts == 1 else [path for path in self._lake.list(dataset) if path in set(files)]
            return _rows(self._lake.dataset(dataset, schema, paths=there).to_table(columns=schema.names))

        return await reading(scan)


def _rows(table: pa.Table) -> list[dict[str, object]]:
    found: list[dict[str, object]] = table.to_pylist()
    return found
