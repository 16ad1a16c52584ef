"""Profiles follow changes of who is who: merged ones are folded together, split ones are made anew from the journal."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from bihuan_profile.domain.behaviour import Event
from bihuan_profile.domain.joining import merged, once, rebuilt
from bihuan_profile.domain.marks import mark_of, mark_of_merge
from bihuan_profile.domain.record import EMPTY, Fact
from bihuan_profile.use_cases.knowing import delete_profile
from bihuan_profile.use_cases.ports import Answer, Ask, Backoff, Change, Held, Journal, ProfileStore
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

    def __init__(self, store: ProfileStore, backoff: Backoff, journal: Journal) -> None:
        self._store = store
        self._backoff = backoff
        self._journal = journal

    async def position(self) -> int | None:
        """The last change that was followed; None where the store is new."""
        return await self._store.followed()

    async def follow(self, change: PersonsChange) -> None:
        """Follow the next change. Raises Unavailable and ResourceExhausted, after which it may come again."""
        if len(change.parts) > 1:
            await self._split(change)
        for absorbed_id in change.absorbed_ids:
            await self._absorb(change, absorbed_id)
        for person_id in change.erased_ids:
            await delete_profile(self._store, self._backoff, person_id)
        await self._store.note_followed(change.change_id)

    async def _absorb(self, change: PersonsChange, absorbed_id: int) -> None:
        """
        Fold one profile into the survivor's.

        From the first step on events of the absorbed person go to the survivor, so that its record does not change any
        more; the last one leaves only the way to the survivor.
        """
        survivor_id = change.survivor_id
        await self._turn(absorbed_id, survivor_id, empty=False)
        (frozen,) = await self._store.read([absorbed_id])
        if frozen.erased or frozen.record == EMPTY:
            return
        mark = mark_of_merge(survivor_id, absorbed_id, change.change_id, change.change_time_us)

        def fold_in(_ask: Ask, answer: Answer) -> Change | None:
            held = answer.held
            if held.erased or answer.seen[0]:
                return None
            own = EMPTY if held.moved_to else held.record
            record = merged(own, survivor_id, frozen.record, absorbed_id)
            return Change(survivor_id, held.revision, record, (mark,))

        await update(self._store, self._backoff, [Ask(survivor_id, (mark,))], fold_in)
        await self._turn(absorbed_id, survivor_id, empty=True)

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
            events = once(await self._events(change, part, held))
            facts = _facts(change, part, list(zip(ids, (held, *others), strict=True)))
            own = EMPTY if held.moved_to else held.record
            record = rebuilt(own, part.person_id, events, facts, change.owners)
            marks = tuple(dict.fromkeys(mark_of(event) for event in events))
            if (await self._store.compare_and_set([Change(part.person_id, held.revision, record, marks)]))[0]:
                return
            await self._backoff.pause(attempt)
        raise Unavailable("a profile is written by too many at once to be made anew")

    async def _events(self, change: PersonsChange, part: PersonPart, held: Held) -> list[Event]:
        """What belongs to a part: events under its sightings, and those without one of its own id and its aliases."""
        others = change.part_ids - {part.person_id}
        person_ids = {part.person_id, *held.record.former_ids} - others
        found = await self._journal.read(person_ids, part.sighting_ids)
        elsewhere = held.record.moved_sightings
        return [
            _under(event, part.person_id)
            for event in found
            if event.sighting_id in part.sighting_ids
            or (
                event.person_id in person_ids
                and event.sighting_id not in change.owners
                and event.sighting_id not in elsewhere
            )
        ]


def _under(event: Event, person_id: int) -> Event:
    return replace(event, person_id=person_id)


def _facts(change: PersonsChange, part: PersonPart, held: Sequence[tuple[int, Held]]) -> Iterable[tuple[str, Fact]]:
    """
    The facts of a part: those under its sightings, and any other ones of the persons that keep its id.

    Where a person before has no part of its own, what names no sighting goes to the first part.
    """
    for person_id, one in held:
        stays_at = person_id if person_id in change.part_ids else change.parts[0].person_id
        for name, fact in one.record.facts.items():
            if change.owners.get(fact.sighting_id, stays_at) == part.person_id:
                yield name, fact
