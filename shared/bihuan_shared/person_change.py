"""Changes of who is who, as identity publishes them, in plain types; pure rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, slots=True)
class PersonPart:
    """One person after a change, and the sightings that are its own; none are given where it is the only part."""

    person_id: int
    sighting_ids: frozenset[int] = frozenset()


@dataclass(frozen=True)
class PersonsChange:
    """
    What belonged to any of `before_ids` belongs to `parts` from now on.

    One part: a merge into it. Several: what was recorded under a sighting goes to the part that lists it, anything else
    stays with the id it has. None: the persons were erased. Changes are numbered from 1 without gaps.
    """

    change_id: int
    change_time_us: int
    before_ids: tuple[int, ...]
    parts: tuple[PersonPart, ...]

    @cached_property
    def part_ids(self) -> frozenset[int]:
        """The persons that there are afterwards."""
        return frozenset(part.person_id for part in self.parts)

    @property
    def survivor_id(self) -> int:
        """The only person that there is afterwards; 0 where there are several or none."""
        return self.parts[0].person_id if len(self.parts) == 1 else 0

    @property
    def absorbed_ids(self) -> tuple[int, ...]:
        """The persons that live on only under the id of the survivor."""
        return tuple(one for one in self.before_ids if one != self.survivor_id) if self.survivor_id else ()

    @property
    def erased_ids(self) -> tuple[int, ...]:
        """The persons that are no more, and nobody in their place."""
        return self.before_ids if not self.parts else ()

    @cached_property
    def owners(self) -> Mapping[int, int]:
        """The person of every sighting that the change lists."""
        return {sighting_id: part.person_id for part in self.parts for sighting_id in part.sighting_ids}
