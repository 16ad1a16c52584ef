"""Removing what was kept of erased persons, until nothing is left."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from bihuan_profile.domain.lineage import Lineage
from bihuan_profile.domain.told import Erasure
from bihuan_profile.use_cases.erasing import bury
from bihuan_profile.use_cases.ports import Backoff, Gone, History, Jobs, ProfileStore, Rows

JOB: Final = "erase"
LEASE_S: Final = 60.0
SETTLE_S: Final = 120.0
"""How long after an erasure what was being written of the person then may still land in the lake."""


class Closing(Protocol):
    """Where erasures are done with."""

    async def close_erasures(self, erasures: Sequence[Erasure]) -> None:
        """Keep only that and when persons were erased."""
        ...


@dataclass(frozen=True, slots=True)
class Removed:
    """One pass: rows that were taken out, erasures that are done with, and those that are still open."""

    rows: int = 0
    closed: int = 0
    open: int = 0


class Eraser:
    """
    Works off open erasures, one process at a time.

    Each is looked at twice: at once, and after `settle_s`, for what was on its way when the person was erased.
    """

    def __init__(
        self,
        store: ProfileStore,
        backoff: Backoff,
        history: History,
        rows: Rows,
        closing: Closing,
        jobs: Jobs,
        holder: str,
        *,
        settle_s: float = SETTLE_S,
    ) -> None:
        self._store = store
        self._backoff = backoff
        self._history = history
        self._rows = rows
        self._closing = closing
        self._jobs = jobs
        self._holder = holder
        self._settle_s = settle_s
        self._due_s: dict[int, float] = {}

    async def work_off(self) -> Removed:
        """
        One pass where there is anything to do by now. Raises Unavailable and ResourceExhausted.

        Whatever is not finished is found again by the next pass, of this process or another.
        """
        todo = {one.person_id: one for one in await self._history.erasures_to_do()}
        now_s = asyncio.get_running_loop().time()
        self._due_s = {one: due_s for one, due_s in self._due_s.items() if one in todo}
        new = todo.keys() - self._due_s.keys()
        due = [one for one, due_s in self._due_s.items() if due_s <= now_s]
        if not new and not due:
            return Removed(open=len(todo))
        if not await self._jobs.lease(JOB, self._holder, LEASE_S):
            return Removed(open=len(todo))
        try:
            await bury(self._store, self._backoff, list(todo))
            removed = await self._rows.remove_rows(await self._gone(todo), self._proceed)
            if removed is None:
                return Removed(open=len(todo))
            if due:
                await self._closing.close_erasures([todo[one] for one in due])
        finally:
            await self._jobs.release(JOB, self._holder)
        self._due_s |= dict.fromkeys(new, now_s + self._settle_s)
        return Removed(removed, len(due), len(todo) - len(due))

    async def _proceed(self) -> bool:
        return await self._jobs.lease(JOB, self._holder, LEASE_S)

    async def _gone(self, todo: dict[int, Erasure]) -> Gone:
        lineage = Lineage(await self._history.changes())
        owned = {other for one in todo for other in lineage.ids(one)}
        sightings = {sighting for one in todo for sighting in lineage.sightings(one)}

        def has(person_id: int, sighting_id: int) -> bool:
            erasure = todo.get(person_id)
            if erasure is not None and erasure.covers(sighting_id):
                return True
            return lineage.owner(person_id, sighting_id) in todo

        return Gone(frozenset(todo) | owned, frozenset(sightings), has)
