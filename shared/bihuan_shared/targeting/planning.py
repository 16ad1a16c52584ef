"""From an expression to sets, ranges and what they have in common, before any set is made of others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Generic

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
from bihuan_shared.targeting.populations import EVERY_NUMBER, Population, Set, Span


@dataclass(frozen=True, slots=True)
class Known(Generic[Set]):
    """A set, or where `without` everyone but those, so that no complement is made before it is needed."""

    members: Set
    without: bool = False


@dataclass(frozen=True, slots=True)
class Range:
    """Whose number is in a span, or where `without` everyone else."""

    operand: Operand
    span: Span
    without: bool = False


@dataclass(frozen=True, slots=True)
class Common(Generic[Set]):
    """What terms have in common, or where `without` everyone else; none of the terms is such a one with its sign."""

    terms: "tuple[Term[Set], ...]"
    without: bool = False


Term = Known[Set] | Range | Common[Set]


def planned(expression: Expression, population: Population[Set]) -> Term[Set]:
    """What is to be found for a checked expression."""
    match expression:
        case And(terms):
            return _common([planned(term, population) for term in terms])
        case Or(terms):
            return _either([planned(term, population) for term in terms])
        case Not(term):
            return _opposite(planned(term, population))
        case InAudience() | InSegment() | Constant():
            return _known(expression, population)
        case _:
            return _condition(expression, population)


def _known(leaf: InAudience | InSegment | Constant, population: Population[Set]) -> Known[Set]:
    match leaf:
        case InAudience(audience_id):
            return Known(population.audience(audience_id))
        case InSegment(segment_id):
            return Known(population.segment(segment_id))
        case Constant(value):
            return Known(_no_one(population), without=value)


def _common(terms: Sequence[Term[Set]]) -> Common[Set]:
    flat: list[Term[Set]] = []
    for term in terms:
        flat.extend(term.terms if isinstance(term, Common) and not term.without else (term,))
    return Common(tuple(flat))


def _either(terms: Sequence[Term[Set]]) -> Term[Set]:
    """Of sets their union; else by De Morgan: any of them is not none of them."""
    sets = [term for term in terms if isinstance(term, Known) and not term.without]
    if len(sets) == len(terms):
        return Known(union_of([one.members for one in sets]))
    return _opposite(_common([_opposite(term) for term in terms]))


def union_of(sets: Sequence[Set]) -> Set:
    """What is in any of them, of which there is one at the least."""
    first, *others = sorted(sets, key=len, reverse=True)
    if not others:
        return first
    together = first | others[0]
    for other in others[1:]:
        together |= other
    return together


def _opposite(term: Term[Set]) -> Term[Set]:
    return replace(term, without=not term.without)


def _condition(condition: Condition, population: Population[Set]) -> Term[Set]:
    match condition:
        case Comparison(operand, operator, literal):
            return _comparison(operand, operator, literal, population)
        case Within(operand, low, high):
            return _in_span(operand, Span(low, high))
        case OneOf(operand, literals):
            return _either([_comparison(operand, Operator.EQUAL, literal, population) for literal in literals])


def _comparison(operand: Operand, operator: Operator, literal: Literal, population: Population[Set]) -> Term[Set]:
    if not isinstance(literal, bool | str):
        return _number(operand, operator, literal)
    if not isinstance(operand, Attribute):
        return Known(_no_one(population))
    differs = operator is Operator.NOT_EQUAL
    if isinstance(literal, bool):
        return Known(population.flag(operand.name, value=literal is not differs))
    same = Known(population.text(operand.name, literal))
    return _common([Known(population.texts(operand.name)), _opposite(same)]) if differs else same


def _no_one(population: Population[Set]) -> Set:
    everyone = population.everyone()
    return everyone - everyone


def _number(operand: Operand, operator: Operator, number: float) -> Term[Set]:
    if operator is Operator.NOT_EQUAL:
        return _common([_in_span(operand, EVERY_NUMBER), _opposite(_in_span(operand, Span(number, number)))])
    return _in_span(operand, _SPANS[operator](number))


_SPANS: Final[dict[Operator, Callable[[float], Span]]] = {
    Operator.EQUAL: lambda number: Span(number, number),
    Operator.LESS: lambda number: Span(high=number, high_open=True),
    Operator.LESS_OR_EQUAL: lambda number: Span(high=number),
    Operator.GREATER: lambda number: Span(low=number, low_open=True),
    Operator.GREATER_OR_EQUAL: lambda number: Span(low=number),
}


def _in_span(operand: Operand, span: Span) -> Term[Set]:
    """Interest that a person does not have is 0: where 0 fits, all fit but those whose interest does not."""
    if isinstance(operand, Attribute) or 0.0 not in span:
        return Range(operand, span)
    below, above = span.outside()
    misfits: list[Term[Set]] = [Range(operand, above, without=True)]
    if below.high > 0:
        misfits.append(Range(operand, below, without=True))
    return _common(misfits)
