"""Outcomes that come late do not make a model too negative."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_scoring.domain.delay import DelayCurve, Outcomes, still_to_come
from bihuan_scoring.domain.features import FEATURES
from bihuan_scoring.fitting import fit_linear
from bihuan_scoring.late_outcomes import with_late_outcomes
from bihuan_shared.clock import DAY_US

CUT_OFF_US = 60 * DAY_US
COLUMN = FEATURES.index("activity_view_long")


@dataclass(frozen=True, slots=True)
class World:
    """Rows with their true probabilities, and what is known of them at the cut-off."""

    matrix: npt.NDArray[np.float64]
    truth: npt.NDArray[np.float64]
    outcomes: Outcomes


def world(mean_delay_days: float, shape: float, seed: int, rows: int = 8_000) -> World:
    """Rows of the last 60 days; one in four has its outcome, after gamma-distributed delays."""
    random = np.random.default_rng(seed)
    matrix = np.zeros((rows, len(FEATURES)))
    matrix[:, COLUMN] = random.normal(size=rows)
    truth = 1.0 / (1.0 + np.exp(1.4 - 1.2 * matrix[:, COLUMN]))
    start_us = np.sort(random.integers(0, CUT_OFF_US, rows))
    delays = random.gamma(shape, mean_delay_days * DAY_US / shape, rows).round()
    delays[(random.random(rows) >= truth) | (start_us + delays >= CUT_OFF_US)] = np.nan
    return World(matrix, truth, Outcomes(start_us, delays, CUT_OFF_US))


def bias(made: World, matrix: npt.NDArray[np.float64], labels: npt.NDArray[np.int64], weights: object) -> float:
    """Mean predicted less mean true probability of a model of these rows, beside the true one."""
    assert weights is None or isinstance(weights, np.ndarray)
    logits = fit_linear(matrix, labels, 1.0, weights).logits(made.matrix)
    return float((1.0 / (1.0 + np.exp(-logits))).mean() / made.truth.mean()) - 1.0


@pytest.mark.parametrize(("mean_days", "shape"), [(10.0, 1.0), (10.0, 0.5), (15.0, 3.0)])
def test_the_bias_of_late_outcomes_is_removed_whatever_the_form_of_delays(mean_days: float, shape: float) -> None:
    worlds = [world(mean_days, shape, seed) for seed in range(6)]
    naive, corrected = [], []
    for made in worlds:
        seen = made.outcomes.seen_before(CUT_OFF_US).astype(np.int64)
        naive.append(bias(made, made.matrix, seen, None))
        rows = with_late_outcomes(made.matrix, made.outcomes, CUT_OFF_US)
        corrected.append(bias(made, made.matrix[rows.rows], rows.labels, rows.weights))
    assert np.mean(naive) < -0.1
    assert abs(np.mean(corrected)) < 0.03


def test_rows_whose_outcomes_have_all_come_are_left_as_they_are() -> None:
    made = world(1.0, 1.0, 0)
    old = made.outcomes.taken(made.outcomes.start_us < CUT_OFF_US - 40 * DAY_US)
    rows = with_late_outcomes(made.matrix[: len(old.start_us)], old, CUT_OFF_US)
    assert rows.weights is None
    np.testing.assert_array_equal(rows.rows, np.arange(len(old.start_us)))
    assert rows.expected_late == 0.0


def test_what_is_expected_to_come_is_about_what_comes() -> None:
    made = world(10.0, 1.0, 3, rows=20_000)
    missing = made.truth.sum() - made.outcomes.seen_before(CUT_OFF_US).sum()
    assert with_late_outcomes(made.matrix, made.outcomes, CUT_OFF_US).expected_late == pytest.approx(missing, rel=0.15)


def test_an_earlier_instant_knows_neither_later_rows_nor_later_outcomes() -> None:
    made = world(10.0, 1.0, 4)
    instant_us = 30 * DAY_US
    rows = with_late_outcomes(made.matrix, made.outcomes, instant_us)
    assert (made.outcomes.start_us[rows.rows] < instant_us).all()
    known = np.unique(rows.rows)
    ends = made.outcomes.start_us[known] + made.outcomes.delay_us[known]
    np.testing.assert_array_equal(rows.labels[: len(known)], (ends < instant_us).astype(np.int64))


def test_the_curve_of_delays_ignores_what_rows_were_too_young_to_show() -> None:
    random = np.random.default_rng(5)
    delays, ages = random.exponential(10.0, 60_000), random.uniform(0, 60.0, 60_000)
    seen = delays <= ages
    curve = DelayCurve.fit(delays[seen], ages[seen])
    points = np.array([2.0, 5.0, 10.0, 20.0, 40.0])
    expected = (1 - np.exp(-points / 10)) / (1 - np.exp(-6.0))
    np.testing.assert_allclose(curve.at(points), expected, atol=0.02)
    naive = [(delays[seen] <= point).mean() for point in points]
    assert (np.array(naive)[:3] > expected[:3] + 0.03).all()


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=40))
def test_the_curve_rises_to_one(pairs: list[tuple[int, int]]) -> None:
    delays = np.array([min(pair) for pair in pairs], dtype=np.float64)
    ages = np.array([max(pair) for pair in pairs], dtype=np.float64)
    shares = DelayCurve.fit(delays, ages).at(np.arange(-1.0, 52.0))
    assert shares[0] == 0.0
    assert shares[-1] == 1.0
    assert (np.diff(shares) >= 0).all()


def test_without_outcomes_nothing_is_expected() -> None:
    curve = DelayCurve.fit(np.empty(0), np.empty(0))
    assert still_to_come(np.array([0.3]), curve.at(np.array([1.0])))[0] == 0.0


def test_what_is_still_to_come_follows_bayes() -> None:
    assert still_to_come(np.array([0.5]), np.array([0.5]))[0] == pytest.approx(1 / 3)
