"""Calibration of log-odds: Platt's line, or a monotone curve; and both as documents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from bihuan_scoring.domain.interest_match import Floats
from bihuan_scoring.domain.linear import PlattScale

ISOTONIC = "isotonic"
PLATT = "platt"


@dataclass(frozen=True, slots=True)
class IsotonicScale:
    """
    Probabilities at ascending log-odds, never falling, straight between them and level beyond.

    Raises ValueError for knots that are not that.
    """

    logits: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check the knots."""
        logits, values = np.array(self.logits), np.array(self.values)
        if not len(logits) or len(logits) != len(values):
            raise ValueError("a monotone curve has as many probabilities as log-odds, and some")
        if not (np.diff(logits) > 0).all() or not (np.diff(values) >= 0).all():
            raise ValueError("a monotone curve ascends")
        if not ((values > 0) & (values < 1)).all():
            raise ValueError("a probability is between 0 and 1")

    def probabilities(self, logits: Floats) -> Floats:
        """Calibrated probabilities in (0, 1)."""
        found: Floats = np.interp(logits, self.logits, self.values)
        # Rounding may lift what lies close below a knot above the knot, and then the curve would fall there.
        above = np.searchsorted(self.logits, logits, side="right")
        ceiling: Floats = np.append(self.values, self.values[-1])[above]
        return np.minimum(found, ceiling)


Calibration = PlattScale | IsotonicScale


def kind_of(calibration: Calibration) -> str:
    """`platt` or `isotonic`."""
    return PLATT if isinstance(calibration, PlattScale) else ISOTONIC


def calibration_document(calibration: Calibration) -> dict[str, object]:
    """JSON of a calibration; that of Platt's line is what releases before this one wrote."""
    if isinstance(calibration, PlattScale):
        return {"slope": calibration.slope, "intercept": calibration.intercept}
    return {"kind": ISOTONIC, "logits": list(calibration.logits), "values": list(calibration.values)}


def calibration_of(document: Mapping[str, object]) -> Calibration:
    """The calibration of a document; raises KeyError, TypeError or ValueError for anything else."""
    if document.get("kind") != ISOTONIC:
        return PlattScale(**cast("Mapping[str, float]", document))
    logits, values = (cast("Sequence[float]", document[name]) for name in ("logits", "values"))
    return IsotonicScale(tuple(map(float, logits)), tuple(map(float, values)))
