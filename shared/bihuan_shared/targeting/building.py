"""Builds the tree while the text is being parsed, bottom up, so that no nesting can exhaust the stack."""

import re
from dataclasses import dataclass
from typing import Final, cast

from lark import Token, Transformer, v_args

from bihuan_shared.targeting.expression import (
    And,
    Attribute,
    Comparison,
    Constant,
    Expression,
    InAudience,
    InSegment,
    InstantInterest,
    Interest,
    Literal,
    Not,
    OneOf,
    Operand,
    Operator,
    Or,
    Within,
)
from bihuan_shared.targeting.invalid import ExpressionInvalid

MAX_MAGNITUDE: Final = 10**15
"""Largest number, exact also as a float; the smallest is its negative."""

_ESCAPE: Final = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Part:
    """A finished part of the tree: how deep it nests, and how many conditions and listed values it has."""

    expression: Expression
    depth: int = 1
    size: int = 1


@dataclass(frozen=True, slots=True)
class _Constant:
    """A literal, and where it stands."""

    value: Literal
    column: int


@v_args(inline=True)
class TreeBuilder(Transformer[Token, Part]):
    """One method for each rule of the grammar."""

    def disjunction(self, *parts: Part) -> Part:
        """Any of them; what stands in parentheses is joined, as it says the same."""
        terms: list[Expression] = []
        for part in parts:
            terms.extend(part.expression.terms if isinstance(part.expression, Or) else (part.expression,))
        return _joined(Or(tuple(terms)), parts)

    def conjunction(self, *parts: Part) -> Part:
        """All of them."""
        terms: list[Expression] = []
        for part in parts:
            terms.extend(part.expression.terms if isinstance(part.expression, And) else (part.expression,))
        return _joined(And(tuple(terms)), parts)

    def negation(self, part: Part) -> Part:
        """The opposite."""
        return _joined(Not(part.expression), (part,))

    def parenthesised(self, part: Part) -> Part:
        """The same, one deeper."""
        return Part(part.expression, part.depth + 1, part.size)

    def constant(self, literal: _Constant) -> Part:
        """Everyone or no one."""
        return Part(Constant(bool(literal.value), literal.column))

    def audience(self, audience_id: Token) -> Part:
        """Membership of an audience."""
        return Part(InAudience(_unquoted(audience_id), _column(audience_id)))

    def segment(self, segment_id: Token) -> Part:
        """Membership of a segment."""
        return Part(InSegment(_unquoted(segment_id), _column(segment_id)))

    def bare_attribute(self, name: Token) -> Part:
        """A name alone says that the flag is true."""
        column = _column(name)
        return Part(Comparison(Attribute(str(name), column), Operator.EQUAL, value=True, value_column=column))

    def comparison(self, operand: Operand, operator: Token, literal: _Constant) -> Part:
        """An operand, an operator and a literal."""
        return Part(Comparison(operand, Operator(operator), literal.value, _column(operator), literal.column))

    def within(self, operand: Operand, keyword: Token, low: _Constant, high: _Constant) -> Part:
        """A range, the right way round."""
        ends = cast("tuple[float, float]", (low.value, high.value))
        if ends[0] > ends[1]:
            raise ExpressionInvalid(high.column, f"expected a number of {low.value} or more, found {high.value}")
        return Part(Within(operand, *ends, column=_column(keyword)), size=3)

    def one_of(self, operand: Operand, _keyword: Token, *literals: _Constant) -> Part:
        """A list of literals."""
        values = tuple(literal.value for literal in literals)
        columns = tuple(literal.column for literal in literals)
        return Part(OneOf(operand, values, columns), size=1 + len(values))

    def attribute(self, name: Token) -> Operand:
        """An attribute of the person."""
        return Attribute(str(name), _column(name))

    def interest(self, tag: Token) -> Operand:
        """A long-term interest."""
        return Interest(_unquoted(tag), _column(tag))

    def instant_interest(self, tag: Token) -> Operand:
        """An interest of the last minutes."""
        return InstantInterest(_unquoted(tag), _column(tag))

    def number(self, token: Token) -> _Constant:
        """An integer stays one; minus zero is zero."""
        value = float(token) if "." in token else int(token)
        if abs(value) > MAX_MAGNITUDE:
            raise ExpressionInvalid(_column(token), "expected a number between -10^15 and 10^15")
        return _Constant(value or abs(value), _column(token))

    def text(self, token: Token) -> _Constant:
        """A text without its quotes."""
        return _Constant(_unquoted(token), _column(token))

    def flag(self, token: Token) -> _Constant:
        """A yes or no."""
        return _Constant(token.type == "TRUE", _column(token))


def _joined(expression: Expression, parts: tuple[Part, ...]) -> Part:
    return Part(expression, 1 + max(part.depth for part in parts), 1 + sum(part.size for part in parts))


def _column(token: Token) -> int:
    return (token.start_pos or 0) + 1


def _unquoted(token: Token) -> str:
    return _ESCAPE.sub(r"\1", token[1:-1])
