"""What is told of a look-alike package besides its members: figures, curve, what was dropped, what makes it alike."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import numpy as np

from bihuan_scoring.lookalike.curve import CurvePoint, Lift
from bihuan_scoring.lookalike.features import Matrix
from bihuan_scoring.lookalike.leakage import Dropped, Leak
from bihuan_scoring.lookalike.model import LookAlikeModel

EXPLAINED_FEATURES: Final = 20
_EXPLAINED_ROWS: Final = 2_000
_LEAST_EXPLAINED: Final = 100


@dataclass(frozen=True, slots=True)
class Reason:
    """By how much, in log-odds, a feature lifts the package above the pool, on average."""

    feature: str
    contribution: float
    package_mean: float
    pool_mean: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """All of it; sizes and shares are rounded, so that no figure tells of a single person."""

    pool_size: int
    seed_size: int
    package_size: int
    label_frequency: float
    lifts: Sequence[Lift]
    curve: Sequence[CurvePoint]
    dropped: Sequence[Dropped]
    reasons: Sequence[Reason]
    figures: Mapping[str, float] = field(default_factory=dict)

    def sized(self, package_size: int) -> "Evidence":
        """Of a package that turned out so large."""
        return replace(self, package_size=package_size)

    def to_json(self) -> str:
        """As text, the same for the same evidence."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Evidence":
        """The inverse of `to_json`."""
        found: dict[str, Any] = json.loads(text)
        found["lifts"] = [Lift(**each) for each in found["lifts"]]
        found["curve"] = [CurvePoint(**each) for each in found["curve"]]
        found["dropped"] = [Dropped(**(each | {"leak": Leak(each["leak"])})) for each in found["dropped"]]
        found["reasons"] = [Reason(**each) for each in found["reasons"]]
        return cls(**found)


def explain(model: LookAlikeModel, pool: Matrix, share: float) -> list[Reason]:
    """
    Why the best `share` of these pool rows are alike: mean contribution of each feature there, less that in the pool.

    The rows come in the order of a hash, so that the first ones are a fair sample. Strongest first.
    """
    rows = pool[: max(_EXPLAINED_ROWS, int(_LEAST_EXPLAINED / max(share, 1e-6)))]
    if not len(rows):
        return []
    taken = min(len(rows), max(_LEAST_EXPLAINED, round(share * len(rows))))
    best = rows[np.argsort(-model.raw(rows), kind="stable")[:taken]][:_EXPLAINED_ROWS]
    in_pool = model.parts(rows[:_EXPLAINED_ROWS]).mean(axis=0)
    difference = model.parts(best).mean(axis=0) - in_pool
    with np.errstate(invalid="ignore"):
        package_means, pool_means = _means(best), _means(rows[:_EXPLAINED_ROWS])
    order = np.argsort(-np.abs(difference), kind="stable")[:EXPLAINED_FEATURES]
    return [
        Reason(
            model.layout.names[column],
            round(float(difference[column]), 3),
            round(float(package_means[column]), 2),
            round(float(pool_means[column]), 2),
        )
        for column in order
        if abs(difference[column]) >= 0.0005  # noqa: PLR2004  # less is 0 in the digits that are told
    ]


def _means(rows: Matrix) -> Matrix:
    known = ~np.isnan(rows)
    means: Matrix = np.where(known, rows, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return means
