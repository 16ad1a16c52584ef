"""Why a score is what it is: what each feature adds to the log-odds."""

import asyncio
from dataclasses import dataclass

from bihuan_scoring.domain.facts import Candidate, ScoreItem
from bihuan_scoring.domain.features import FEATURES, build_matrix
from bihuan_scoring.domain.rollout import in_canary
from bihuan_scoring.use_cases.serving import Routes


@dataclass(frozen=True, slots=True)
class Explained:
    """
    One score taken apart: `base` and the contributions add up to `log_odds`, which calibration makes `probability`.

    Contributions are (feature, value, contribution), the largest first; features that add nothing are left out.
    """

    contributions: tuple[tuple[str, float, float], ...]
    base: float
    log_odds: float
    probability: float
    model_version: str


async def explain_score(routes: Routes, item: ScoreItem, candidate: Candidate, *, order: bool = False) -> Explained:
    """Take apart the click (or order) probability of one item against one candidate, by the version that serves it."""
    model = routes.stable
    if routes.canary is not None and in_canary(routes.canary.model_version, routes.share, item):
        model = routes.canary
    matrix = build_matrix([ScoreItem(item.person, item.context, (0,))], [candidate])
    found = await asyncio.to_thread(model.explain, matrix, order=order)
    named = zip(FEATURES, matrix[0].tolist(), found.contributions[0].tolist(), strict=True)
    adding = sorted((each for each in named if each[2] != 0.0), key=lambda each: (-abs(each[2]), each[0]))
    probability = float(found.probabilities[0])
    return Explained(tuple(adding), found.base, float(found.log_odds[0]), probability, model.model_version)
