"""Keeps the tag index: reads everyone once, then follows what changes, by itself or by a write."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import structlog

from bihuan_scoring.domain.audiences import MemberSet
from bihuan_scoring.domain.readings import Reading
from bihuan_scoring.profile_changes import Changes
from bihuan_scoring.tag_index.drafting import drafted
from bihuan_scoring.tag_index.index import TagIndex
from bihuan_scoring.tag_index.manifest import loaded, stored
from bihuan_scoring.tag_index.persons import AudienceSets, joined
from bihuan_scoring.tag_index.segment_file import BitmapCache, IndexDamaged
from bihuan_shared.clock import MICROS_PER_SECOND, Clock, background_time_us
from bihuan_shared.errors import BihuanError
from bihuan_shared.redis import is_cancelled
from bihuan_shared.targeting import Expression

_log = structlog.get_logger("bihuan.scoring.tag_index")

FRESH_S: Final = 5.0
"""For how long the index counts as fresh after it had followed everything."""
_POLL_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 5.0
_DRAFT: Final = 20_000
"""Persons that a segment is made of while everyone is read."""
_REREAD: Final = 1_000


class Readings(Protocol):
    """Where facts come from."""

    def readings(self, person_ids: Sequence[int] = ()) -> AsyncIterator[Sequence[Reading]]:
        """What may be used for targeting of some persons, at most 1,000, or of everyone; nothing of who is gone."""
        ...


class ChangeSource(Protocol):
    """Where it is told whose profiles were written."""

    async def end(self) -> str:
        """The place after everything that has settled."""
        ...

    async def after(self, position: str) -> Changes:
        """What has settled since a place."""
        ...


class Listener(Protocol):
    """Who is told of what the index learns."""

    async def changed(self, persons: TagIndex, person_ids: Sequence[int], now_us: int) -> None:
        """The index has what is known anew of these persons; `persons` holds nobody else."""
        ...

    async def renewed(self) -> None:
        """The index is up to date, and what it learnt before was not told one by one."""
        ...


@dataclass(frozen=True, slots=True)
class Rules:
    """How often the index is stored and built anew, and how many bytes of bitmaps are held besides its files."""

    store_s: float = 60.0
    rebuild_s: float = 6 * 3_600.0
    cache_bytes: int = 1 << 30


@dataclass(frozen=True, slots=True)
class _Built:
    """An index of everyone, and the place and the instant before the first was read."""

    index: TagIndex
    position: str
    started_us: int


class TagIndexKeeper:
    """One process's index, in a folder of its own."""

    def __init__(
        self,
        folder: Path,
        profiles: Readings,
        changes: ChangeSource,
        clock: Clock,
        rules: Rules = Rules(),  # frozen
        listener: Listener | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._profiles = profiles
        self._changes = changes
        self._clock = clock
        self._rules = rules
        self._listener = listener
        self._monotonic_s = monotonic_s
        self._cache = BitmapCache(rules.cache_bytes)
        self._index = TagIndex()
        self._position: str | None = None
        self._due_us = 0
        self._built_us = 0
        self._fresh_until_s = 0.0
        self._stored_s = 0.0
        self._changed = False
        self._untold = True
        self._building: asyncio.Task[_Built] | None = None

    @property
    def is_fresh(self) -> bool:
        """Whether the index holds everything that was told more than a few seconds ago."""
        return self._monotonic_s() < self._fresh_until_s

    @property
    def person_count(self) -> int:
        """How many persons there are."""
        return self._index.count()

    async def members(
        self, expression: Expression, audiences: Mapping[str, MemberSet], now_us: int
    ) -> MemberSet | None:
        """
        Everyone who fits a checked expression, as a set of its own; None where the index is not fresh.

        `audiences` holds every audience that the expression names and that has members.
        """
        if not self.is_fresh:
            return None
        try:
            found = await asyncio.to_thread(self._index.members, expression, now_us, AudienceSets(audiences).block)
        except IndexDamaged as error:
            self._give_up(error)
            return None
        whole: MemberSet = await asyncio.to_thread(joined, found)
        return whole

    async def run(self) -> None:
        """Keep the index until cancelled; what fails is tried again after a pause."""
        await self.load()
        pause_s = _POLL_S
        try:
            while not is_cancelled():
                try:
                    more = await self.step()
                except BihuanError as error:
                    _log.warning("tag index paused", reason=error.reason, detail=error.detail)
                    pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                    await asyncio.sleep(pause_s)
                else:
                    pause_s = _POLL_S
                    await asyncio.sleep(0 if more else _POLL_S)
            raise asyncio.CancelledError
        finally:
            if self._building is not None:
                self._building.cancel()

    async def load(self) -> None:
        """Take up what is stored; where that is damaged or there is nothing, the next step builds."""
        try:
            manifest, index = await asyncio.to_thread(loaded, self._folder, self._cache)
        except IndexDamaged as error:
            _log.info("tag index is built", reason=error.detail)
            return
        self._index, self._position = index, manifest.position
        self._due_us, self._built_us = manifest.due_us, manifest.built_us

    async def step(self) -> bool:
        """
        Build where there is nothing to go on from, else follow what changed; whether there is more to do.

        Raises what the sources raise, after which it may be called again.
        """
        now_us = background_time_us(self._clock)
        if now_us is None:
            return False
        await self._build_where_due(now_us)
        if self._position is None:
            return True
        try:
            return await self._follow(self._position, now_us)
        except IndexDamaged as error:
            self._give_up(error)
            return True

    async def _follow(self, position: str, now_us: int) -> bool:
        asked_s = self._monotonic_s()
        changes = await self._changes.after(position)
        if changes.lost:
            _log.warning("changes of profiles were lost, so everyone is read again")
            self._position = None
            return True
        due = await asyncio.to_thread(self._index.due, self._due_us, now_us)
        await self._read_again(sorted({*changes.person_ids, *due}), now_us)
        self._position, self._due_us = changes.position, max(self._due_us, now_us)
        if not changes.more:
            self._fresh_until_s = asked_s + FRESH_S
            await self._tell_renewed()
        if self._changed and self._monotonic_s() - self._stored_s > self._rules.store_s:
            await self.store()
        return changes.more

    async def _read_again(self, person_ids: Sequence[int], now_us: int) -> None:
        for start in range(0, len(person_ids), _REREAD):
            asked = person_ids[start : start + _REREAD]
            found = [one async for batch in self._profiles.readings(asked) for one in batch]
            gone = set(asked) - {one.person_id for one in found}
            await self._take_in([*found, *(Reading(person_id, None, now_us) for person_id in gone)], now_us)

    async def _take_in(self, readings: Sequence[Reading], now_us: int) -> None:
        contents = await asyncio.to_thread(drafted, readings, now_us)
        self._index = await asyncio.to_thread(self._index.with_changes, contents, now_us)
        self._changed = True
        if self._listener is not None:
            person_ids = [reading.person_id for reading in readings]
            await self._listener.changed(TagIndex.of(contents), person_ids, now_us)

    async def _tell_renewed(self) -> None:
        if self._untold and self._listener is not None:
            await self._listener.renewed()
        self._untold = False

    async def _build_where_due(self, now_us: int) -> None:
        """At once where there is no index; else beside it, which goes on until the new one is there."""
        if self._position is None:
            await self._adopt(await self._built(now_us))
        elif self._building is None:
            if now_us - self._built_us > self._rules.rebuild_s * MICROS_PER_SECOND:
                self._building = asyncio.create_task(self._built(now_us))
        elif self._building.done():
            building, self._building = self._building, None
            await self._adopt(building.result())

    async def _built(self, now_us: int) -> _Built:
        """Read everyone; who changes meanwhile is read again afterwards, from the place before."""
        position = await self._changes.end()
        index, waiting = TagIndex(), list[Reading]()
        async for batch in self._profiles.readings():
            waiting.extend(batch)
            if len(waiting) >= _DRAFT:
                index = await asyncio.to_thread(_with, index, waiting, now_us)
                waiting = []
        return _Built(await asyncio.to_thread(_with, index, waiting, now_us), position, now_us)

    async def _adopt(self, built: _Built) -> None:
        self._index, self._position = built.index, built.position
        self._due_us = self._built_us = built.started_us
        self._fresh_until_s, self._untold = 0.0, True
        await self.store()

    async def store(self) -> None:
        """Store a generation."""
        if self._position is not None:
            self._index = await asyncio.to_thread(
                stored, self._folder, self._index, self._cache, self._position, self._due_us, self._built_us
            )
            self._stored_s, self._changed = self._monotonic_s(), False

    def _give_up(self, error: IndexDamaged) -> None:
        _log.error("tag index is damaged and built again", detail=error.detail)
        self._position, self._fresh_until_s = None, 0.0


def _with(index: TagIndex, readings: Iterable[Reading], origin_us: int) -> TagIndex:
    return index.with_changes(drafted(readings, origin_us), origin_us)
