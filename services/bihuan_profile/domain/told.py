"""What is told of persons beside behaviour, as it is kept for when profiles are made anew."""

from dataclasses import dataclass

from bihuan_profile.domain.record import Fact


@dataclass(frozen=True, slots=True)
class ToldFact:
    """
    A fact that was accepted, and of whom.

    `set_us` is when it was set: of facts that were learnt at the same instant the one set last holds.
    """

    person_id: int
    name: str
    fact: Fact
    set_us: int = 0

    @property
    def order(self) -> tuple[int, int]:
        """Facts in this order, set one after the other, leave what holds."""
        return self.fact.time_us, self.set_us


@dataclass(frozen=True, slots=True)
class Erasure:
    """
    A person that was erased, under one of the ids that it had.

    `kept_sightings` went to other persons before: what was told of the id under those is theirs.
    """

    person_id: int
    time_us: int
    kept_sightings: frozenset[int] = frozenset()

    def covers(self, sighting_id: int) -> bool:
        """Whether what was told of the id under a sighting is erased."""
        return sighting_id not in self.kept_sightings
