"""How good probabilities are: calibration, ranking, and the curves that show them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bihuan_scoring.domain.interest_match import Floats

BINS = 10
_Z = 1.959964
_CURVE_POINTS = 101
_HISTOGRAM_BINS = 20

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Rows of about the same probability: their number, what was predicted and observed, and Wilson's 95 % interval."""

    rows: int
    predicted: float
    observed: float
    low: float
    high: float


def reliability(probabilities: Floats, labels: Labels, bins: int = BINS) -> list[ReliabilityBin]:
    """Bins of equally many rows by ascending probability, which follow a stable order among equal ones."""
    order = np.argsort(probabilities, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return [_bin(probabilities[part], labels[part]) for part in parts]


def _bin(probabilities: Floats, labels: Labels) -> ReliabilityBin:
    rows, observed = len(labels), float(labels.mean())
    # Wilson, "Probable inference", JASA 22, 1927.
    scale = 1.0 + _Z**2 / rows
    centre = (observed + _Z**2 / (2 * rows)) / scale
    half = _Z / scale * float(np.sqrt(observed * (1.0 - observed) / rows + _Z**2 / (4 * rows**2)))
    return ReliabilityBin(rows, float(probabilities.mean()), observed, max(0.0, centre - half), min(1.0, centre + half))


def expected_calibration_error(probabilities: Floats, labels: Labels, bins: int = BINS) -> float:
    """Mean over rows of the distance between predicted and observed rate in bins of equally many rows."""
    found = reliability(probabilities, labels, bins)
    return sum(one.rows * abs(one.predicted - one.observed) for one in found) / max(len(labels), 1)


def lift_at(probabilities: Floats, labels: Labels, share: float) -> float:
    """Rate among the `share` of rows with the highest probability, beside the rate of all; NaN without an outcome."""
    top = np.argsort(-probabilities, kind="stable")[: max(1, round(share * len(labels)))]
    rate = float(labels.mean()) if len(labels) else 0.0
    return float(labels[top].mean()) / rate if rate else float("nan")


def auc_interval(auc: float, positives: int, negatives: int) -> tuple[float, float]:
    """
    A 95 % interval of an AUC of independent rows; (0, 1) where one kind of rows is missing.

    Hanley, McNeil, "The meaning and use of the area under a ROC curve", Radiology 143(1), 1982.
    """
    if not positives or not negatives:
        return 0.0, 1.0
    both_positive, both_negative = auc / (2.0 - auc), 2.0 * auc**2 / (1.0 + auc)
    variance = auc * (1.0 - auc) + (positives - 1) * (both_positive - auc**2)
    variance += (negatives - 1) * (both_negative - auc**2)
    half = _Z * float(np.sqrt(max(variance, 0.0) / (positives * negatives)))
    return max(0.0, auc - half), min(1.0, auc + half)


def roc_curve(probabilities: Floats, labels: Labels) -> list[tuple[float, float]]:
    """Points (false positive rate, true positive rate), at most 101, from (0, 0) to (1, 1)."""
    order = np.argsort(-probabilities, kind="stable")
    last_of_equals = np.append(np.flatnonzero(np.diff(probabilities[order])), len(order) - 1)
    hits = np.cumsum(labels[order])[last_of_equals]
    misses = last_of_equals + 1 - hits
    x = np.concatenate([[0.0], misses / max(int(misses[-1]), 1)])
    y = np.concatenate([[0.0], hits / max(int(hits[-1]), 1)])
    chosen = np.unique(np.linspace(0, len(x) - 1, min(len(x), _CURVE_POINTS)).round().astype(np.int64))
    return [(float(x[k]), float(y[k])) for k in chosen]


def gains_curve(probabilities: Floats, labels: Labels) -> list[tuple[float, float]]:
    """Points (share of rows by descending probability, share of outcomes among them), at most 101."""
    hits = np.concatenate([[0], np.cumsum(labels[np.argsort(-probabilities, kind="stable")])])
    chosen = np.unique(np.linspace(0, len(labels), min(len(labels) + 1, _CURVE_POINTS)).round().astype(np.int64))
    total = max(int(hits[-1]), 1)
    return [(float(k / max(len(labels), 1)), float(hits[k] / total)) for k in chosen]


def histogram(probabilities: Floats, bins: int = _HISTOGRAM_BINS) -> tuple[list[float], list[int]]:
    """Edges from 0 to the highest probability, and how many rows lie between them."""
    top = float(probabilities.max()) if len(probabilities) else 1.0
    counts, edges = np.histogram(probabilities, bins=bins, range=(0.0, max(top, 1e-9)))
    return edges.tolist(), counts.tolist()
