"""The meaning of an expression as a text: the same for every spelling that logic alone shows to say the same."""

from typing import Final

from bihuan_shared.targeting.expression import (
    And,
    Attribute,
    Comparison,
    Constant,
    Expression,
    Literal,
    Not,
    OneOf,
    Operator,
    Or,
    Within,
)
from bihuan_shared.targeting.text import canonical

MAX_ATOMS: Final = 12
"""Up to so many different conditions a truth table of 2^12 bits says what an expression means."""

_OPPOSITES: Final = {
    Operator.NOT_EQUAL: Operator.EQUAL,
    Operator.GREATER: Operator.LESS_OR_EQUAL,
    Operator.GREATER_OR_EQUAL: Operator.LESS,
}


def meaning(expression: Expression) -> str:
    """
    A text that two expressions share where they are equal as Boolean functions of their conditions.

    Order, repetition, parentheses, double negation, De Morgan, absorption and conditions that make no difference do
    not count, and neither does whether a list or a range is written out. Beyond `MAX_ATOMS` conditions only order,
    repetition and double negation do not count. What the conditions are about (that no one is under 3 and over 5) is
    not looked at.
    """
    simple = _written_out(expression)
    atoms = sorted(_atoms(simple))
    if len(atoms) > MAX_ATOMS:
        return _in_order(simple)
    needed = [atom for place, atom in enumerate(atoms) if _matters(_table(simple, atoms), place, len(atoms))]
    return f"{_table(simple, needed):x} {' , '.join(needed)}"


def _written_out(expression: Expression) -> Expression:
    """Ranges and lists as comparisons, comparisons of interests (which are never missing) with one direction."""
    match expression:
        case And(terms) | Or(terms):
            return type(expression)(_flat(type(expression), [_written_out(term) for term in terms]))
        case Not(term):
            plain = _written_out(term)
            return plain.term if isinstance(plain, Not) else Not(plain)
        case Within(operand, low, high):
            lowest = Comparison(operand, Operator.GREATER_OR_EQUAL, low)
            highest = Comparison(operand, Operator.LESS_OR_EQUAL, high)
            return And((_compared(lowest), _compared(highest)))
        case OneOf(operand, values):
            equal = tuple(_compared(Comparison(operand, Operator.EQUAL, value)) for value in values)
            return Or(equal) if len(equal) > 1 else equal[0]
        case _:
            return _compared(expression) if isinstance(expression, Comparison) else expression


def _compared(one: Comparison) -> Expression:
    if one.operator in _OPPOSITES and not isinstance(one.operand, Attribute):
        return Not(Comparison(one.operand, _OPPOSITES[one.operator], _plain(one.value)))
    return Comparison(one.operand, one.operator, _plain(one.value))


def _flat(kind: type[And] | type[Or], terms: list[Expression]) -> tuple[Expression, ...]:
    return tuple(part for term in terms for part in (term.terms if isinstance(term, kind) else (term,)))


def _plain(value: Literal) -> Literal:
    """25.0 is 25."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _atoms(expression: Expression) -> frozenset[str]:
    match expression:
        case And(terms) | Or(terms):
            return frozenset[str]().union(*(_atoms(term) for term in terms))
        case Not(term):
            return _atoms(term)
        case Constant():
            return frozenset()
        case _:
            return frozenset((canonical(expression),))


def _table(expression: Expression, atoms: list[str]) -> int:
    """Bit `row` is the value where atom `k` has bit `k` of `row`; what is no atom here counts as false."""
    rows = 1 << len(atoms)
    everywhere = (1 << rows) - 1
    columns = {atom: _column(place, rows) for place, atom in enumerate(atoms)}

    def value(part: Expression) -> int:
        match part:
            case And(terms):
                found = everywhere
                for term in terms:
                    found &= value(term)
                return found
            case Or(terms):
                found = 0
                for term in terms:
                    found |= value(term)
                return found
            case Not(term):
                return everywhere & ~value(term)
            case Constant(constant):
                return everywhere if constant else 0
            case _:
                return columns.get(canonical(part), 0)

    return value(expression)


def _column(place: int, rows: int) -> int:
    """The rows in which the bit at `place` is set."""
    half = 1 << place
    block = ((1 << half) - 1) << half
    return sum(block << start for start in range(0, rows, 2 * half))


def _matters(table: int, place: int, count: int) -> bool:
    """Whether the value ever changes with the atom at `place`."""
    column = _column(place, 1 << count)
    return (table & column) >> (1 << place) != table & (column >> (1 << place))


def _in_order(expression: Expression) -> str:
    match expression:
        case And(terms) | Or(terms):
            parts = sorted({_in_order(term) for term in terms})
            word = " and " if isinstance(expression, And) else " or "
            return parts[0] if len(parts) == 1 else f"({word.join(parts)})"
        case Not(term):
            return f"not {_in_order(term)}"
        case _:
            return canonical(expression)
