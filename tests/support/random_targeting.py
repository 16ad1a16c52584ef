"""Persons and expressions that chance writes, for tests that hold the evaluators of the language equal."""

from dataclasses import dataclass, field
from math import inf, nan
from random import Random

from bihuan_shared.targeting import (
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
    TagType,
    Value,
    Within,
)

TEXTS = ("city", "gender")
NUMBERS = ("age", "spend")
FLAGS = ("member",)
TAXONOMY = (
    dict.fromkeys(TEXTS, TagType.TEXT) | dict.fromkeys(NUMBERS, TagType.NUMBER) | dict.fromkeys(FLAGS, TagType.FLAG)
)
VALUES = ("f", "m", "", "Köln", 'a"b')
TAGS = ("skincare", "category:shoes", "")
AUDIENCES = ("a1", "a2", "gone")
SEGMENTS = ("new", "loyal")
FIGURES = (-1.5, 0.0, 0.25, 0.5, 1.0, 2.0, 3, 25, 34.0, inf)


@dataclass(slots=True)
class Someone:
    """A person as one at a time sees it; attributes may be of another type than the taxonomy says, or missing."""

    person_id: int
    attributes: dict[str, Value] = field(default_factory=dict)
    interests: dict[str, tuple[float, float]] = field(default_factory=dict)
    audiences: frozenset[str] = frozenset()
    segments: frozenset[str] = frozenset()

    def attribute(self, name: str, /) -> Value | None:
        return self.attributes.get(name)

    def interest(self, tag: str, /) -> float:
        return self.interests.get(tag, (0.0, 0.0))[0]

    def instant_interest(self, tag: str, /) -> float:
        return self.interests.get(tag, (0.0, 0.0))[1]

    def in_audience(self, audience_id: str, /) -> bool:
        return audience_id in self.audiences

    def in_segment(self, segment_id: str, /) -> bool:
        return segment_id in self.segments


def someone(random: Random, person_id: int) -> Someone:
    """A person with some attributes, a few of them of a strange type or not a number."""
    attributes: dict[str, Value] = {}
    for name in (*TEXTS, *NUMBERS, *FLAGS):
        if random.random() < 0.7:
            strange: Value = random.choice((True, 1.0, "f", nan))
            attributes[name] = strange if random.random() < 0.1 else _usual(random, name)
    return Someone(
        person_id,
        attributes,
        {tag: (random.choice((0.25, 0.5, 1, 2.0)), random.choice((0, 0.25, 1.0))) for tag in _some(random, TAGS)},
        frozenset(_some(random, AUDIENCES[:2])),
        frozenset(_some(random, SEGMENTS)),
    )


def _usual(random: Random, name: str) -> Value:
    if name in TEXTS:
        return random.choice(VALUES)
    return random.choice(FIGURES) if name in NUMBERS else random.random() < 0.5


def _some(random: Random, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if random.random() < 0.5]


def expression(random: Random, depth: int = 3) -> Expression:
    """An expression that the taxonomy allows."""
    kind = random.random()
    if depth == 0 or kind < 0.3:
        return _leaf(random)
    if kind < 0.5:
        return Not(expression(random, depth - 1))
    joined = And if kind < 0.75 else Or
    terms: list[Expression] = []
    for term in [expression(random, depth - 1) for _ in range(random.randint(2, 4))]:
        terms.extend(term.terms if isinstance(term, joined) else (term,))
    return joined(tuple(terms))


def _leaf(random: Random) -> Expression:
    kind = random.random()
    if kind < 0.05:
        return Constant(random.random() < 0.5)
    if kind < 0.2:
        return InAudience(random.choice(AUDIENCES))
    if kind < 0.3:
        return InSegment(random.choice((*SEGMENTS, "none")))
    operand, literals = _operand(random)
    if isinstance(literals[0], float) and kind < 0.5:
        low, high = sorted(random.choices(FIGURES, k=2))
        return Within(operand, low, high)
    if kind < 0.6:
        return OneOf(operand, tuple(random.choices(literals, k=random.randint(1, 3))))
    operators = list(Operator) if isinstance(literals[0], float) else [Operator.EQUAL, Operator.NOT_EQUAL]
    return Comparison(operand, random.choice(operators), random.choice(literals))


def _operand(random: Random) -> tuple[Operand, tuple[Literal, ...]]:
    match random.randrange(5):
        case 0:
            return Attribute(random.choice(TEXTS)), VALUES
        case 1:
            return Attribute(random.choice(FLAGS)), (True, False)
        case 2:
            return Interest(random.choice((*TAGS, "none"))), FIGURES
        case 3:
            return InstantInterest(random.choice(TAGS)), FIGURES
        case _:
            return Attribute(random.choice(NUMBERS)), FIGURES
