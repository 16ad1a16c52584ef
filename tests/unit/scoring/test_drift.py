"""Probabilities that are off are found, and honest ones are left alone however often one looks."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bihuan_scoring.domain.drift import drift_of

TOLERANCE = 1.5
ALPHA = 0.01


def _shifted(predicted: npt.NDArray[np.float64], factor: float) -> npt.NDArray[np.float64]:
    odds = predicted / (1.0 - predicted) * factor
    return odds / (1.0 + odds)


def _alarm(source: np.random.Generator, factor: float, rows: int, looks: int) -> bool:
    predicted = source.beta(1.0, 30.0, rows)
    happened = source.random(rows) < _shifted(predicted, factor)
    steps = np.linspace(rows // looks, rows, looks, dtype=np.int64)
    return any(drift_of(predicted[:n], happened[:n], TOLERANCE).found(ALPHA) for n in steps.tolist())


@pytest.mark.parametrize("factor", [1.0 / TOLERANCE, 1.0, TOLERANCE])
def test_within_the_tolerance_a_false_alarm_is_rare_though_one_looks_twenty_times(factor: float) -> None:
    source = np.random.default_rng(5)
    alarms = sum(_alarm(source, factor, 6_000, 20) for _ in range(200))
    # 2 are expected at most; 10 or more have a probability below 0.0001 then.
    assert alarms < 10


@pytest.mark.parametrize("factor", [1.0 / 4.0, 3.0])
def test_probabilities_that_are_far_off_are_found(factor: float) -> None:
    source = np.random.default_rng(6)
    assert all(_alarm(source, factor, 6_000, 4) for _ in range(10))


def test_nothing_seen_is_no_evidence() -> None:
    nothing = drift_of(np.empty(0), np.empty(0, dtype=np.bool_), TOLERANCE)
    assert not nothing.found(ALPHA)
    assert (nothing.rows, nothing.ratio) == (0, 1.0)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(1 / TOLERANCE, TOLERANCE)), min_size=1, max_size=8),
)
def test_expected_evidence_within_the_tolerance_is_at_most_that_of_nothing(rows: list[tuple[float, float]]) -> None:
    predicted = np.clip(np.array([p for p, _ in rows]), 1e-6, 1 - 1e-6)
    truth = (
        _shifted(predicted, 1.0)
        if not rows
        else np.array([float(_shifted(p, f)) for p, (_, f) in zip(predicted, rows, strict=True)])
    )
    expected = 0.0
    for outcome in range(2 ** len(rows)):
        happened = np.array([bool(outcome >> k & 1) for k in range(len(rows))])
        probability = float(np.prod(np.where(happened, truth, 1.0 - truth)))
        expected += probability * float(np.exp(drift_of(predicted, happened, TOLERANCE).log_evidence))
    # The larger of two supermartingales, each of expectation 1 at most.
    assert expected <= 2.0 + 1e-6
