"""Evaluating an expression for one person."""

import operator
from collections.abc import Callable
from typing import Any, Final, Protocol

from bihuan_shared.targeting.expression import (
    And,
    Attribute,
    Comparison,
    Condition,
    Constant,
    Expression,
    InAudience,
    InSegment,
    Interest,
    Literal,
    Not,
    OneOf,
    Operand,
    Operator,
    Or,
    Within,
)

Value = str | float | bool
"""What an attribute of a person may be."""


class Facts(Protocol):
    """What is known of one person."""

    def attribute(self, name: str, /) -> Value | None:
        """The attribute's value; None where it is not known."""
        ...

    def interest(self, tag: str, /) -> float:
        """The strength of a long-term interest; 0 where there is none."""
        ...

    def instant_interest(self, tag: str, /) -> float:
        """The strength of an interest of the last minutes; 0 where there is none."""
        ...

    def in_audience(self, audience_id: str, /) -> bool:
        """Whether the person is in an audience package."""
        ...

    def in_segment(self, segment_id: str, /) -> bool:
        """Whether the person is in a segment."""
        ...


_COMPARE: Final[dict[Operator, Callable[[Any, Any], bool]]] = {
    Operator.EQUAL: operator.eq,
    Operator.NOT_EQUAL: operator.ne,
    Operator.LESS: operator.lt,
    Operator.LESS_OR_EQUAL: operator.le,
    Operator.GREATER: operator.gt,
    Operator.GREATER_OR_EQUAL: operator.ge,
}


def evaluate(expression: Expression, facts: Facts) -> bool:
    """
    Whether the person fits.

    A condition on an attribute that is missing, or of another type than the literal, is false, also with `!=`; `not`
    turns that into true.
    """
    match expression:
        case And(terms):
            return all(evaluate(term, facts) for term in terms)
        case Or(terms):
            return any(evaluate(term, facts) for term in terms)
        case Not(term):
            return not evaluate(term, facts)
        case InAudience(audience_id):
            return facts.in_audience(audience_id)
        case InSegment(segment_id):
            return facts.in_segment(segment_id)
        case _:
            return _holds(expression, facts)


def _holds(condition: Condition | Constant, facts: Facts) -> bool:
    if isinstance(condition, Constant):
        return condition.value
    value = value_of(condition.operand, facts)
    match condition:
        case Comparison(_, comparison, literal):
            return _same_kind(value, literal) and _COMPARE[comparison](value, literal)
        case Within(_, low, high):
            return isinstance(value, int | float) and _same_kind(value, low) and low <= value <= high
        case OneOf(_, literals):
            return any(_same_kind(value, literal) and value == literal for literal in literals)


def value_of(operand: Operand, facts: Facts) -> Value | None:
    """What the person has there."""
    if isinstance(operand, Attribute):
        return facts.attribute(operand.name)
    if isinstance(operand, Interest):
        return facts.interest(operand.tag)
    return facts.instant_interest(operand.tag)


def _same_kind(value: Value | None, literal: Literal) -> bool:
    """Whether both are texts, both numbers or both flags; what is no number at all (NaN) is of no kind."""
    if isinstance(literal, bool):
        return isinstance(value, bool)
    if isinstance(literal, str):
        return isinstance(value, str)
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value  # noqa: PLR0124  # not NaN
