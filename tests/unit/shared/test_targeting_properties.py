"""Laws of the targeting language, over generated expressions and texts."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_shared.targeting import (
    And,
    Attribute,
    Comparison,
    Constant,
    Expression,
    ExpressionInvalid,
    InAudience,
    InSegment,
    InstantInterest,
    Interest,
    Not,
    OneOf,
    Operator,
    Or,
    TagType,
    Value,
    Within,
    canonical,
    check,
    evaluate,
    is_private_name,
    namespace_in,
    namespace_of,
    parse,
    references,
)

KEYWORDS = {"and", "or", "not", "in", "true", "false", "interest", "instant_interest", "audience", "segment"}
NAMES = st.one_of(
    st.sampled_from(["a", "b", "android", "int"]), st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
)
# A word of the language may stand before or after the dot.
DOTTED = st.from_regex(r"([a-z_][a-z0-9_]{0,4}|and|in|interest)\.([A-Za-z_][A-Za-z0-9_]{0,4}|or|true)", fullmatch=True)
NAMES = st.one_of(NAMES.filter(lambda name: name not in KEYWORDS), DOTTED)
TEXTS = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs"]), max_size=12)
NUMBERS = st.one_of(st.integers(-(10**15), 10**15), st.floats(-1e15, 1e15).map(lambda value: value or 0.0))
LITERALS = st.one_of(TEXTS, NUMBERS, st.booleans())
OPERANDS = st.one_of(st.builds(Attribute, NAMES), st.builds(Interest, TEXTS), st.builds(InstantInterest, TEXTS))
LEAVES: st.SearchStrategy[Expression] = st.one_of(
    st.builds(Constant, st.booleans()),
    st.builds(Comparison, OPERANDS, st.sampled_from(Operator), LITERALS),
    st.builds(lambda operand, ends: Within(operand, *sorted(ends)), OPERANDS, st.tuples(NUMBERS, NUMBERS)),
    st.builds(OneOf, OPERANDS, st.lists(LITERALS, min_size=1, max_size=4).map(tuple)),
    st.builds(InAudience, TEXTS),
    st.builds(InSegment, TEXTS),
)


def _and(terms: Sequence[Expression]) -> Expression:
    return And(tuple(inner for term in terms for inner in (term.terms if isinstance(term, And) else (term,))))


def _or(terms: Sequence[Expression]) -> Expression:
    return Or(tuple(inner for term in terms for inner in (term.terms if isinstance(term, Or) else (term,))))


def _compound(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    several = st.lists(inner, min_size=2, max_size=3)
    return st.one_of(several.map(_and), several.map(_or), st.builds(Not, inner))


EXPRESSIONS = st.recursive(LEAVES, _compound, max_leaves=12)


@dataclass(frozen=True)
class Guess:
    """A person about whom everything has the same answer."""

    value: Value | None
    strength: float
    member: bool

    def attribute(self, name: str) -> Value | None:
        return self.value

    def interest(self, tag: str) -> float:
        return self.strength

    def instant_interest(self, tag: str) -> float:
        return -self.strength

    def in_audience(self, audience_id: str) -> bool:
        return self.member

    def in_segment(self, segment_id: str) -> bool:
        return not self.member


PEOPLE = st.builds(Guess, st.none() | LITERALS, st.floats(allow_nan=False), st.booleans())


@given(EXPRESSIONS)
def test_canonical_text_parses_to_the_same_tree_and_is_a_fixed_point(expression: Expression) -> None:
    text = canonical(expression)
    assert parse(text) == expression
    assert canonical(parse(text)) == text


@given(EXPRESSIONS, EXPRESSIONS, PEOPLE)
def test_connectives_are_those_of_logic(left: Expression, right: Expression, person: Guess) -> None:
    first, second = evaluate(left, person), evaluate(right, person)
    assert evaluate(_and([left, right]), person) is (first and second)
    assert evaluate(_or([left, right]), person) is (first or second)
    assert evaluate(Not(left), person) is (not first)


@given(EXPRESSIONS, st.sampled_from(TagType))
def test_check_accepts_or_names_a_column_inside_the_text(expression: Expression, tag_type: TagType) -> None:
    text = canonical(expression)

    class Everything(dict[str, TagType]):
        def get(self, key: str, default: object = None) -> TagType:
            return tag_type

    try:
        check(parse(text), Everything())
    except ExpressionInvalid as error:
        column = error.column
    else:
        column = 1
    assert 1 <= column <= len(text)


@given(st.text(max_size=60) | st.text('()andotr "=<>!.,[]0123x', max_size=60))
def test_any_text_parses_or_is_refused_with_a_column(text: str) -> None:
    try:
        expression = parse(text)
    except ExpressionInvalid as error:
        column = error.column
    else:
        column = 1
        assert parse(canonical(expression)) == expression
    assert 1 <= column <= len(text) + 1


ADVERTISERS = st.one_of(
    st.sampled_from(["acme", "acme-1", "acme.1", "acme_1", "acme__1", "acme_", "1", "-", "."]),
    st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,63}", fullmatch=True),
)
LOCAL = st.from_regex(r"[a-z][a-z0-9_]{0,47}", fullmatch=True)


@given(ADVERTISERS, ADVERTISERS)
def test_two_advertisers_never_share_a_namespace(one: str, other: str) -> None:
    assert (namespace_of(one) == namespace_of(other)) is (one == other)


@given(ADVERTISERS, LOCAL, st.integers(-9, 9))
def test_private_tag_can_be_named_in_an_expression_and_fits_an_attribute(owner: str, local: str, value: int) -> None:
    name = f"{namespace_of(owner)}.{local}"
    assert len(name) <= 128
    assert is_private_name(name, namespace_of(owner))
    assert namespace_in(name) == namespace_of(owner)
    expression = parse(f"not {name} >= {value}")
    assert references(expression).attributes == {name}
    check(expression, {name: TagType.NUMBER})


@given(ADVERTISERS, ADVERTISERS, LOCAL, st.sampled_from(["", 'gender == "f" and ']))
def test_tag_of_another_advertiser_is_unknown_at_its_column(owner: str, other: str, local: str, before: str) -> None:
    taxonomy = {"gender": TagType.TEXT, f"{namespace_of(owner)}.{local}": TagType.NUMBER}
    text = f"{before}{namespace_of(other)}.{local} > 1"
    if owner == other:
        check(parse(text), taxonomy)
        return
    with pytest.raises(ExpressionInvalid) as caught:
        check(parse(text), taxonomy)
    assert caught.value.column == len(before) + 1


@given(PEOPLE)
def test_dotted_name_asks_for_the_attribute_of_that_name(person: Guess) -> None:
    bare = parse("acme.vip")
    assert evaluate(bare, person) is (person.value is True)
    assert canonical(bare) == "acme.vip == true"
