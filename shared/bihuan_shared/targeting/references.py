"""What an expression asks about a person, so that only that is fetched."""

from dataclasses import dataclass

from bihuan_shared.targeting.expression import (
    Attribute,
    Comparison,
    Expression,
    InAudience,
    InSegment,
    InstantInterest,
    Interest,
    OneOf,
    Operand,
    Within,
    children,
)


@dataclass(frozen=True, slots=True)
class References:
    """The names that an expression uses."""

    attributes: frozenset[str]
    interests: frozenset[str]
    instant_interests: frozenset[str]
    audiences: frozenset[str]
    segments: frozenset[str]


def references(expression: Expression) -> References:
    """Every attribute, interest, audience and segment that the expression uses."""
    operands: list[Operand] = []
    audiences, segments = set(), set()
    waiting = [expression]
    while waiting:
        node = waiting.pop()
        waiting.extend(children(node))
        match node:
            case Comparison(operand=operand) | Within(operand=operand) | OneOf(operand=operand):
                operands.append(operand)
            case InAudience(audience_id):
                audiences.add(audience_id)
            case InSegment(segment_id):
                segments.add(segment_id)
            case _:
                pass
    return References(
        attributes=frozenset(operand.name for operand in operands if isinstance(operand, Attribute)),
        interests=frozenset(operand.tag for operand in operands if isinstance(operand, Interest)),
        instant_interests=frozenset(operand.tag for operand in operands if isinstance(operand, InstantInterest)),
        audiences=frozenset(audiences),
        segments=frozenset(segments),
    )


def audiences_of(expression: Expression) -> frozenset[str]:
    """The ids of the audiences that the expression uses."""
    return references(expression).audiences
