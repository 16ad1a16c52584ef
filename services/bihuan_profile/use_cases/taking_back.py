"""Persons that come back under an id that had gone into somebody else than they come from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from bihuan_profile.domain.behaviour import Event
from bihuan_profile.domain.joining import once, rebuilt
from bihuan_profile.domain.lineage import Lineage, without
from bihuan_profile.domain.marks import mark_of
from bihuan_profile.domain.record import EMPTY, Fact
from bihuan_profile.use_cases.knowing import living
from bihuan_profile.use_cases.ports import Backoff, Change, Held, Journal, ProfileStore
from bihuan_profile.use_cases.updating import MAX_ATTEMPTS
from bihuan_shared.errors import Unavailable
from bihuan_shared.person_change import PersonsChange


class Changes(Protocol):
    """The changes of who is who that were followed, kept before they are. Raises Unavailable."""

    async def changes(self) -> list[PersonsChange]:
        """Every change, once, by number."""
        ...


@dataclass(frozen=True, slots=True)
class Remade:
    """A person that was made anew under the id that it lives on under, from so many events and with so many facts."""

    person_id: int
    events: int
    facts: int


class TakingBack:
    """
    Has whoever an id had gone into give up what was told of it.

    What was told of the id under no sighting is counted once, at the person that has the id now, as it is when profiles
    are made anew.
    """

    def __init__(self, store: ProfileStore, backoff: Backoff, journal: Journal, history: Changes) -> None:
        self._store = store
        self._backoff = backoff
        self._journal = journal
        self._history = history

    async def give_up(self, change: PersonsChange, person_id: int) -> None:
        """
        Before a part is made under `person_id`: nothing where the id was nobody's or one of the persons before had it.

        Repeating it changes nothing. Without all changes that led to this one nobody gives anything up. Raises
        Unavailable.
        """
        holder_id = await self._holder(change, person_id)
        lineage = await self._lineage(change.change_id) if holder_id else None
        if lineage is None:
            return
        await self._remake(lineage, holder_id, person_id)

    async def remake(self, person_id: int) -> Remade | None:
        """
        Make a person anew from everything that was kept; None of one that was erased.

        Raises Unavailable, also while a change of who is who that was kept is not followed yet.
        """
        person_id, _ = await living(self._store, person_id)
        lineage = Lineage(await self._history.changes())
        if lineage.position != (await self._store.followed() or 0):
            raise Unavailable("changes of who is who are being followed; repeat the call")
        return await self._remake(lineage, person_id, 0)

    async def _remake(self, lineage: Lineage, person_id: int, given_up: int) -> Remade | None:
        for attempt in range(MAX_ATTEMPTS):
            # The record is read before the journal: whatever comes between the two moves the revision on.
            (held,) = await self._store.read([person_id])
            if held.erased or held.moved_to:
                return None
            events = await self._events(lineage, person_id)
            facts = await self._facts(lineage, person_id, held)
            frame = replace(held.record, former_ids=without(held.record.former_ids, given_up))
            record = rebuilt(frame, person_id, events, facts, {})
            marks = tuple(dict.fromkeys(mark_of(event) for event in events))
            if record == EMPTY and not held.revision:
                return Remade(person_id, 0, 0)
            if (await self._store.compare_and_set([Change(person_id, held.revision, record, marks)]))[0]:
                return Remade(person_id, len(events), len(record.facts))
            await self._backoff.pause(attempt)
        raise Unavailable("a profile is written by too many at once to be made anew")

    async def owners(self, change: PersonsChange, sightings: Mapping[int, int]) -> Mapping[int, int]:
        """Whose some sightings are after a change, given whose they were thought to be. Raises Unavailable."""
        lineage = await self._lineage(change.change_id) if sightings else None
        if lineage is None:
            return sightings
        return {one: lineage.owner(thought_id, one) for one, thought_id in sightings.items()}

    async def _holder(self, change: PersonsChange, person_id: int) -> int:
        """Who has what was told of an id before a change; 0 where that is the id itself or a person of the change."""
        own, *before = await self._store.read([person_id, *change.before_ids])
        if own.erased or not own.moved_to or any(person_id in held.record.former_ids for held in before):
            return 0
        # The way that an id went is no answer: it leads on to whoever came back under an id that it passed through.
        lineage = await self._lineage(change.change_id - 1)
        holder_id = lineage.owner(person_id, 0) if lineage is not None else 0
        return 0 if holder_id in (person_id, *change.before_ids) else holder_id

    async def _lineage(self, change_id: int) -> Lineage | None:
        """Whose everything is after a change; None where one that led to it is not kept."""
        lineage = Lineage(one for one in await self._history.changes() if one.change_id <= change_id)
        return lineage if lineage.position == change_id else None

    async def _events(self, lineage: Lineage, holder_id: int) -> list[Event]:
        found = await self._journal.read(lineage.ids(holder_id), lineage.sightings(holder_id))
        mine = [one for one in found if lineage.owner(one.person_id, one.sighting_id) == holder_id]
        return list(once(replace(one, person_id=holder_id) for one in mine))

    async def _facts(self, lineage: Lineage, holder_id: int, held: Held) -> list[tuple[str, Fact]]:
        """What was told of the holder, and what is held without having been kept."""
        person_ids = {holder_id, *held.record.former_ids, *lineage.ids(holder_id)}
        sightings = {*lineage.sightings(holder_id), *held.record.moved_sightings}
        sightings |= {fact.sighting_id for fact in held.record.facts.values() if fact.sighting_id}
        found = await self._journal.read_facts(person_ids, sightings)
        facts = [
            (told.name, told.fact)
            for told in sorted(found, key=lambda told: told.order)
            if lineage.owner(told.person_id, told.fact.sighting_id) == holder_id
        ]
        known = {(told.name, told.fact) for told in found}
        return facts + [(name, fact) for name, fact in held.record.facts.items() if (name, fact) not in known]
