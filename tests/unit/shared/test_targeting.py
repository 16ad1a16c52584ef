"""The targeting language: what parses, what it means, and what its errors say."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from bihuan_shared.errors import InvalidArgument
from bihuan_shared.targeting import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_NODES,
    ExpressionInvalid,
    References,
    TagType,
    Value,
    audiences_of,
    canonical,
    check,
    evaluate,
    parse,
    references,
)

TAXONOMY = {"gender": TagType.TEXT, "age": TagType.NUMBER, "loyal": TagType.FLAG}
EXAMPLE = 'gender == "f" and age in 25..34 and interest("skincare") > 0.3 and not audience("bought_90d")'


@dataclass(frozen=True)
class Person:
    """A person in a test."""

    attributes: Mapping[str, Value] = field(default_factory=dict)
    interests: Mapping[str, float] = field(default_factory=dict)
    instants: Mapping[str, float] = field(default_factory=dict)
    audiences: frozenset[str] = frozenset()
    segments: frozenset[str] = frozenset()

    def attribute(self, name: str) -> Value | None:
        return self.attributes.get(name)

    def interest(self, tag: str) -> float:
        return self.interests.get(tag, 0.0)

    def instant_interest(self, tag: str) -> float:
        return self.instants.get(tag, 0.0)

    def in_audience(self, audience_id: str) -> bool:
        return audience_id in self.audiences

    def in_segment(self, segment_id: str) -> bool:
        return segment_id in self.segments


ANNA = Person(
    attributes={"gender": "f", "age": 30, "loyal": True},
    interests={"skincare": 0.5},
    instants={"tea": 2.0},
    audiences=frozenset({"seen"}),
    segments=frozenset({"aipl:loyal"}),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (EXAMPLE, True),
        ('gender == "m"', False),
        ('gender != "m"', True),
        ('gender in ["m", "f"]', True),
        ('gender in ["m"]', False),
        ("age == 30.0", True),
        ("age in 30..30", True),
        ("age in 31..40", False),
        ("age in [1, 30]", True),
        ("age < 30 or age > 30", False),
        ("age <= 30 and age >= 30", True),
        ("age > -1", True),
        ("loyal", True),
        ("not loyal", False),
        ("loyal == false", False),
        ("loyal in [true, false]", True),
        ('interest("skincare") > 0.3', True),
        ('interest("unknown") == 0', True),
        ('interest("skincare") in 0.4..0.6', True),
        ('instant_interest("tea") >= 2', True),
        ('instant_interest("skincare") > 0', False),
        ('audience("seen")', True),
        ('audience("other")', False),
        ('segment("aipl:loyal")', True),
        ("true", True),
        ("false", False),
        ("false or true and false", False),
        ("(true or false) and true", True),
        ("not false and false", False),
        ("not (false and false)", True),
        ("not not true", True),
        ("true\n\tand\r\ntrue", True),
    ],
)
def test_meaning(text: str, expected: bool) -> None:  # noqa: FBT001
    expression = parse(text)
    check(expression, TAXONOMY)
    assert evaluate(expression, ANNA) is expected
    assert evaluate(parse(canonical(expression)), ANNA) is expected


@pytest.mark.parametrize(
    "text",
    [
        'gender == "f"', 'gender != "f"', 'gender in ["f"]', "age in 0..99", "age > 0", "age != 0", "loyal",
        "loyal == false",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "attributes", [{}, {"gender": 1, "age": "30", "loyal": 1.0}, {"age": float("nan")}, {"gender": True, "age": True}]
)
def test_missing_or_mistyped_attribute_makes_any_condition_false(text: str, attributes: dict[str, Value]) -> None:
    assert evaluate(parse(text), Person(attributes)) is False
    assert evaluate(parse(f"not ({text})"), Person(attributes)) is True


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ("acme. == 1", 5, "found '.'"),
        ("acme.1 == 1", 5, "found '.'"),
        (".vip == 1", 1, "found '.'"),
        ("a.b.c == 1", 4, "found '.'"),
        ("acme .vip == 1", 6, "found '.'"),
        ("acme. vip == 1", 5, "found '.'"),
        ("", 1, "found the end"),
        ("  ", 3, "found the end"),
        ("age ==", 7, "expected a number"),
        ("age = 3", 5, "found '='"),
        ("age == 3 4", 10, "found '4'"),
        ("age 3", 5, "a comparison (==, !=, <, <=, >, >=)"),
        ("age andb", 5, "found 'andb'"),
        ("(age == 3", 10, "expected ')', found the end"),
        ("age == 3)", 9, "found ')'"),
        ("age in 34..25", 12, "expected a number of 34 or more, found 25"),
        ("age in 1.", 9, "found '.'"),
        ('age in "a".."b"', 8, "expected '[' or a number"),
        ("age in []", 9, "found ']'"),
        ("age in [1,]", 11, "found ']'"),
        ('gender == "f', 11, "expected a text closed by a quote"),
        ('gender == "a\\n"', 11, "expected a text closed by a quote"),
        ("gender == 'f'", 11, "found"),
        ('interest("x")', 14, "expected 'in' or a comparison"),
        ("interest(x) > 1", 10, 'expected a text in "quotes"'),
        ("audience > 1", 10, "expected '('"),
        ("age > 1e5", 8, "found 'e5'"),
        ("age > 1000000000000001", 7, "expected a number between"),
        ("and", 1, "found 'and'"),
        ("age > ٣", 7, "found"),
        ("a;drop", 2, "found ';'"),
    ],
)
def test_syntax_error_names_the_column_and_what_was_expected(text: str, column: int, problem: str) -> None:
    with pytest.raises(ExpressionInvalid) as caught:
        parse(text)
    assert caught.value.column == column
    assert problem in caught.value.problem
    assert caught.value.detail == f"column {column}: {caught.value.problem}"
    assert caught.value.reason == "EXPRESSION_INVALID"
    assert isinstance(caught.value, InvalidArgument)


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ('true and hair == "red"', 10, "'hair' is none"),
        ("hair", 1, "'hair' is none"),
        ("gender == 3", 11, "expected a text, found a number"),
        ("gender", 1, "expected a text, found a flag"),
        ('gender < "m"', 8, "expected '==', '!=' or 'in', as this is a text"),
        ("gender in 1..2", 8, "expected a comparison, as this is a text"),
        ('age == 1 or age == "1"', 20, "expected a number, found a text"),
        ("age in [1, true]", 12, "expected a number, found a flag"),
        ("loyal >= true", 7, "as this is a flag"),
        ("loyal == 1", 10, "expected a flag, found a number"),
        ('interest("x") == "y"', 18, "expected a number, found a text"),
        ("(hair == 1 or gender == 1) and skin == 1", 2, "'hair' is none"),
    ],
)
def test_type_error_names_the_leftmost_column(text: str, column: int, problem: str) -> None:
    expression = parse(text)
    with pytest.raises(ExpressionInvalid) as caught:
        check(expression, TAXONOMY)
    assert (caught.value.column, problem in caught.value.problem) == (column, True), caught.value.problem


@pytest.mark.parametrize(
    "text",
    [
        "(" * (MAX_DEPTH + 1) + "true" + ")" * (MAX_DEPTH + 1),
        "not " * (MAX_DEPTH + 1) + "true",
        "(" * 2_000 + "true" + ")" * 2_000,
        "not " * 1_000 + "true",
        "true or (true and " * (MAX_DEPTH // 2) + "true" + ")" * (MAX_DEPTH // 2),
    ],
)
def test_deep_nesting_is_refused(text: str) -> None:
    with pytest.raises(ExpressionInvalid, match="levels of nesting"):
        parse(text)


def test_nesting_up_to_the_bound_is_accepted() -> None:
    parse("(" * (MAX_DEPTH - 1) + "true" + ")" * (MAX_DEPTH - 1))


def test_length_counts_bytes() -> None:
    longest = f'audience("{"é" * ((MAX_BYTES - 12) // 2)}")'
    assert len(longest.encode()) == MAX_BYTES
    parse(longest)
    with pytest.raises(ExpressionInvalid, match="bytes"):
        parse(longest + " ")


@pytest.mark.parametrize("text", ["a or " * MAX_NODES + "a", f"a in [{','.join(['1'] * MAX_NODES)}]"])
def test_number_of_conditions_and_values_is_bounded(text: str) -> None:
    with pytest.raises(ExpressionInvalid, match="conditions and values"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('(a=="x")and(((b)))', 'a == "x" and b == true'),
        ("a and (b and c) or (d or e)", "a == true and b == true and c == true or d == true or e == true"),
        ("(a or b) and not (c and d)", "(a == true or b == true) and not (c == true and d == true)"),
        ("a in [ 1,2.50 ,-0]", "a in [1, 2.5, 0]"),
        ("a in 1 .. 2.0", "a in 1..2.0"),
        (r'a == "q\"b\\"', r'a == "q\"b\\"'),
    ],
)
def test_canonical_text(text: str, expected: str) -> None:
    assert canonical(parse(text)) == expected


def test_references_are_everything_that_is_asked() -> None:
    text = 'a and (b > 1 or c in 1..2) and not (segment("s") or audience("p")) and audience("q")'
    expression = parse(text + ' and interest("i") > 1 and instant_interest("j") in [1] and d in ["x"]')
    assert references(expression) == References(
        attributes=frozenset("abcd"),
        interests=frozenset("i"),
        instant_interests=frozenset("j"),
        audiences=frozenset("pq"),
        segments=frozenset("s"),
    )
    assert audiences_of(expression) == {"p", "q"}
