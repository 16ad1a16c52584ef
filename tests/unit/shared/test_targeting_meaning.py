"""The meaning of an expression: what says the same by logic alone is one text, and what differs is not."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_targeting import expression

from bihuan_shared.targeting import And, Expression, Not, Or, meaning, parse


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("age > 1 and age < 5", "age < 5 and age > 1"),
        ("age > 1 and age > 1", "age > 1"),
        ("not not age > 1", "age > 1"),
        ("not (age > 1 or member == true)", "not age > 1 and not member == true"),
        ("age > 1 or age > 1 and age < 5", "age > 1"),
        ("age > 1 and (age < 5 or not age < 5)", "age > 1"),
        ('gender in ["f", "m"]', 'gender == "m" or gender == "f"'),
        ("age in 2..5", "age <= 5 and age >= 2"),
        ("age > 25.0", "age > 25"),
        ('interest("tea") > 0.3', 'not interest("tea") <= 0.3'),
        ("age > 1 and false", "false"),
        ("(age > 1 or age < 5) and (age > 1 or age == 3)", "age > 1 or age < 5 and age == 3"),
    ],
)
def test_spellings_of_one_thing_share_a_meaning(one: str, other: str) -> None:
    assert meaning(parse(one)) == meaning(parse(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("age > 1 and age < 5", "age > 1 or age < 5"),
        ("age > 1", "not age <= 1"),  # of a missing age the first is false and the second true
        ("age > 1", "age > 2"),
        ('audience("a")', 'segment("a")'),
        ("true", "false"),
        ('gender == "true"', "gender == true"),
    ],
)
def test_what_differs_has_another_meaning(one: str, other: str) -> None:
    assert meaning(parse(one)) != meaning(parse(other))


@given(st.integers(0, 2**32))
def test_order_repetition_and_double_negation_never_count(seed: int) -> None:
    random = Random(seed)  # no secret
    first, second = expression(random, 3), expression(random, 3)

    def either(*terms: Expression) -> Expression:
        return Or(tuple(part for term in terms for part in (term.terms if isinstance(term, Or) else (term,))))

    def both(*terms: Expression) -> Expression:
        return And(tuple(part for term in terms for part in (term.terms if isinstance(term, And) else (term,))))

    assert meaning(either(first, second)) == meaning(either(second, Not(Not(first)), second))
    assert meaning(both(first, second)) == meaning(both(second, first, second))


def test_many_conditions_are_put_in_order_without_a_table() -> None:
    ages = [f"age == {age}" for age in range(40)]
    assert meaning(parse(" or ".join(ages))) == meaning(parse(" or ".join(reversed([*ages, "age == 3"]))))
    assert meaning(parse(" or ".join(ages))) != meaning(parse(" or ".join(ages[1:])))
