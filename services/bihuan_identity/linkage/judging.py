"""How right a linkage is where the truth is known: by pairs, by B-cubed, and by calibration. Pure functions."""

from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeVar

_R = TypeVar("_R", bound=Hashable)

CALIBRATION_EDGES: Final = (0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99, 1.0)


@dataclass(frozen=True, slots=True)
class Score:
    """Precision, recall and their harmonic mean, each in [0, 1]."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Harmonic mean; 0 where both are 0."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


@dataclass(frozen=True, slots=True)
class CalibrationBand:
    """Candidates whose probability lies in [low, high): how many, the mean that was promised, the share that held."""

    low: float
    high: float
    count: int
    mean_probability: float
    true_share: float


def judge_links(
    links: Collection[tuple[_R, _R]], truth: Mapping[_R, Hashable], sources: Mapping[_R, Hashable] | None = None
) -> Score:
    """
    Judge links, each between two records of `truth` and given once, without following them any further.

    `truth` names the entity of every record. With `sources`, only pairs of records of different sources count as
    true ones to find, as in a linkage of two files. Precision is 1 where nothing was linked, recall 1 where there was
    nothing to find.
    """
    right = sum(truth[first] == truth[second] for first, second in links)
    return Score(_ratio(right, len(links)), _ratio(right, count_true_pairs(truth, sources)))


def count_true_pairs(truth: Mapping[_R, Hashable], sources: Mapping[_R, Hashable] | None = None) -> int:
    """How many pairs of records are of one entity; with `sources`, only those of different sources."""
    pairs = sum(_pairs(size) for size in Counter(truth.values()).values())
    if sources is None:
        return pairs
    return pairs - sum(_pairs(size) for size in Counter((truth[key], sources[key]) for key in truth).values())


def judge_pairs(
    clusters: Mapping[_R, Hashable], truth: Mapping[_R, Hashable], sources: Mapping[_R, Hashable] | None = None
) -> Score:
    """
    Judge a clustering by its pairs: two records in one cluster are a pair found. Both mappings have the same keys.

    `sources` and empty cases as in `judge_links`.
    """
    joint = {key: (clusters[key], truth[key]) for key in truth}
    right = count_true_pairs(joint, sources)
    return Score(
        _ratio(right, count_true_pairs(clusters, sources)),
        _ratio(right, count_true_pairs(truth, sources)),
    )


def judge_b_cubed(clusters: Mapping[_R, Hashable], truth: Mapping[_R, Hashable]) -> Score:
    """
    B-cubed (Bagga, Baldwin 1998): precision and recall of every record's own cluster, averaged over records.

    Unlike pairs, which count a cluster by the square of its size, every record weighs the same. Both mappings have the
    same keys; both figures are 1 where there are no records.
    """
    cells = Counter((clusters[key], truth[key]) for key in truth)
    cluster_sizes, entity_sizes = Counter(clusters.values()), Counter(truth.values())
    found = sum(count * count / cluster_sizes[cluster] for (cluster, _), count in cells.items())
    sought = sum(count * count / entity_sizes[entity] for (_, entity), count in cells.items())
    return Score(_ratio(found, len(truth)), _ratio(sought, len(truth)))


def calibration_bands(
    probabilities: Sequence[float], outcomes: Sequence[bool], edges: Sequence[float] = CALIBRATION_EDGES
) -> tuple[CalibrationBand, ...]:
    """Compare promised with real shares band by band; candidates below the first edge and empty bands are left out."""
    bands = []
    for low, high in pairwise(edges):
        last = high == edges[-1]
        inside = [
            (probability, outcome)
            for probability, outcome in zip(probabilities, outcomes, strict=True)
            if low <= probability and (probability < high or (last and probability <= high))
        ]
        if inside:
            mean = sum(probability for probability, _ in inside) / len(inside)
            share = sum(outcome for _, outcome in inside) / len(inside)
            bands.append(CalibrationBand(low, high, len(inside), mean, share))
    return tuple(bands)


def calibration_error(bands: Sequence[CalibrationBand]) -> float:
    """Expected calibration error: distance of promise and share, averaged over candidates; 0 where there are none."""
    total = sum(band.count for band in bands)
    return sum(band.count * abs(band.mean_probability - band.true_share) for band in bands) / total if total else 0.0


def _pairs(size: int) -> int:
    return size * (size - 1) // 2


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 1.0
