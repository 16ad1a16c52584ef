"""Sketches of persons: how far they are from exact counts, and that they name nobody."""

import random

import pytest

from bihuan_attribution.domain.reach import (
    REACH_DIMENSIONS,
    REACH_FLOOR,
    RELATIVE_ERROR,
    Sketch,
    check_dimensions,
    hash_person,
    told,
)
from bihuan_attribution.domain.report import Dimension
from bihuan_shared.errors import InvalidArgument

KEY = b"k" * 32


def sketch_of(persons: "set[int] | range", key: bytes = KEY) -> Sketch:
    sketch = Sketch()
    sketch.add(hash_person(one, key) for one in persons)
    return sketch


@pytest.mark.parametrize("count", [60, 1_000, 20_000, 200_000])
def test_an_estimate_is_within_three_standard_errors_of_the_count(count: int) -> None:
    seeded = random.Random(count)
    persons = {seeded.getrandbits(63) for _ in range(count)}
    assert abs(sketch_of(persons).estimate - len(persons)) <= 3 * RELATIVE_ERROR * len(persons)


def test_a_union_counts_a_person_once_and_stays_within_three_standard_errors() -> None:
    days = [range(start, start + 20_000) for start in range(0, 60_000, 5_000)]
    exact = len(set().union(*days))
    united = Sketch.united(sketch_of(one) for one in days).estimate
    assert abs(united - exact) <= 3 * RELATIVE_ERROR * exact


def test_small_numbers_are_exact() -> None:
    assert [sketch_of(range(count)).estimate for count in (0, 1, 49, 100)] == [0, 1, 49, 100]


def test_taking_persons_again_changes_no_estimate() -> None:
    for count in (10, 200, 5_000):
        sketch = sketch_of(range(count))
        again = Sketch.of_bytes(sketch.to_bytes())
        again.add(hash_person(one, KEY) for one in reversed(range(count)))
        assert again.estimate == sketch.estimate


def test_a_sketch_stays_below_its_bound() -> None:
    assert len(sketch_of(range(300_000)).to_bytes()) < 2_400
    assert len(sketch_of(range(100)).to_bytes()) < 512


def test_under_another_key_a_person_is_somebody_else() -> None:
    both = Sketch.united([sketch_of(range(1_000)), sketch_of(range(1_000), b"l" * 32)])
    assert both.estimate > 1_900
    assert hash_person(7, KEY) not in {7, hash_person(7, b"l" * 32)}


def test_what_is_no_sketch_is_refused() -> None:
    with pytest.raises(ValueError, match=r"."):
        Sketch.of_bytes(b"abc")


def test_below_the_floor_nothing_is_told() -> None:
    assert [told(one) for one in (0, REACH_FLOOR - 1, REACH_FLOOR)] == [None, None, REACH_FLOOR]


def test_reach_is_refused_by_what_sketches_are_not_kept_by() -> None:
    check_dimensions(sorted(REACH_DIMENSIONS))
    for one in set(Dimension) - REACH_DIMENSIONS:
        with pytest.raises(InvalidArgument) as caught:
            check_dimensions([Dimension.DAY, one])
        assert caught.value.violations[0].field == "dimensions[1]"
