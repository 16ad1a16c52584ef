"""Checking an expression against the taxonomy."""

from collections.abc import Mapping
from enum import StrEnum

from bihuan_shared.targeting.expression import (
    Attribute,
    Comparison,
    Expression,
    Literal,
    OneOf,
    Operand,
    Operator,
    Within,
    children,
)
from bihuan_shared.targeting.invalid import ExpressionInvalid


class TagType(StrEnum):
    """The type of an attribute's value."""

    TEXT = "text"
    NUMBER = "number"
    FLAG = "flag"


_EQUALITY = frozenset({Operator.EQUAL, Operator.NOT_EQUAL})


def check(expression: Expression, taxonomy: Mapping[str, TagType]) -> None:
    """
    Raise ExpressionInvalid where an attribute is unknown or is compared with what it can never be.

    `taxonomy` gives the type of each attribute by name. Interests are an open family of numbers and need no entry.
    The error is the leftmost one.
    """
    waiting = [expression]
    while waiting:
        node = waiting.pop()
        waiting.extend(reversed(children(node)))
        match node:
            case Comparison():
                _check_comparison(node, _type_of(node.operand, taxonomy))
            case Within():
                tag_type = _type_of(node.operand, taxonomy)
                if tag_type is not TagType.NUMBER:
                    raise ExpressionInvalid(node.column, f"expected a comparison, as this is a {tag_type}")
            case OneOf():
                tag_type = _type_of(node.operand, taxonomy)
                columns = node.value_columns or (1,) * len(node.values)
                for value, column in zip(node.values, columns, strict=True):
                    _check_literal(tag_type, value, column)
            case _:
                pass


def _type_of(operand: Operand, taxonomy: Mapping[str, TagType]) -> TagType:
    if not isinstance(operand, Attribute):
        return TagType.NUMBER
    tag_type = taxonomy.get(operand.name)
    if tag_type is None:
        raise ExpressionInvalid(operand.column, f"expected the name of a tag, and '{operand.name}' is none")
    return TagType(tag_type)


def _check_comparison(comparison: Comparison, tag_type: TagType) -> None:
    if tag_type is not TagType.NUMBER and comparison.operator not in _EQUALITY:
        raise ExpressionInvalid(comparison.operator_column, f"expected '==', '!=' or 'in', as this is a {tag_type}")
    _check_literal(tag_type, comparison.value, comparison.value_column)


def _check_literal(expected: TagType, value: Literal, column: int) -> None:
    actual = _type_of_literal(value)
    if actual is not expected:
        raise ExpressionInvalid(column, f"expected a {expected}, found a {actual}")


def _type_of_literal(value: Literal) -> TagType:
    if isinstance(value, bool):
        return TagType.FLAG
    return TagType.TEXT if isinstance(value, str) else TagType.NUMBER
