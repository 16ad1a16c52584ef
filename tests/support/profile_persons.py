"""Persons, their changes and a journal in memory, for tests of profiles that follow."""

from collections.abc import Collection, Mapping, Sequence

from bihuan_profile.domain.behaviour import Event
from bihuan_profile.domain.told import Erasure, ToldFact
from bihuan_shared.person_change import PersonPart, PersonsChange


class MemoryJournal:
    """A Journal in lists."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.facts: list[ToldFact] = []
        self.erasures: dict[int, Erasure] = {}
        self.followed: list[PersonsChange] = []

    async def write(self, events: Sequence[Event]) -> None:
        self.events += events

    async def write_facts(self, facts: Sequence[ToldFact]) -> None:
        self.facts += facts

    async def read(self, person_ids: Collection[int], sighting_ids: Collection[int]) -> list[Event]:
        return [
            one
            for one in self.events
            if (one.person_id in person_ids or one.sighting_id in sighting_ids)
            and not self._is_erased(one.person_id, one.sighting_id)
        ]

    async def read_facts(self, person_ids: Collection[int], sighting_ids: Collection[int]) -> list[ToldFact]:
        return [
            one
            for one in self.facts
            if (one.person_id in person_ids or one.fact.sighting_id in sighting_ids)
            and not self._is_erased(one.person_id, one.fact.sighting_id)
        ]

    async def open_erasures(self, erasures: Sequence[Erasure]) -> None:
        self.erasures |= {one.person_id: one for one in erasures}

    async def changes(self) -> list[PersonsChange]:
        return self.followed

    def _is_erased(self, person_id: int, sighting_id: int) -> bool:
        return person_id in self.erasures and self.erasures[person_id].covers(sighting_id)


def merge(change_id: int, survivor: int, *absorbed: int) -> PersonsChange:
    """One person takes others in."""
    return PersonsChange(change_id, 10**15, tuple(sorted((survivor, *absorbed))), (PersonPart(survivor),))


def split(change_id: int, person: int, parts: Mapping[int, Collection[int]]) -> PersonsChange:
    """One person becomes several, each with its sightings."""
    return PersonsChange(
        change_id, 10**15, (person,), tuple(PersonPart(one, frozenset(parts[one])) for one in sorted(parts))
    )
