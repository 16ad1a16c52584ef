"""
Whose everything is that was told of persons, after all changes of who is who.

The same rules by which profiles follow each change, without the profiles: what names a sighting that a split has listed
goes where that sighting went, anything else where the id went under which it was told.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Final

from bihuan_profile.domain.joining import merged, rebuilt
from bihuan_profile.domain.record import EMPTY, Record
from bihuan_shared.person_change import PersonsChange

_NONE: Final[frozenset[int]] = frozenset()


class Lineage:
    """
    Owners by id and by sighting.

    Takes about 500 bytes for each person that was merged or split; whoever was not takes none.
    """

    def __init__(self, changes: Iterable[PersonsChange] = ()) -> None:
        """After `changes`, by number, of which one that is missing ends the row."""
        self.position = 0
        """The last change that is known."""
        self.moved: dict[int, int] = {}
        """Ids that live on under others, and which."""
        self._records: dict[int, Record] = {}
        self._absorbed: dict[int, Record] = {}
        self._ids: dict[int, set[int]] = {}
        self._owner_of_id: dict[int, int] = {}
        self._sightings: dict[int, set[int]] = {}
        self._owner_of_sighting: dict[int, int] = {}
        for change in changes:
            if change.change_id == self.position + 1:
                self._follow(change)

    def owner(self, person_id: int, sighting_id: int) -> int:
        """Whose it is what was told of an id under a sighting (0 under none)."""
        by_id = self._owner_of_id.get(person_id, person_id)
        return self._owner_of_sighting.get(sighting_id, by_id) if sighting_id else by_id

    def ids(self, person_id: int) -> Collection[int]:
        """The ids of which everything is this person's that names no listed sighting, its own included."""
        return self._ids.get(person_id) or ({person_id} if self._is_own(person_id) else _NONE)

    def sightings(self, person_id: int) -> Collection[int]:
        """The listed sightings that are this person's."""
        return self._sightings.get(person_id, _NONE)

    @property
    def records(self) -> Mapping[int, Record]:
        """Of the persons that were part of a change: a record with former ids and moved sightings, nothing else."""
        return self._records

    @property
    def absorbed_ids(self) -> Collection[int]:
        """The ids that ever went into others."""
        return self._absorbed.keys()

    def held_ids(self, told_ids: Collection[int]) -> set[int]:
        """The absorbed ids under which anything was held, where anything was told of `told_ids` and no others."""
        firm = {one for one, record in self._absorbed.items() if one in told_ids or record.moved_sightings}
        return firm | {one for one, record in self._absorbed.items() if not firm.isdisjoint(record.former_ids)}

    def _follow(self, change: PersonsChange) -> None:
        self.position = change.change_id
        if len(change.parts) > 1:
            self._split(change)
        for absorbed_id in change.absorbed_ids:
            self._absorb(absorbed_id, change.survivor_id)

    def _absorb(self, absorbed_id: int, survivor_id: int) -> None:
        own = self._records.get(survivor_id, EMPTY)
        other = self._absorbed[absorbed_id] = self._records.pop(absorbed_id, EMPTY)
        record = merged(own, survivor_id, other, absorbed_id)
        self._hand_over(absorbed_id, survivor_id)
        now = {one: self._owner_of_sighting[one] for one in {**other.moved_sightings, **own.moved_sightings}}
        moved = {one: owner for one, owner in now.items() if owner != survivor_id}
        self._records[survivor_id] = replace(record, moved_sightings=moved)
        self.moved.pop(survivor_id, None)
        self.moved[absorbed_id] = survivor_id

    def _hand_over(self, person_id: int, to_id: int) -> None:
        ids = set(self.ids(person_id))
        self._ids.pop(person_id, None)
        self._own(to_id, {*self.ids(to_id), *ids})
        sightings = self._sightings.pop(person_id, set())
        self._sightings.setdefault(to_id, set()).update(sightings)
        self._owner_of_sighting |= dict.fromkeys(sightings, to_id)

    def _split(self, change: PersonsChange) -> None:
        first_id = change.parts[0].person_id
        for person_id in change.before_ids:
            if person_id not in change.part_ids:
                self._absorb(person_id, first_id)
        gone: dict[int, int] = {}
        for person_id in change.before_ids:
            gone |= self._records.get(person_id, EMPTY).moved_sightings
        for part in change.parts:
            self._take_back(part.person_id, change)
            self._own(part.person_id, (set(self.ids(part.person_id)) - change.part_ids) | {part.person_id})
            own = self._records.get(part.person_id, EMPTY)
            record = replace(own, moved_sightings={**gone, **own.moved_sightings})
            self._records[part.person_id] = rebuilt(record, part.person_id, (), (), change.owners)
            self.moved.pop(part.person_id, None)
        for sighting_id, owner_id in change.owners.items():
            before_id = self._owner_of_sighting.get(sighting_id)
            if before_id is not None:
                self._sightings[before_id].discard(sighting_id)
            self._sightings.setdefault(owner_id, set()).add(sighting_id)
            self._owner_of_sighting[sighting_id] = owner_id

    def _take_back(self, person_id: int, change: PersonsChange) -> None:
        """A person that comes back under an id has it for itself: whoever else the id had gone into gives it up."""
        holder_id = self._owner_of_id.get(person_id, person_id)
        if holder_id == person_id or holder_id in change.before_ids:
            return
        held = self._records.get(holder_id, EMPTY)
        self._records[holder_id] = replace(held, former_ids=without(held.former_ids, person_id))

    def _own(self, person_id: int, ids: set[int]) -> None:
        for one in ids:
            before_id = self._owner_of_id.get(one, one)
            if before_id != person_id and before_id in self._ids:
                self._ids[before_id].discard(one)
            self._owner_of_id[one] = person_id
        self._ids[person_id] = ids

    def _is_own(self, person_id: int) -> bool:
        return self._owner_of_id.get(person_id, person_id) == person_id


def without(ids: Iterable[int], given_up: int) -> tuple[int, ...]:
    """The ids but one."""
    return tuple(one for one in ids if one != given_up)


def restored(record: Record, skeleton: Record, held_ids: Collection[int]) -> Record:
    """
    A record with the former ids and moved sightings of a skeleton added; of the ids only those that held anything.

    The same record where nothing is new.
    """
    former = tuple(one for one in skeleton.former_ids if one in held_ids)
    former = (*former, *(one for one in record.former_ids if one not in former))
    moved = {**skeleton.moved_sightings, **record.moved_sightings}
    if former == record.former_ids and moved == record.moved_sightings:
        return record
    return replace(record, former_ids=former, moved_sightings=moved)
