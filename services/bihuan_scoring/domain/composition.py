"""What a set of persons is made of: tags, by how much more often they are there than among everyone."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import floor, isfinite, log, log10
from typing import Final

from bihuan_scoring.domain.facts import PersonFacts
from bihuan_shared.targeting import (
    And,
    Attribute,
    Comparison,
    Expression,
    InSegment,
    Interest,
    Operator,
    canonical,
)

MAX_CONDITIONS: Final = 200_000
"""Conditions that are counted; of what comes new beyond that only the number is."""
_DECADES_BELOW: Final = 100


def conditions_of(person: PersonFacts) -> Iterator[str]:
    """
    The conditions of the targeting language that a person meets.

    Texts and flags as they are; numbers below 100 by decades and others by powers of ten; interests that there are, and
    segments.
    """
    for name, value in person.attributes.items():
        if isinstance(value, bool | str):
            yield canonical(Comparison(Attribute(name), Operator.EQUAL, value))
        elif isfinite(value):
            yield canonical(_range_of(Attribute(name), value))
    for tag, long_term, _ in person.interests:
        if long_term > 0:
            yield canonical(Comparison(Interest(tag), Operator.GREATER, 0))
    for segment_id in person.segments:
        yield canonical(InSegment(segment_id))


def _range_of(operand: Attribute, value: float) -> Expression:
    if value < 0:
        return Comparison(operand, Operator.LESS, 0)
    if value < _DECADES_BELOW:
        low = int(value // 10) * 10
        high = low + 10
    else:
        low = 10 ** floor(log10(value) + 1e-9)
        high = low * 10
    least, less = (Operator.GREATER_OR_EQUAL, low), (Operator.LESS, high)
    return And((Comparison(operand, *least), Comparison(operand, *less)))


@dataclass(slots=True)
class Composition:
    """Counts of persons by condition: of members, and of everyone that anything is known of."""

    members: Counter[str] = field(default_factory=Counter)
    everyone: Counter[str] = field(default_factory=Counter)
    member_count: int = 0
    count: int = 0
    uncounted: int = 0

    def add(self, person: PersonFacts, *, member: bool) -> None:
        """Count a person."""
        self.count += 1
        self.member_count += member
        for condition in conditions_of(person):
            if condition not in self.everyone and len(self.everyone) >= MAX_CONDITIONS:
                self.uncounted += 1
                continue
            self.everyone[condition] += 1
            if member:
                self.members[condition] += 1


def divergence(share: float, of_everyone: float) -> float:
    """A condition's term of the symmetric divergence of two distributions (Jeffreys 1946); 0 where they are equal."""
    return (share - of_everyone) * log(share / of_everyone)
