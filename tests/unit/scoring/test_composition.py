"""What a set is made of: conditions that the language understands, counted once a person."""

from math import inf, nan

import pytest

from bihuan_scoring.domain.composition import Composition, conditions_of, divergence
from bihuan_scoring.domain.facts import PersonFacts
from bihuan_shared.targeting import parse

PERSON = PersonFacts(
    person_id=1,
    attributes={"gender": "f", "member": True, "age": 34.0, "spend": 1_000.0, "debt": -3.0, "odd": nan, "far": inf},
    interests=[("tea", 0.4, 0.0), ("gone", 0.0, 0.2)],
    segments=frozenset({"loyal"}),
)


def test_conditions_of_a_person_are_those_of_the_language_that_it_meets() -> None:
    found = sorted(conditions_of(PERSON))
    assert found == [
        "age >= 30 and age < 40",
        "debt < 0",
        'gender == "f"',
        'interest("tea") > 0',
        "member == true",
        'segment("loyal")',
        "spend >= 1000 and spend < 10000",
    ]
    for condition in found:
        parse(condition)


@pytest.mark.parametrize(
    ("value", "condition"),
    [
        (0.0, "n >= 0 and n < 10"),
        (99.9, "n >= 90 and n < 100"),
        (100.0, "n >= 100 and n < 1000"),
        (999.0, "n >= 100 and n < 1000"),
        (10.0**6, "n >= 1000000 and n < 10000000"),
    ],
)
def test_numbers_fall_into_ranges_that_hold_them(value: float, condition: str) -> None:
    assert list(conditions_of(PersonFacts(attributes={"n": value}))) == [condition]


def test_members_are_counted_beside_everyone() -> None:
    counted = Composition()
    counted.add(PersonFacts(person_id=1, attributes={"gender": "f"}), member=True)
    counted.add(PersonFacts(person_id=2, attributes={"gender": "f"}), member=False)
    assert (counted.member_count, counted.count) == (1, 2)
    assert (counted.members['gender == "f"'], counted.everyone['gender == "f"']) == (1, 2)


def test_what_is_rarer_than_among_everyone_counts_as_what_is_more_frequent() -> None:
    assert divergence(0.5, 0.5) == 0
    assert divergence(0.1, 0.5) == pytest.approx(divergence(0.5, 0.1))
    assert divergence(0.1, 0.5) > 0
