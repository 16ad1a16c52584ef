"""Probabilities from weights, the share of matches, and the threshold, none of which sees the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_identity.linkage.calibrating import choose_threshold, expected_f1, probabilities, share_of_matches

CHANCES = st.lists(st.floats(0.01, 1), max_size=40)


def drawn_weights(share: float, pairs: int) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], int]:
    """Log2 likelihood ratios of pairs drawn from two known normal laws of agreement, and how many are matches."""
    dice = np.random.default_rng(5)
    matches = round(share * pairs)
    agreement = np.concatenate([dice.normal(2, 1, matches), dice.normal(-2, 1, pairs - matches)])
    return agreement * 4 / np.log(2), matches


@pytest.mark.parametrize("share", [0.2, 0.02, 0.002])
@pytest.mark.parametrize("start", [1e-9, 0.4])
def test_share_of_matches_is_recovered_wherever_the_search_begins(share: float, start: float) -> None:
    weights, matches = drawn_weights(share, 200_000)
    found = share_of_matches(weights, np.ones_like(weights), weights.size, start)
    assert found * weights.size == pytest.approx(matches, rel=0.05)


def test_probabilities_promise_as_many_matches_as_there_are() -> None:
    weights, matches = drawn_weights(0.02, 200_000)
    share = share_of_matches(weights, np.ones_like(weights), weights.size, 1e-4)
    assert probabilities(weights, share).sum() == pytest.approx(matches, rel=0.05)


def test_pairs_that_no_rule_finds_count_as_different_persons() -> None:
    weights, _ = drawn_weights(0.2, 10_000)
    left_out = share_of_matches(weights, np.ones_like(weights), 10 * weights.size, 1e-4)
    with_them = np.concatenate([weights, np.full(9 * weights.size, -400.0)])
    assert left_out == pytest.approx(share_of_matches(with_them, np.ones_like(with_them), with_them.size, 1e-4))


def test_extreme_weights_stay_finite() -> None:
    chances = probabilities(np.array([-5_000.0, 0.0, 5_000.0]), 0.5)
    assert chances.tolist() == [pytest.approx(0), 0.5, 1]


@given(CHANCES, st.floats(0.5, 0.999))
def test_threshold_is_the_lowest_that_promises_the_precision(chances: list[float], wanted: float) -> None:
    threshold = choose_threshold(chances, wanted)
    linked = [chance for chance in chances if chance >= threshold]
    assert threshold >= 0.5
    lower = [chance for chance in chances if 0.5 <= chance < threshold]
    if lower and threshold < 1:
        more = [chance for chance in chances if chance >= max(lower)]
        assert sum(more) / len(more) < wanted + 1e-9
    if linked and threshold < 1 and len(set(chances)) == len(chances):
        assert sum(linked) / len(linked) >= wanted - 1e-9


def test_threshold_is_half_where_all_is_sure_and_1_where_nothing_is_sure_enough() -> None:
    assert choose_threshold([0.999, 0.99], 0.9) == 0.5
    assert choose_threshold([], 0.9) == 0.5
    assert choose_threshold([0.6, 0.7], 0.9) == 1.0
    assert choose_threshold([0.99, 0.97, 0.6], 0.95) == 0.97


@given(CHANCES, st.floats(0.01, 1))
def test_expected_f1_is_a_share(chances: list[float], threshold: float) -> None:
    assert 0 <= expected_f1(chances, threshold) <= 1 + 1e-12


def test_expected_f1_counts_what_is_left_out() -> None:
    assert expected_f1([1.0, 1.0], 0.5) == 1
    assert expected_f1([1.0, 0.4], 0.5) == pytest.approx(2 / 2.4)
    assert expected_f1([], 0.5) == 1
