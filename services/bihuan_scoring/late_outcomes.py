"""
Training while outcomes are still to come: rows that are too young count as what they will probably be.

A row without an outcome is one of two: it never has one, or has it late. It is taken twice, as positive with the
probability that its outcome is still to come, and as negative with the rest. That probability follows from the model's
own and from the share of outcomes that have come by the row's age; both are found in turns (expectation maximisation,
Chapelle 2014), with delays of any form in place of his exponential ones. Where every outcome has come, nothing changes.
It is assumed that how late an outcome comes does not depend on the row.
"""

from dataclasses import dataclass

import numpy as np

from bihuan_scoring.domain.delay import DelayCurve, Outcomes, still_to_come
from bihuan_scoring.domain.interest_match import Floats, Ints
from bihuan_scoring.fitting import Labels, fit_linear

_STRENGTH = 0.1
_MAX_TURNS = 30
_SETTLED = 1e-3
_ALL_HERE = 1.0 - 1e-9


@dataclass(frozen=True, slots=True)
class WeightedRows:
    """Indexes of rows, some of them twice, with labels; `weights` is None where each counts as one."""

    rows: Ints
    labels: Labels
    weights: Floats | None

    @property
    def expected_late(self) -> float:
        """How many outcomes are expected still to come."""
        return 0.0 if self.weights is None else float(self.weights[np.unique(self.rows).size :].sum())


def with_late_outcomes(matrix: Floats, outcomes: Outcomes, instant_us: int) -> WeightedRows:
    """What rows that started before an instant say at that instant; expects both kinds of rows among them."""
    rows = np.flatnonzero(outcomes.start_us < instant_us)
    known = outcomes.taken(rows)
    seen, ages = known.seen_before(instant_us), known.ages_us(instant_us)
    shares = DelayCurve.fit(known.delay_us[seen], ages[seen]).at(ages)
    labels = seen.astype(np.int64)
    young = np.flatnonzero(~seen & (shares < _ALL_HERE))
    if not len(young):
        return WeightedRows(rows, labels, None)
    twice = np.append(rows, rows[young])
    labels_twice = np.append(labels, np.ones(len(young), dtype=np.int64))
    rate = labels.mean() / max(float(shares.mean()), labels.mean(), 1e-9)
    late = still_to_come(np.full(len(young), min(rate, 0.999)), shares[young])
    for _ in range(_MAX_TURNS):
        linear = fit_linear(matrix[twice], labels_twice, _STRENGTH, _weights(len(rows), young, late))
        before = late
        probabilities = 1.0 / (1.0 + np.exp(-np.clip(linear.logits(matrix[rows[young]]), -30.0, 30.0)))
        late = still_to_come(probabilities, shares[young])
        if float(np.abs(late - before).max()) < _SETTLED:
            break
    return WeightedRows(twice, labels_twice, _weights(len(rows), young, late))


def _weights(rows: int, young: Ints, late: Floats) -> Floats:
    weights = np.ones(rows)
    weights[young] -= late
    return np.append(weights, late)
