"""Profiles follow changes of who is who: merged ones are folded together, split ones are made anew from the journal."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from bihuan_profile.domain.behaviour import Event
from bihuan_profile.domain.joining import merged, once, rebuilt
from bihuan_profile.domain.marks import mark_of, mark_of_merge
from bihuan_profile.domain.record import EMPTY, Fact, Record
from bihuan_profile.use_cases.erasing import bury, delete_profile, keep_erasure
from bihuan_profile.use_cases.ports import (
    Answer,
    Ask,
    Backoff,
    Change,
    Held,
    Jobs,
    Journal,
    ProfileStore,
    is_complete,
)
from bihuan_profile.use_cases.taking_back import Changes, TakingBack
from bihuan_profile.use_cases.updating import MAX_ATTEMPTS, update
from bihuan_shared.errors import Unavailable
from bihuan_shared.person_change import PersonPart, PersonsChange

_NO_PART: Final = PersonPart(0)


class ProfileFollower:
    """
    Brings profiles up to one change after the other.

    Each change is a row of steps, each of which is atomic and changes nothing when repeated, so that a change which was
    broken off is simply followed again.
    """

    def __init__(
        self, store: ProfileStore, backoff: Backoff, journal: Journal, history: Changes, jobs: Jobs | None = None
    ) -> None:
        """Changes stand in `history` before they are followed. Without `jobs` profiles count as complete."""
        self._jobs = jobs
        self._taking_back = TakingBack(store, backoff, journal, history)
        self._store = store
        self._backoff = backoff
        self._journal = journal

    async def position(self) -> int | None:
        """
        The last change that was followed; None where the store is new.

        Raises Unavailable while profiles are made anew: what is to be merged or split is not there yet.
        """
        if self._jobs is not None and not await is_complete(self._jobs):
            raise Unavailable("profiles are being made anew")
        return await self._store.followed()

    async def follow(self, change: PersonsChange) -> None:
        """Follow the next change. Raises Unavailable and ResourceExhausted, after which it may come again."""
        if len(change.parts) > 1:
            await self._split(change)
        for absorbed_id in change.absorbed_ids:
            await self._absorb(change, absorbed_id)
        for person_id in change.erased_ids:
            await delete_profile(self._store, self._backoff, self._journal, person_id, change.change_time_us)
        await self._store.note_followed(change.change_id)

    async def _absorb(self, change: PersonsChange, absorbed_id: int) -> None:
        """
        Fold one profile into the survivor's.

        From the first step on events of the absorbed person go to the survivor, so that its record does not change any
        more; the last one leaves only the way to the survivor.
        """
        survivor_id = change.survivor_id
        await self._turn(absorbed_id, survivor_id, empty=False)
        frozen, survivor = await self._store.read([absorbed_id, survivor_id])
        if frozen.erased or frozen.record == EMPTY:
            return
        if survivor.erased:
            await keep_erasure(self._journal, absorbed_id, frozen, change.change_time_us)
            await bury(self._store, self._backoff, [absorbed_id, *frozen.record.former_ids])
            return
        moved = await self._moved_now(change, {**frozen.record.moved_sightings, **survivor.record.moved_sightings})
        mark = mark_of_merge(survivor_id, absorbed_id, change.change_id, change.change_time_us)

        def fold_in(_ask: Ask, answer: Answer) -> Change | None:
            held = answer.held
            if held.erased or answer.seen[0]:
                return None
            own = EMPTY if held.moved_to else held.record
            record = merged(own, survivor_id, frozen.record, absorbed_id)
            record = replace(record, moved_sightings=moved)
            return Change(survivor_id, held.revision, record, (mark,))

        await update(self._store, self._backoff, [Ask(survivor_id, (mark,))], fold_in)
        await self._turn(absorbed_id, survivor_id, empty=True)

    async def _moved_now(self, change: PersonsChange, moved: Mapping[int, int]) -> dict[int, int]:
        """
        Where sightings that two persons had given away are now, those left out that have come to the survivor.

        The absorbed person's knowledge is still held, and is the only way to some of them. Of erased persons nothing is
        held: where a way leads through one, only the changes tell whether the sighting had left by then.
        """
        survivor_id = change.survivor_id
        known: dict[int, Held] = {}
        now: dict[int, int] = {}
        for sighting_id, first_id in moved.items():
            owner_id, next_id, visited = first_id, first_id, {survivor_id}
            while next_id and next_id not in visited:
                owner_id = next_id
                visited.add(owner_id)
                if owner_id not in known:
                    (known[owner_id],) = await self._store.read([owner_id])
                held = known[owner_id]
                next_id = held.record.moved_sightings.get(sighting_id, 0) or held.moved_to
            if next_id != survivor_id:
                now[sighting_id] = owner_id
        lost = {one: owner_id for one, owner_id in now.items() if known[owner_id].erased}
        now |= await self._taking_back.owners(change, lost)
        return {one: owner_id for one, owner_id in now.items() if owner_id != survivor_id}

    async def _turn(self, person_id: int, survivor_id: int, *, empty: bool) -> None:
        """Have a person live on under another id, with its record to be folded in or without it."""

        def decide(_ask: Ask, answer: Answer) -> Change | None:
            held = answer.held
            if held.erased or (held.moved_to == survivor_id and not (empty and held.record != EMPTY)):
                return None
            record = EMPTY if empty else held.record
            return Change(person_id, held.revision, record, moved_to=survivor_id)

        await update(self._store, self._backoff, [Ask(person_id)], decide)

    async def _split(self, change: PersonsChange) -> None:
        """
        Make every part anew.

        Parts that are new come first: they take their facts along from what is still whole. They come last too, for
        what arrived under the old id while that was still whole.
        """
        new = [part for part in change.parts if part.person_id not in change.before_ids]
        kept = [part for part in change.parts if part.person_id in change.before_ids]
        for part in new:
            await self._taking_back.give_up(change, part.person_id)
        for part in (*new, *kept, *new):
            await self._rebuild(change, part)
        for person_id in change.before_ids:
            if person_id not in change.part_ids:
                await self._turn(person_id, change.parts[0].person_id, empty=True)

    async def _rebuild(self, change: PersonsChange, part: PersonPart) -> None:
        for attempt in range(MAX_ATTEMPTS):
            # The record is read before the journal: whatever comes between the two moves the revision on.
            ids = (part.person_id, *(one for one in change.before_ids if one != part.person_id))
            held, *others = await self._store.read(ids)
            if held.erased:
                return
            before = dict(zip(ids, (held, *others), strict=True))
            own = _taking_over(change, part, before)
            shares = _Shares(change, part, own)
            events = once(await self._events(shares))
            facts = await self._facts(shares, before)
            record = rebuilt(own, part.person_id, events, facts, change.owners)
            marks = tuple(dict.fromkeys(mark_of(event) for event in events))
            if (await self._store.compare_and_set([Change(part.person_id, held.revision, record, marks)]))[0]:
                return
            await self._backoff.pause(attempt)
        raise Unavailable("a profile is written by too many at once to be made anew")

    async def _events(self, shares: "_Shares") -> list[Event]:
        found = await self._journal.read(shares.person_ids, shares.part.sighting_ids)
        return [
            replace(event, person_id=shares.part.person_id)
            for event in found
            if shares.has(event.person_id, event.sighting_id)
        ]

    async def _facts(self, shares: "_Shares", before: Mapping[int, Held]) -> list[tuple[str, Fact]]:
        """
        What was told, and what is held without having been kept: that follows its sighting, or stays with its holder.

        Where a person before has no part of its own, what names no sighting goes to the first part.
        """
        change, part = shares.change, shares.part
        person_ids = {*shares.person_ids, *change.before_ids, *change.part_ids}
        person_ids |= {one for held in before.values() for one in held.record.former_ids}
        found = await self._journal.read_facts(person_ids, change.owners.keys())
        facts = [
            (told.name, told.fact)
            for told in sorted(found, key=lambda told: told.order)
            if shares.has(told.person_id, told.fact.sighting_id)
        ]
        known = {(told.name, told.fact) for told in found}
        for person_id, held in before.items():
            stays_at = person_id if person_id in change.part_ids else change.parts[0].person_id
            facts += [
                (name, fact)
                for name, fact in held.record.facts.items()
                if (name, fact) not in known and change.owners.get(fact.sighting_id, stays_at) == part.person_id
            ]
        return facts


def _taking_over(change: PersonsChange, part: PersonPart, before: Mapping[int, Held]) -> Record:
    """
    What is held of a part; the first one takes over the ids of persons that have no part of their own.

    Each knows where the sightings are that any of the persons before had given away.
    """
    held = before[part.person_id]
    own = EMPTY if held.moved_to else held.record
    moved: dict[int, int] = {}
    for person_id in change.before_ids:
        moved |= before[person_id].record.moved_sightings
    own = replace(own, moved_sightings={**moved, **own.moved_sightings})
    if part is not change.parts[0]:
        return own
    former = list(own.former_ids)
    for person_id in change.before_ids:
        if person_id not in change.part_ids:
            former += (*before[person_id].record.former_ids, person_id)
    return replace(own, former_ids=tuple(dict.fromkeys(former)))


class _Shares:
    """What of everything told belongs to a part: what names its sightings, or its ids and nobody else's sighting."""

    def __init__(self, change: PersonsChange, part: PersonPart, own: Record) -> None:
        self.change = change
        self.part = part
        self.person_ids = {part.person_id, *own.former_ids} - (change.part_ids - {part.person_id})
        self._elsewhere = own.moved_sightings

    def has(self, person_id: int, sighting_id: int) -> bool:
        """Whether what was told of an id under a sighting is the part's."""
        if sighting_id in self.part.sighting_ids:
            return True
        elsewhere = sighting_id in self.change.owners or sighting_id in self._elsewhere
        return person_id in self.person_ids and not elsewhere
