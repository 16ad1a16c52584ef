"""The canonical text of an expression: one spelling for each tree, and parsing it gives the tree back."""

from decimal import Decimal

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
    Or,
    Within,
)


def canonical(expression: Expression) -> str:
    """The text, with single spaces, and parentheses only where they are needed."""
    match expression:
        case Or(terms):
            return " or ".join(canonical(term) for term in terms)
        case And(terms):
            return " and ".join(_in_parentheses(term, Or) for term in terms)
        case Not(term):
            return f"not {_in_parentheses(term, And | Or)}"
        case InAudience(audience_id):
            return f"audience({_quoted(audience_id)})"
        case InSegment(segment_id):
            return f"segment({_quoted(segment_id)})"
        case _:
            return _condition(expression)


def _condition(condition: Condition | Constant) -> str:
    match condition:
        case Constant(value):
            return _literal(value)
        case Comparison(operand, operator, value):
            return f"{_operand(operand)} {operator} {_literal(value)}"
        case Within(operand, low, high):
            return f"{_operand(operand)} in {_literal(low)}..{_literal(high)}"
        case OneOf(operand, values):
            return f"{_operand(operand)} in [{', '.join(_literal(value) for value in values)}]"


def _in_parentheses(expression: Expression, weaker: type | object) -> str:
    text = canonical(expression)
    return f"({text})" if isinstance(expression, weaker) else text  # type: ignore[arg-type]  # a class or a union


def _operand(operand: Operand) -> str:
    if isinstance(operand, Attribute):
        return operand.name
    function = "interest" if isinstance(operand, Interest) else "instant_interest"
    return f"{function}({_quoted(operand.tag)})"


def _literal(value: Literal) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _quoted(value)
        case int():
            return str(value)
        case float():
            return _decimal(value)


def _decimal(value: float) -> str:
    """The shortest digits that read back as the same number, without an exponent and with a decimal point."""
    text = format(Decimal(repr(value)), "f")
    return text if "." in text else f"{text}.0"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
