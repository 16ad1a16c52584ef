"""A linkage held against the truth, where the files tell it."""

from collections.abc import Sequence
from dataclasses import dataclass

from bihuan_identity.linkage.job import Linkage
from bihuan_identity.linkage.judging import (
    CalibrationBand,
    Score,
    calibration_bands,
    calibration_error,
    judge_b_cubed,
    judge_links,
    judge_pairs,
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    How right a linkage is.

    `links` judges what is sent, as it is; `clusters` the pairs that follow from it; `b_cubed` the same by record.
    `bands` compares the candidates' probabilities with what came true, `calibration_error` is their mean distance.
    """

    records: int
    links: Score
    clusters: Score
    b_cubed: Score
    bands: tuple[CalibrationBand, ...]
    calibration_error: float


def judge(linkage: Linkage, truth: Sequence[str | None]) -> Verdict:
    """Judge by the true entity of every record, by number; records whose entity is not known (None) are left out."""
    known = {at: entity for at, entity in enumerate(truth) if entity is not None}
    sources = None
    if len(linkage.records.prepared) > 1:
        sources = {at: linkage.records.sources[at] for at in known}
    clusters = {at: linkage.clusters[at] for at in known}
    links = [(link.first, link.second) for link in linkage.links if link.first in known and link.second in known]
    candidates = [item for item in linkage.scored.candidates if item.first in known and item.second in known]
    bands = calibration_bands(
        [item.probability for item in candidates], [known[item.first] == known[item.second] for item in candidates]
    )
    return Verdict(
        records=len(known),
        links=judge_links(links, known, sources),
        clusters=judge_pairs(clusters, known, sources),
        b_cubed=judge_b_cubed(clusters, known),
        bands=bands,
        calibration_error=calibration_error(bands),
    )
