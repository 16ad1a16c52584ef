"""Evaluating an expression over sets of everyone, whatever the sets are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from math import inf
from typing import Final, Generic, Protocol, Self, TypeVar

from bihuan_shared.targeting.expression import (
    And,
    Attribute,
    Comparison,
    Condition,
    Constant,
    Expression,
    InAudience,
    InSegment,
    Literal,
    Not,
    OneOf,
    Operand,
    Operator,
    Or,
    Within,
)


class PersonSet(Protocol):
    """A set of persons; its operators make a new one."""

    def __and__(self, other: Self, /) -> Self: ...

    def __or__(self, other: Self, /) -> Self: ...

    def __sub__(self, other: Self, /) -> Self: ...

    def __len__(self) -> int: ...


Set = TypeVar("Set", bound=PersonSet)
Set_co = TypeVar("Set_co", bound=PersonSet, covariant=True)


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


class Population(Protocol[Set_co]):
    """What is known of everyone, as sets; the evaluator never changes a set that it is given."""

    def everyone(self) -> Set_co:
        """All persons."""
        ...

    def text(self, name: str, value: str, /) -> Set_co:
        """Whose attribute is this text."""
        ...

    def texts(self, name: str, /) -> Set_co:
        """Whose attribute is a text."""
        ...

    def flag(self, name: str, /, *, value: bool) -> Set_co:
        """Whose attribute is this flag."""
        ...

    def numbers(self, operand: Operand, span: Span, /) -> Set_co:
        """Whose attribute is a number in `span`, or whose interest is above 0 and in `span`; NaN is no number."""
        ...

    def audience(self, audience_id: str, /) -> Set_co:
        """Who is in an audience package."""
        ...

    def segment(self, segment_id: str, /) -> Set_co:
        """Who is in a segment."""
        ...


Leaf = Condition | Constant | InAudience | InSegment


@dataclass(frozen=True, slots=True)
class _Signed(Generic[Set]):
    """A set, or where `without` everyone but those, so that no complement is made before it is needed."""

    members: Set
    without: bool = False


def members(expression: Expression, population: Population[Set]) -> Set:
    """
    Everyone who fits a checked expression: those of whom `evaluate` says so.

    The set may be one of the population's own, so it must not be changed.
    """
    found = _evaluate(expression, population)
    return population.everyone() - found.members if found.without else found.members


def _evaluate(expression: Expression, population: Population[Set]) -> _Signed[Set]:
    match expression:
        case And(terms):
            return _conjunction([_evaluate(term, population) for term in terms])
        case Or(terms):
            # By De Morgan: any of them is not none of them.
            return _opposite(_conjunction([_opposite(_evaluate(term, population)) for term in terms]))
        case Not(term):
            return _opposite(_evaluate(term, population))
        case _:
            return _leaf(expression, population)


def _opposite(signed: _Signed[Set]) -> _Signed[Set]:
    return _Signed(signed.members, not signed.without)


def _conjunction(terms: Sequence[_Signed[Set]]) -> _Signed[Set]:
    """All of them: the smallest sets first, and what is left out of the result at the end."""
    wanted = sorted((term.members for term in terms if not term.without), key=len)
    unwanted = [term.members for term in terms if term.without]
    if not wanted:
        return _Signed(reduce(_union, unwanted), without=True)
    found = wanted[0]
    for one in wanted[1:]:
        found = found & one
    for one in unwanted:
        found = found - one
    return _Signed(found)


def _leaf(leaf: Leaf, population: Population[Set]) -> _Signed[Set]:
    match leaf:
        case InAudience(audience_id):
            return _Signed(population.audience(audience_id))
        case InSegment(segment_id):
            return _Signed(population.segment(segment_id))
        case Constant(value):
            return _opposite(_no_one(population)) if value else _no_one(population)
        case _:
            return _condition(leaf, population)


def _condition(condition: Condition, population: Population[Set]) -> _Signed[Set]:
    match condition:
        case Comparison(operand, operator, literal):
            return _comparison(operand, operator, literal, population)
        case Within(operand, low, high):
            return _in_span(operand, Span(low, high), population)
        case OneOf(operand, literals):
            each = [_comparison(operand, Operator.EQUAL, literal, population) for literal in literals]
            return _opposite(_conjunction([_opposite(one) for one in each]))


def _comparison(operand: Operand, operator: Operator, literal: Literal, population: Population[Set]) -> _Signed[Set]:
    if not isinstance(literal, bool | str):
        return _number(operand, operator, literal, population)
    if not isinstance(operand, Attribute):
        return _no_one(population)
    differs = operator is Operator.NOT_EQUAL
    if isinstance(literal, bool):
        return _Signed(population.flag(operand.name, value=literal is not differs))
    same = population.text(operand.name, literal)
    return _Signed(population.texts(operand.name) - same if differs else same)


def _no_one(population: Population[Set]) -> _Signed[Set]:
    everyone = population.everyone()
    return _Signed(everyone - everyone)


def _number(operand: Operand, operator: Operator, number: float, population: Population[Set]) -> _Signed[Set]:
    if operator is Operator.NOT_EQUAL:
        same = _in_span(operand, Span(number, number), population)
        known = _in_span(operand, EVERY_NUMBER, population)
        return _conjunction([known, _opposite(same)])
    return _in_span(operand, _SPANS[operator](number), population)


_SPANS: Final[dict[Operator, Callable[[float], Span]]] = {
    Operator.EQUAL: lambda number: Span(number, number),
    Operator.LESS: lambda number: Span(high=number, high_open=True),
    Operator.LESS_OR_EQUAL: lambda number: Span(high=number),
    Operator.GREATER: lambda number: Span(low=number, low_open=True),
    Operator.GREATER_OR_EQUAL: lambda number: Span(low=number),
}


def _in_span(operand: Operand, span: Span, population: Population[Set]) -> _Signed[Set]:
    """Interest that a person does not have is 0: where 0 fits, all fit but those whose interest does not."""
    if isinstance(operand, Attribute) or 0.0 not in span:
        return _Signed(population.numbers(operand, span))
    below, above = span.outside()
    misfits = population.numbers(operand, above)
    if below.high > 0:
        misfits = population.numbers(operand, below) | misfits
    return _Signed(misfits, without=True)


def _union(one: Set, other: Set) -> Set:
    return one | other
