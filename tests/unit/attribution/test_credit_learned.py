"""Markov and Shapley against their definitions on small instances."""

from collections.abc import Callable
from fractions import Fraction
from itertools import combinations, pairwise
from math import factorial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_attribution.domain.credit.channel_weights import WHOLE_WEIGHT
from bihuan_attribution.domain.credit.markov import markov, removal_effects
from bihuan_attribution.domain.credit.paths import Measure, PathCount, Paths, PathTable
from bihuan_attribution.domain.credit.rate_shapley import MAX_RATE_CHANNELS, rate_shapley, rate_shapley_values
from bihuan_attribution.domain.credit.shapley import shapley, shapley_values
from bihuan_shared.errors import InvalidArgument

MEASURES = st.sampled_from(Measure)
LEARNERS: dict[str, Callable[[Paths], dict[str, int]]] = {
    "markov": markov,
    "markov of the third order": lambda paths: markov(paths, order=3),
    "shapley": shapley,
    "rate shapley": rate_shapley,
}
learners = pytest.mark.parametrize("learn", [pytest.param(learn, id=name) for name, learn in LEARNERS.items()])


@st.composite
def counted_paths(draw: st.DrawFn) -> list[PathCount]:
    """Few channels, short paths with repetitions and loops, rows that count nobody, the same path in several rows."""
    rows = draw(
        st.lists(
            st.tuples(
                st.lists(st.sampled_from("abcd"), max_size=5),
                st.integers(0, 6),
                st.integers(0, 6),
                st.integers(0, 100),
            ),
            max_size=10,
        )
    )
    return [PathCount(tuple(path), yes, no, value if yes else 0) for path, yes, no, value in rows]


def outcome(path: PathCount, measure: Measure) -> int:
    return path.conversions if measure is Measure.CONVERSIONS else path.value


def expected_gain(paths: list[PathCount], order: int, measure: Measure, removed: str = "") -> float:
    """Solve for the gain from the start, with everybody who comes to a removed channel sent to nothing."""
    weights: dict[tuple[str, ...], dict[tuple[str, ...], float]] = {}
    gains: dict[tuple[str, ...], float] = {}
    for path in paths:
        people = path.conversions + path.non_conversions
        if not path.channels or not people:
            continue
        states = [(), *(path.channels[max(0, end - order) : end] for end in range(1, len(path.channels) + 1))]
        for here, there in [*pairwise(states), (states[-1], ("end",))]:
            row = weights.setdefault(here, {})
            row[there] = row.get(there, 0) + people
        gains[states[-1]] = gains.get(states[-1], 0) + outcome(path, measure)
    names = list(weights)
    alive = [not removed or name[-1:] != (removed,) for name in names]
    matrix, gain = np.eye(len(names)), np.zeros(len(names))
    for place, name in enumerate(names):
        left = sum(weights[name].values())
        if alive[place]:
            gain[place] = gains.get(name, 0) / left
            for column, other in enumerate(names):
                matrix[place, column] -= weights[name].get(other, 0) / left
    return float(np.linalg.solve(matrix, gain)[names.index(())]) if names else 0.0


@given(counted_paths(), st.integers(1, 3), MEASURES)
def test_removal_effects_are_what_is_lost_without_the_channel(
    paths: list[PathCount], order: int, measure: Measure
) -> None:
    found = removal_effects(paths, order=order, measure=measure)
    whole = expected_gain(paths, order, measure)
    assert found.whole == pytest.approx(whole, abs=1e-12)
    for channel, effect in zip(found.channels, found.effects, strict=True):
        lost = 1 - expected_gain(paths, order, measure, channel) / whole if whole else 0
        assert effect == pytest.approx(lost, abs=1e-9)


def test_a_hundred_channels_are_removed_as_one_by_one() -> None:
    random = np.random.default_rng(5)
    names = [f"c{number:03}" for number in range(120)]
    paths = [
        PathCount(tuple(random.choice(names, random.integers(1, 9)).tolist()), int(random.integers(0, 3)), 5)
        for _ in range(400)
    ]
    found = removal_effects(paths)
    whole = expected_gain(paths, 1, Measure.CONVERSIONS)
    for channel, effect in list(zip(found.channels, found.effects, strict=True))[::10]:
        assert effect == pytest.approx(1 - expected_gain(paths, 1, Measure.CONVERSIONS, channel) / whole, abs=1e-12)


def test_removal_effects_of_a_small_chain_by_hand() -> None:
    paths = [PathCount(("a", "b"), 1, 0), PathCount(("a",), 0, 1), PathCount(("b",), 1, 1)]
    found = removal_effects(paths)
    # From the start half go to a, half of those on to b, and two of three at b buy.
    assert found.whole == pytest.approx(0.5 * 0.5 * 2 / 3 + 0.5 * 2 / 3)
    assert found.effects == pytest.approx([1 / 3, 1])
    assert markov(paths) == {"a": WHOLE_WEIGHT // 4, "b": 3 * WHOLE_WEIGHT // 4}


def test_order_matters_to_a_chain_of_the_second_order() -> None:
    paths = [PathCount(("a", "c"), 10, 0), PathCount(("b", "c"), 0, 10)]
    assert markov(paths)["a"] == markov(paths)["b"]
    assert markov(paths, order=2) == {"a": WHOLE_WEIGHT // 2, "b": 0, "c": WHOLE_WEIGHT // 2}


def by_definition(channels: tuple[str, ...], worth: Callable[[frozenset[str]], Fraction]) -> dict[str, Fraction]:
    """Shapley's formula over every coalition."""
    found = dict.fromkeys(channels, Fraction(0))
    for channel in channels:
        others = [one for one in channels if one != channel]
        for size in range(len(channels)):
            chance = Fraction(factorial(size) * factorial(len(others) - size), factorial(len(channels)))
            for members in map(frozenset, combinations(others, size)):
                found[channel] += chance * (worth(members | {channel}) - worth(members))
    return found


def names_in(paths: list[PathCount]) -> tuple[str, ...]:
    return tuple(sorted({channel for path in paths for channel in path.channels}))


@given(counted_paths(), MEASURES)
def test_shapley_values_are_those_of_the_definition(paths: list[PathCount], measure: Measure) -> None:
    def worth(members: frozenset[str]) -> Fraction:
        return Fraction(sum(outcome(path, measure) for path in paths if path.channels and members >= {*path.channels}))

    found = shapley_values(paths, measure=measure)
    assert found == by_definition(names_in(paths), worth)
    assert sum(found.values()) == worth(frozenset("abcd"))


@given(counted_paths())
def test_rate_shapley_values_are_those_of_the_definition(paths: list[PathCount]) -> None:
    def worth(members: frozenset[str]) -> Fraction:
        inside = [path for path in paths if path.channels and members >= {*path.channels}]
        people = sum(path.conversions + path.non_conversions for path in inside)
        return Fraction(sum(path.conversions for path in inside), people) if people else Fraction(0)

    found = rate_shapley_values(paths)
    assert found == pytest.approx({name: float(value) for name, value in by_definition(names_in(paths), worth).items()})
    assert sum(found.values()) == pytest.approx(float(worth(frozenset("abcd"))))


@learners
@given(paths=counted_paths())
def test_weights_sum_to_one_whole_or_to_nothing(
    learn: Callable[[Paths], dict[str, int]], paths: list[PathCount]
) -> None:
    found = learn(paths)
    assert list(found) == list(names_in(paths))
    assert min(found.values(), default=0) >= 0
    assert sum(found.values()) == (WHOLE_WEIGHT if any(p.conversions for p in paths if p.channels) else 0)


@learners
@given(paths=counted_paths())
def test_channels_that_can_be_exchanged_weigh_the_same(
    learn: Callable[[Paths], dict[str, int]], paths: list[PathCount]
) -> None:
    swap = {"a": "b", "b": "a"}
    mirrored = [
        PathCount(tuple(swap.get(one, one) for one in p.channels), p.conversions, p.non_conversions, p.value)
        for p in paths
    ]
    found = learn([*paths, *mirrored])
    assert found.get("a", 0) == pytest.approx(found.get("b", 0), abs=WHOLE_WEIGHT * 1e-9)


@given(counted_paths(), MEASURES)
def test_a_channel_of_no_converting_path_weighs_nothing(paths: list[PathCount], measure: Measure) -> None:
    played = [PathCount(("z", *p.channels), 0, p.non_conversions + 1) for p in paths]
    assert shapley([*paths, *played], measure=measure).get("z", 0) == 0
    assert markov([*paths, PathCount(("z",), 0, 7)], measure=measure)["z"] == 0


def test_a_channel_that_changes_no_rate_is_worth_nothing_to_the_rate() -> None:
    paths = [PathCount(("a",), 1, 3), PathCount(("a", "z"), 1, 3)]
    assert rate_shapley_values(paths) == {"a": 0.25, "z": 0.0}
    assert shapley(paths) == {"a": 3 * WHOLE_WEIGHT // 4, "z": WHOLE_WEIGHT // 4}


def test_a_channel_that_lowers_the_rate_has_a_negative_value_and_no_weight() -> None:
    paths = [PathCount(("a",), 5, 5), PathCount(("a", "z"), 0, 10)]
    assert rate_shapley_values(paths) == pytest.approx({"a": 0.375, "z": -0.125})
    assert rate_shapley(paths) == {"a": WHOLE_WEIGHT, "z": 0}


@learners
@given(paths=counted_paths(), times=st.integers(2, 1_000))
def test_the_scale_of_the_counts_changes_nothing(
    learn: Callable[[Paths], dict[str, int]], paths: list[PathCount], times: int
) -> None:
    scaled = [PathCount(p.channels, p.conversions * times, p.non_conversions * times, p.value * times) for p in paths]
    assert learn(scaled) == pytest.approx(learn(paths), abs=WHOLE_WEIGHT * 1e-9)


def test_what_does_not_divide_goes_to_the_name_that_sorts_first() -> None:
    assert shapley([PathCount(("c", "a", "b"), 1, 0)]) == {
        "a": 333_333_333_334,
        "b": 333_333_333_333,
        "c": 333_333_333_333,
    }


@pytest.mark.parametrize("order", [0, 4])
def test_an_order_out_of_bounds_is_refused(order: int) -> None:
    with pytest.raises(InvalidArgument) as raised:
        markov([PathCount(("a",), 1, 1)], order=order)
    assert raised.value.violations[0].field == "order"


def test_more_states_or_channels_than_can_be_held_are_refused() -> None:
    codes = np.arange(4_097, dtype=np.int32)
    ones = np.ones(len(codes), dtype=np.int64)
    names = [f"{code:05}" for code in codes]
    table = PathTable.from_columns(names, codes, np.arange(len(codes) + 1), ones, ones)
    with pytest.raises(InvalidArgument, match="states"):
        markov(table)
    with pytest.raises(InvalidArgument, match=str(MAX_RATE_CHANNELS)):
        rate_shapley(table)
    assert sum(shapley(table).values()) == WHOLE_WEIGHT
