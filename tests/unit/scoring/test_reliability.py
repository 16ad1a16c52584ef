"""Figures of probabilities equal what their definitions say."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import auc as area
from sklearn.metrics import roc_auc_score

from bihuan_scoring.domain.calibration import IsotonicScale, calibration_document, calibration_of, kind_of
from bihuan_scoring.domain.linear import PlattScale
from bihuan_scoring.domain.reliability import (
    expected_calibration_error,
    gains_curve,
    histogram,
    lift_at,
    reliability,
    roc_curve,
)
from bihuan_scoring.fitting import fit_isotonic


def _rows(seed: int, count: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    probabilities = random.beta(1, 6, count).round(2)
    return probabilities, (random.random(count) < probabilities**1.3).astype(np.int64)


def test_calibration_error_is_the_mean_distance_in_bins_of_equally_many_rows() -> None:
    probabilities, labels = _rows(1, 1_003)
    pairs = sorted(zip(probabilities.tolist(), range(len(labels)), labels.tolist(), strict=True))
    sizes = [101, 101, 101, *[100] * 7]
    total, start = 0.0, 0
    for size in sizes:
        part = pairs[start : start + size]
        start += size
        total += abs(sum(p for p, _, _ in part) - sum(y for _, _, y in part))
    assert expected_calibration_error(probabilities, labels) == pytest.approx(total / len(labels), abs=1e-12)


def test_bins_hold_every_row_once_and_wilsons_interval() -> None:
    probabilities, labels = _rows(2, 997)
    bins = reliability(probabilities, labels)
    assert sum(one.rows for one in bins) == 997
    assert [one.predicted for one in bins] == sorted(one.predicted for one in bins)
    assert all(one.low <= one.observed <= one.high for one in bins)
    (single,) = reliability(np.full(10, 0.5), np.array([1] * 5 + [0] * 5), bins=1)
    assert single.low == pytest.approx(0.2366, abs=1e-4)
    assert single.high == pytest.approx(0.7634, abs=1e-4)


def test_curve_of_ranking_has_the_area_of_the_auc() -> None:
    probabilities, labels = _rows(3, 1_000)
    x, y = zip(*roc_curve(probabilities, labels), strict=True)
    assert area(x, y) == pytest.approx(roc_auc_score(labels, probabilities), abs=1e-3)
    assert (x[0], y[0], x[-1], y[-1]) == (0.0, 0.0, 1.0, 1.0)


def test_lift_compares_the_top_with_all() -> None:
    probabilities = np.arange(100) / 100
    labels = np.array([0] * 90 + [1] * 10)
    assert lift_at(probabilities, labels, 0.1) == pytest.approx(10.0)
    assert lift_at(probabilities, labels, 0.2) == pytest.approx(5.0)
    gains = dict(gains_curve(probabilities, labels))
    assert gains[0.1] == 1.0
    assert gains[0.05] == 0.5


def test_histogram_counts_every_row() -> None:
    probabilities, _ = _rows(4, 500)
    edges, counts = histogram(probabilities)
    assert sum(counts) == 500
    assert len(edges) == len(counts) + 1


@given(
    st.lists(st.tuples(st.floats(-8, 8), st.integers(0, 1)), min_size=5, max_size=60),
    st.lists(st.floats(-40, 40), min_size=2, max_size=20),
)
def test_isotonic_calibration_never_falls_and_stays_inside(rows: list[tuple[float, int]], asked: list[float]) -> None:
    logits, labels = (np.array(column) for column in zip(*rows, strict=True))
    found = fit_isotonic(logits, labels.astype(np.int64)).probabilities(np.sort(np.array(asked)))
    assert (np.diff(found) >= 0).all()
    assert ((found > 0) & (found < 1)).all()


def test_curve_does_not_fall_by_rounding_at_a_knot() -> None:
    knots, values = (-2.5072000923352618, 3.658261418927204), (0.08155261736351271, 0.8552269742870702)
    below, at = IsotonicScale(knots, values).probabilities(np.array([np.nextafter(knots[1], -10), knots[1]]))
    assert np.interp(np.nextafter(knots[1], -10), knots, values) > values[1], "the case shows the rounding no more"
    assert below <= at == values[1]


def test_calibrations_come_back_from_their_documents() -> None:
    for one in (PlattScale(1.25, -0.5), IsotonicScale((-1.0, 2.0), (0.1, 0.7))):
        assert calibration_of(calibration_document(one)) == one
    assert calibration_document(PlattScale(1.0, 2.0)) == {"slope": 1.0, "intercept": 2.0}
    assert [kind_of(PlattScale()), kind_of(IsotonicScale((0.0,), (0.5,)))] == ["platt", "isotonic"]


@pytest.mark.parametrize(
    ("logits", "values"),
    [((), ()), ((1.0, 0.0), (0.1, 0.2)), ((0.0, 1.0), (0.2, 0.1)), ((0.0,), (1.0,)), ((0.0,), (0.1, 0.2))],
)
def test_curves_that_do_not_ascend_are_refused(logits: tuple[float, ...], values: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="a "):
        IsotonicScale(logits, values)
