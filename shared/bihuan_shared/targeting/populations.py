"""What is known of everyone, as sets, whatever the sets are."""

from dataclasses import dataclass
from math import inf
from typing import Final, Protocol, Self, TypeVar

from bihuan_shared.targeting.expression import Operand


class PersonSet(Protocol):
    """A set of persons; its operators make a new one."""

    def __and__(self, other: Self, /) -> Self: ...

    def __or__(self, other: Self, /) -> Self: ...

    def __sub__(self, other: Self, /) -> Self: ...

    def __len__(self) -> int: ...


Set = TypeVar("Set", bound=PersonSet)


@dataclass(frozen=True, slots=True)
class Span:
    """Numbers from `low` to `high`; each end belongs to it unless it is open."""

    low: float = -inf
    high: float = inf
    low_open: bool = False
    high_open: bool = False

    def __contains__(self, number: float) -> bool:
        above = number > self.low if self.low_open else number >= self.low
        return above and (number < self.high if self.high_open else number <= self.high)

    def outside(self) -> tuple["Span", "Span"]:
        """The numbers below and above it."""
        return Span(high=self.low, high_open=not self.low_open), Span(low=self.high, low_open=not self.high_open)


EVERY_NUMBER: Final = Span()


class Population(Protocol[Set]):
    """What is known of everyone, as sets; the evaluator never changes a set that it is given."""

    def everyone(self) -> Set:
        """All persons."""
        ...

    def text(self, name: str, value: str, /) -> Set:
        """Whose attribute is this text."""
        ...

    def texts(self, name: str, /) -> Set:
        """Whose attribute is a text."""
        ...

    def flag(self, name: str, /, *, value: bool) -> Set:
        """Whose attribute is this flag."""
        ...

    def numbers(self, operand: Operand, span: Span, among: Set | None = None, /) -> Set:
        """
        Whose attribute is a number in `span`, or whose interest is above 0 and in `span`; NaN is no number.

        Of everyone or of `among`.
        """
        ...

    def audience(self, audience_id: str, /) -> Set:
        """Who is in an audience package."""
        ...

    def segment(self, segment_id: str, /) -> Set:
        """Who is in a segment."""
        ...
