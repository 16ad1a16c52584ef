"""Why a person fits an expression, or why not."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from bihuan_shared.targeting.evaluation import Facts, Value, evaluate, value_of
from bihuan_shared.targeting.expression import (
    And,
    Attribute,
    Constant,
    Expression,
    InAudience,
    InSegment,
    Not,
    Operand,
    Or,
)
from bihuan_shared.targeting.text import canonical

Leaf = Expression
"""An expression without `and`, `or` and `not`."""


class Holds(Enum):
    """Whether a condition holds; UNKNOWN where that depends on what is withheld."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Reason:
    """
    One condition of the expression, in the order of the text.

    `column` counts characters from 1. `value` is what the person has there: an attribute's value, the strength of an
    interest, membership; None where it is not known.
    """

    text: str
    column: int
    value: Value | None
    holds: Holds


@dataclass(frozen=True, slots=True)
class Why:
    """
    What an expression says of a person.

    `matches` is what counts: what is not known does not hold. `outcome` is UNKNOWN where what is withheld could turn
    it (by Kleene's logic: each condition for itself).
    """

    matches: bool
    outcome: Holds
    reasons: tuple[Reason, ...]


def explain(expression: Expression, facts: Facts, *, withheld: bool) -> Why:
    """
    Why a person fits or not.

    `withheld` says that there are facts of the person that `facts` must not tell, so that an attribute, interest or
    segment that is missing there is unknown.
    """
    reasons = tuple(_reason(leaf, facts, withheld=withheld) for leaf in leaves(expression))
    outcome = _outcome(expression, iter(reasons))
    return Why(evaluate(expression, facts), outcome, reasons)


def leaves(expression: Expression) -> Iterator[Leaf]:
    """The conditions of an expression, in the order of the text."""
    waiting = [expression]
    while waiting:
        node = waiting.pop()
        match node:
            case And(terms) | Or(terms):
                waiting.extend(reversed(terms))
            case Not(term):
                waiting.append(term)
            case _:
                yield node


def _reason(leaf: Leaf, facts: Facts, *, withheld: bool) -> Reason:
    value: Value | None
    match leaf:
        case InAudience(audience_id, column):
            value, missing = facts.in_audience(audience_id), False
        case InSegment(segment_id, column):
            value = facts.in_segment(segment_id)
            missing = not value
        case Constant(value, column):
            missing = False
        case And() | Or() | Not():
            raise AssertionError("no condition")
        case _:
            value, column = value_of(leaf.operand, facts), leaf.operand.column
            missing = _is_missing(leaf.operand, value)
    if missing and withheld:
        return Reason(canonical(leaf), column, None, Holds.UNKNOWN)
    return Reason(canonical(leaf), column, value, Holds.YES if evaluate(leaf, facts) else Holds.NO)


def _is_missing(operand: Operand, value: Value | None) -> bool:
    # A part of an interest may be withheld too; what is told of it is a lower bound then, and counts as known.
    return value is None if isinstance(operand, Attribute) else value == 0.0


def _outcome(expression: Expression, reasons: Iterator[Reason]) -> Holds:
    match expression:
        case And(terms):
            return _strongest(Holds.NO, [_outcome(term, reasons) for term in terms])
        case Or(terms):
            return _strongest(Holds.YES, [_outcome(term, reasons) for term in terms])
        case Not(term):
            return _OPPOSITE[_outcome(term, reasons)]
        case _:
            return next(reasons).holds


_OPPOSITE = {Holds.YES: Holds.NO, Holds.NO: Holds.YES, Holds.UNKNOWN: Holds.UNKNOWN}


def _strongest(decisive: Holds, found: list[Holds]) -> Holds:
    if decisive in found:
        return decisive
    return Holds.UNKNOWN if Holds.UNKNOWN in found else _OPPOSITE[decisive]
