"""A person as expressions see it."""

from typing import Final

from bihuan_scoring.domain.facts import PersonFacts
from bihuan_scoring.use_cases.lookup import MemberLookup
from bihuan_shared.targeting import Value

_NO_INTEREST: Final = (0.0, 0.0)


class ExpressionFacts:
    """What is known of a person, and which audiences it is in."""

    def __init__(self, person: PersonFacts, audiences: MemberLookup) -> None:
        self._person = person
        self._audiences = audiences
        self._interests = {tag: (long_term, instant) for tag, long_term, instant in person.interests}

    def attribute(self, name: str, /) -> Value | None:
        """The attribute's value; None where it is not known."""
        return self._person.attributes.get(name)

    def interest(self, tag: str, /) -> float:
        """The strength of a long-term interest; 0 where there is none."""
        return self._interests.get(tag, _NO_INTEREST)[0]

    def instant_interest(self, tag: str, /) -> float:
        """The strength of an interest of the last minutes; 0 where there is none."""
        return self._interests.get(tag, _NO_INTEREST)[1]

    def in_audience(self, audience_id: str, /) -> bool:
        """Whether the person is in an audience."""
        return self._audiences.contains(audience_id, self._person.person_id)

    def in_segment(self, segment_id: str, /) -> bool:
        """Whether the person is in a segment."""
        return segment_id in self._person.segments
