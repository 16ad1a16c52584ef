"""Writing and reading a dataset of the lake."""

import asyncio
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final, Generic, TypeVar

import duckdb
import pyarrow as pa

from bihuan_shared.errors import Unavailable
from bihuan_shared.group_commit import GroupCommit
from bihuan_shared.lake import Lake

BEHAVIOUR: Final = "behaviour"
ATTRIBUTES: Final = "attributes"
CHANGES: Final = "profile_changes"
ERASURES: Final = "profile_erasures"
OPEN_ERASURES: Final = "profile_erasures_open"
EDGES: Final = "social_edges"
MAX_ROWS: Final = 10_000
MAX_QUEUE: Final = 50_000
_ATTEMPTS: Final = 4

_Row = TypeVar("_Row")
_Found = TypeVar("_Found")


class Kept(Generic[_Row]):
    """
    Appends to one dataset by group commit.

    A file is named by what `key` says of its rows, so that the same batch replaces itself; where it is to be read
    `in_order`, by the time of its last row first.
    """

    def __init__(
        self,
        lake: Lake,
        dataset: str,
        table_of: Callable[[Sequence[_Row]], pa.Table],
        key: Callable[[_Row], str],
        time_us: Callable[[_Row], int],
        *,
        in_order: bool = False,
    ) -> None:
        self._lake = lake
        self._dataset = dataset
        self._table_of = table_of
        self._key = key
        self._time_us = time_us
        self._in_order = in_order
        self._group: GroupCommit[_Row, None] = GroupCommit(self._commit, max_items=MAX_ROWS, max_queue=MAX_QUEUE)

    async def write(self, rows: Sequence[_Row]) -> None:
        """Keep rows, durably on return. Raises Unavailable, and ResourceExhausted where too many wait."""
        for start in range(0, len(rows), MAX_ROWS):
            await self._group.submit(rows[start : start + MAX_ROWS])

    async def close(self) -> None:
        """Finish what was submitted."""
        await self._group.close()

    async def _commit(self, rows: Sequence[_Row]) -> Sequence[None]:
        name = sha256("\n".join(map(self._key, rows)).encode()).hexdigest()[:32]
        last_us = max(map(self._time_us, rows))
        if self._in_order:
            name = f"{last_us:016d}-{name}"
        table = await asyncio.to_thread(self._table_of, rows)
        try:
            await self._lake.write(self._dataset, name, table, time_us=last_us)
        except OSError as error:
            raise Unavailable("the lake cannot be written") from error
        return [None] * len(rows)


async def reading(scan: Callable[[], _Found]) -> _Found:
    """
    What a scan of the lake finds, off the event loop; begun again where rows were taken out of a file meanwhile.

    Raises Unavailable.
    """
    for attempt in range(_ATTEMPTS):
        try:
            return await asyncio.to_thread(scan)
        except (OSError, pa.ArrowInvalid, duckdb.IOException) as error:
            if attempt + 1 == _ATTEMPTS:
                raise Unavailable("the lake cannot be read") from error
    raise AssertionError("the last attempt returns or raises")
