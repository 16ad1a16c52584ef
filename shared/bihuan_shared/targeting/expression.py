"""
The typed syntax tree of an expression.

Two trees are equal when they say the same in the same order; the columns that they came from do not count.
"""

from dataclasses import dataclass, field
from enum import StrEnum

Literal = str | int | float | bool


class Operator(StrEnum):
    """How a value is compared."""

    EQUAL = "=="
    NOT_EQUAL = "!="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="


@dataclass(frozen=True, slots=True)
class Attribute:
    """What a person's attribute of this name is."""

    name: str
    column: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Interest:
    """How strong the long-term interest in a tag is; 0 where there is none."""

    tag: str
    column: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class InstantInterest:
    """How strong the interest of the last minutes in a tag is; 0 where there is none."""

    tag: str
    column: int = field(default=1, compare=False)


Operand = Attribute | Interest | InstantInterest


@dataclass(frozen=True, slots=True)
class Constant:
    """Everyone or no one."""

    value: bool
    column: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Comparison:
    """`operand operator value`; false where the operand is missing or of another type, whatever the operator."""

    operand: Operand
    operator: Operator
    value: Literal
    operator_column: int = field(default=1, compare=False)
    value_column: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Within:
    """`operand in low..high`, both ends included; false where the operand is missing or no number."""

    operand: Operand
    low: int | float
    high: int | float
    column: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class OneOf:
    """`operand in [values]`; false where the operand is missing."""

    operand: Operand
    values: tuple[Literal, ...]
    value_columns: tuple[int, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class InAudience:
    """Whether the person is in an audience package."""

    audience_id: str
    column: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class InSegment:
    """Whether the person is in a segment of the profile."""

    segment_id: str
    column: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a term."""

    term: "Expression"


@dataclass(frozen=True, slots=True)
class And:
    """All of two or more terms, none of which is an And itself."""

    terms: tuple["Expression", ...]

    def __post_init__(self) -> None:
        assert len(self.terms) > 1
        assert not any(isinstance(term, And) for term in self.terms)


@dataclass(frozen=True, slots=True)
class Or:
    """Any of two or more terms, none of which is an Or itself."""

    terms: tuple["Expression", ...]

    def __post_init__(self) -> None:
        assert len(self.terms) > 1
        assert not any(isinstance(term, Or) for term in self.terms)


Condition = Comparison | Within | OneOf
Expression = Constant | Comparison | Within | OneOf | InAudience | InSegment | Not | And | Or


def children(expression: Expression) -> tuple[Expression, ...]:
    """The expressions directly below one."""
    if isinstance(expression, And | Or):
        return expression.terms
    return (expression.term,) if isinstance(expression, Not) else ()
