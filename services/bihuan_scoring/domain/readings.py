"""What profile told of a person, and when."""

from dataclasses import dataclass

from bihuan_scoring.domain.facts import PersonFacts


@dataclass(frozen=True, slots=True)
class Reading:
    """
    Facts of a person as of `read_us`; None where nothing is held under the id.

    `due_us` is the instant from which segments or other rules say something else although nothing happens; 0 where that
    is never.
    """

    person_id: int
    facts: PersonFacts | None
    read_us: int
    due_us: int = 0
