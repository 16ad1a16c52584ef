"""
Making all profiles anew from what was kept, in a store that has lost them.

First who is who, then every event by the way that events always come (so that marks keep apart what is there already:
what comes meanwhile, what another run has brought), then every fact. Memory holds some files of the lake and the
lineage; what is done is noted after each step, and a run that was broken off goes on there.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, TypeVar

from bihuan_profile.domain.behaviour import Event
from bihuan_profile.domain.joining import once, rebuilt
from bihuan_profile.domain.lineage import Lineage, restored
from bihuan_profile.domain.marks import mark_of
from bihuan_profile.domain.record import EMPTY, Fact, Record, with_facts
from bihuan_profile.domain.told import Erasure, ToldFact
from bihuan_profile.use_cases.erasing import bury
from bihuan_profile.use_cases.ingesting import take_in
from bihuan_profile.use_cases.ports import (
    COMPLETE,
    REBUILD,
    Answer,
    Ask,
    Backoff,
    Change,
    History,
    Jobs,
    Journal,
    ProfileStore,
    is_complete,
)
from bihuan_profile.use_cases.updating import update
from bihuan_shared.errors import Unavailable

FILES: Final = 16
"""Files of the lake in memory at a time; one has at most 10,000 rows."""
BATCH: Final = 1_000
"""Events, facts or persons that are brought in with one call of the store."""
LEASE_S: Final = 60.0
_LINEAGE: Final = "lineage"
_EVENTS: Final = "events"
_FACTS: Final = "facts"

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: what it brings in (`lineage`, `events`, `facts`), and files of that done and in all."""

    phase: str
    done: int = 0
    total: int = 0


async def require_who_is_who(jobs: Jobs) -> None:
    """Raise Unavailable until former ids and erased persons are in the store, so that a person can be erased whole."""
    state = await jobs.state(REBUILD)
    if state is None or state == _LINEAGE:
        raise Unavailable("profiles are being made anew; repeat the call")


async def adopt(store: ProfileStore, jobs: Jobs, history: History) -> None:
    """Note that profiles are complete where they were followed before that was noted, or nothing was ever kept."""
    if await jobs.state(REBUILD) is not None:
        return
    kept = await history.event_files() or await history.fact_files() or await history.erased()
    if await store.followed() is not None or not (kept or await history.changes()):
        await jobs.note(REBUILD, None, COMPLETE)


class Rebuild:
    """A run over a store; `watch` is told of each step. Repeating it changes nothing."""

    def __init__(
        self,
        store: ProfileStore,
        backoff: Backoff,
        journal: Journal,
        history: History,
        jobs: Jobs,
        holder: str,
        watch: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._backoff = backoff
        self._journal = journal
        self._history = history
        self._jobs = jobs
        self._holder = holder
        self._watch = watch

    async def is_done(self) -> bool:
        """Whether profiles are complete. Raises Unavailable."""
        return await is_complete(self._jobs)

    async def run(self) -> bool:
        """
        Begin, or go on; True where profiles are complete, False where another process is at it.

        Raises Unavailable and ResourceExhausted, after which another run goes on, and Unavailable where the store has
        lost its content again.
        """
        state = await self._jobs.state(REBUILD)
        if state == COMPLETE:
            return True
        if not await self._jobs.lease(REBUILD, self._holder, LEASE_S):
            return False
        try:
            await self._go_on(state)
        finally:
            await self._jobs.release(REBUILD, self._holder)
        return True

    async def _go_on(self, state: str | None) -> None:
        if state is None:
            state = await self._note(None, _LINEAGE)
        self._watch(Progress(_LINEAGE))
        lineage = Lineage(await self._history.changes())
        if state == _LINEAGE:
            await self._restore(lineage)
            state = await self._note(state, f"{_EVENTS}:")
        hidden = {one.person_id: one for one in await self._history.erasures_to_do()}
        if state.startswith(_EVENTS):

            async def bring_events(files: Sequence[str]) -> None:
                await self._events(await self._history.events_in(files), lineage, hidden)

            state = await self._files(state, await self._history.event_files(), bring_events)
            state = await self._note(state, f"{_FACTS}:")

        async def bring_facts(files: Sequence[str]) -> None:
            await self._facts(await self._history.facts_in(files), lineage, hidden)

        # The newest first: of facts of one instant the one that was set last stays.
        state = await self._files(state, (await self._history.fact_files())[::-1], bring_facts)
        if lineage.position and await self._store.followed() is None:
            await self._store.note_followed(lineage.position)
        await self._note(state, COMPLETE)

    async def _note(self, before: str | None, after: str) -> str:
        if not await self._jobs.lease(REBUILD, self._holder, LEASE_S):
            raise Unavailable("another process makes the profiles anew")
        if not await self._jobs.note(REBUILD, before, after):
            raise Unavailable("the store has lost its content again")
        return after

    async def _files(self, state: str, files: Sequence[str], bring: Callable[[Sequence[str]], Awaitable[None]]) -> str:
        phase, _, last = state.partition(":")
        done = files.index(last) + 1 if last in files else 0
        while done < len(files):
            self._watch(Progress(phase, done, len(files)))
            some = files[done : done + FILES]
            await bring(some)
            state = await self._note(state, f"{phase}:{some[-1]}")
            done += len(some)
        self._watch(Progress(phase, done, len(files)))
        return state

    async def _events(self, events: Sequence[Event], lineage: Lineage, hidden: Mapping[int, Erasure]) -> None:
        mine = [
            replace(event, person_id=lineage.owner(event.person_id, event.sighting_id))
            for event in events
            if not _is_hidden(event.person_id, event.sighting_id, hidden)
        ]
        mine.sort(key=lambda event: event.person_id)
        for some in _batches(mine, BATCH):
            await take_in(self._store, self._backoff, None, some, settled=True)

    async def _facts(self, told: Sequence[ToldFact], lineage: Lineage, hidden: Mapping[int, Erasure]) -> None:
        by_person: dict[int, list[ToldFact]] = {}
        for one in told:
            if not _is_hidden(one.person_id, one.fact.sighting_id, hidden):
                by_person.setdefault(lineage.owner(one.person_id, one.fact.sighting_id), []).append(one)

        def decide(ask: Ask, answer: Answer) -> Change | None:
            held = answer.held
            if held.erased or held.moved_to:
                return None
            known = held.record.facts
            new: dict[str, Fact] = {}
            for one in sorted(by_person[ask.person_id], key=lambda one: one.order):
                if one.name not in known or one.fact.time_us > known[one.name].time_us:
                    new[one.name] = one.fact
            return Change(ask.person_id, held.revision, with_facts(held.record, new.items())[0]) if new else None

        for some in _batches(by_person, BATCH):
            await update(self._store, self._backoff, [Ask(one) for one in some], decide)

    async def _restore(self, lineage: Lineage) -> None:
        await self._bury(lineage)
        held_ids = lineage.held_ids(await self._history.told_ids(lineage.absorbed_ids))
        for some in _batches(lineage.moved.items(), BATCH):
            await self._redirect(dict(some))
            await self._note(_LINEAGE, _LINEAGE)
        for persons in _batches(lineage.records.items(), BATCH):
            await self._frame(dict(persons), lineage, held_ids)
            await self._note(_LINEAGE, _LINEAGE)

    async def _bury(self, lineage: Lineage) -> None:
        erased = {one.person_id: one for one in await self._history.erased()}
        for some in _batches(erased, BATCH):
            # Whoever was told of before the note was back is erased once more.
            back = await bury(self._store, self._backoff, some)
            kept = {one: lineage.records.get(one, EMPTY).moved_sightings for one in back}
            await self._journal.open_erasures([Erasure(one, erased[one].time_us, frozenset(kept[one])) for one in back])

    async def _redirect(self, moved: Mapping[int, int]) -> None:
        """
        Have persons live on under others.

        What was told of them before the way there was back is let go: it is kept, and comes again to whose it is.
        """

        def decide(ask: Ask, answer: Answer) -> Change | None:
            held = answer.held
            if held.erased or (held.moved_to == moved[ask.person_id] and held.record == EMPTY):
                return None
            return Change(ask.person_id, held.revision, EMPTY, moved_to=moved[ask.person_id])

        await update(self._store, self._backoff, [Ask(one) for one in moved], decide)

    async def _frame(self, skeletons: Mapping[int, Record], lineage: Lineage, held_ids: set[int]) -> None:
        mixed: list[int] = []

        def decide(ask: Ask, answer: Answer) -> Change | None:
            held = answer.held
            if held.erased or held.moved_to:
                return None
            record = restored(held.record, skeletons[ask.person_id], held_ids)
            if record is held.record:
                return None
            if (held.record.counts or held.record.facts) and record.moved_sightings != held.record.moved_sightings:
                mixed.append(ask.person_id)
                return None
            return Change(ask.person_id, held.revision, record)

        await update(self._store, self._backoff, [Ask(one) for one in skeletons], decide)
        for person_id in mixed:
            await self._sort_out(person_id, restored(EMPTY, skeletons[person_id], held_ids), lineage)

    async def _sort_out(self, person_id: int, frame: Record, lineage: Lineage) -> None:
        """Make one person anew that was told of before it was known which sightings are others'."""

        def is_own(told_of: int, sighting_id: int) -> bool:
            return lineage.owner(told_of, sighting_id) == person_id

        ids, sightings = lineage.ids(person_id), lineage.sightings(person_id)
        (held,) = await self._store.read([person_id])
        if held.erased or held.moved_to:
            return
        found = await self._journal.read(ids, sightings)
        events = once(replace(one, person_id=person_id) for one in found if is_own(one.person_id, one.sighting_id))
        record = rebuilt(frame, person_id, events, (), {})
        marks = tuple(dict.fromkeys(mark_of(event) for event in events))
        if not (await self._store.compare_and_set([Change(person_id, held.revision, record, marks)]))[0]:
            raise Unavailable("a profile is written by too many at once to be made anew")


def _is_hidden(person_id: int, sighting_id: int, erased: Mapping[int, Erasure]) -> bool:
    return person_id in erased and erased[person_id].covers(sighting_id)


def _batches(items: Iterable[_Item], size: int) -> Iterable[list[_Item]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
