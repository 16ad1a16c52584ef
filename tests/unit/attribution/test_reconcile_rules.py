"""The fold's own arithmetic and histories, against plain definitions."""

import itertools
from collections.abc import Iterator
from fractions import Fraction
from importlib.resources import files

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_attribution.person_history import PersonHistory
from bihuan_attribution.reconcile.changed_limits import SpanClick, too_many


@pytest.fixture(scope="module")
def rules() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute((files("bihuan_attribution.reconcile") / "sql" / "10_rules.sql").read_text())
        yield connection


@given(st.integers(0, 2**63 - 1), st.integers(0, 1_000_000))
def test_part_of_an_amount_is_rounded_half_to_even(
    rules: duckdb.DuckDBPyConnection, amount_nanos: int, ppm: int
) -> None:
    row = rules.execute("SELECT ppm_part(?::HUGEINT, ?::BIGINT)", [amount_nanos, ppm]).fetchone()
    assert row == (round(Fraction(amount_nanos * ppm, 1_000_000)),)


@pytest.mark.parametrize(("amount_nanos", "half"), [(1, 0), (3, 2), (5, 2), (7, 4), (2**62 + 1, 2**61)])
def test_exact_halves_go_to_the_even_neighbour(rules: duckdb.DuckDBPyConnection, amount_nanos: int, half: int) -> None:
    assert rules.execute("SELECT ppm_part(?::HUGEINT, 500000)", [amount_nanos]).fetchone() == (half,)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=20), st.integers(1, 3))
def test_under_one_limit_all_but_the_first_clicks_are_too_many(clicks: list[tuple[int, int]], most: int) -> None:
    rows = [
        SpanClick(1, "x", f"s{span}", most, index, index, at_us, f"t{index}")
        for index, (span, at_us) in enumerate(clicks)
    ]
    found = sorted(position for position, _, _ in too_many(sorted(rows, key=lambda one: (one.span, one.counted))))
    expected: list[int] = []
    for span in {one.span for one in rows}:
        ranked = sorted((one for one in rows if one.span == span), key=lambda one: (one.received_us, one.token_id))
        expected += [one.position for one in ranked[most:]]
    assert found == sorted(expected)


def test_lowered_limit_puts_one_click_out_for_each_that_comes_before() -> None:
    def click(position: int, most: int, at_us: int) -> SpanClick:
        return SpanClick(1, "x", "s", most, position, position, at_us, f"t{position}")

    found = list(too_many([click(1, 3, 10), click(2, 3, 20), click(3, 3, 30), click(4, 1, 5), click(5, 1, 40)]))
    assert [position for position, _, _ in found] == [3, 5]


changes = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3), st.integers(1, 4), st.integers(1, 4)), max_size=8)


@given(changes, st.integers(1, 4), st.integers(0, 3))
def test_spans_of_a_person_say_what_holds_at_every_position(
    history: list[tuple[int, int, int, int]], person_id: int, sighting: int
) -> None:
    people = PersonHistory()
    for position, kind, one, other in sorted(history, key=lambda step: step[0]):
        # Survivors are the smaller ones, so that no two live on as each other.
        low, high = min(one, other), max(one, other)
        if kind == 0:
            people.add(position, [low], {})
        elif kind == 1 and low != high:
            people.add(position, [low, high], {low: []})
        else:
            people.add(position, [low], {low: [1], high: [2, 3]} if low != high else {low: [1, 2]})
    spans = list(people.spans((person_id, sighting)))
    assert (spans[0][0], spans[-1][1]) == (-1, 2**63 - 1)
    assert all(before[1] == after[0] and before[2] != after[2] for before, after in itertools.pairwise(spans))
    for position in range(9):
        (who,) = {owner for after, until, owner in spans if after < position <= until}
        expected = people._at((person_id, sighting), position)
        assert who == expected
        if len(spans) > 1:
            assert people.concerns((person_id, sighting))
