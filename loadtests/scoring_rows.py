"""Synthetic, seeded feature rows and persons for measurements of scoring; they do not claim to be like real people."""

import numpy as np
import numpy.typing as npt

from bihuan.common.v1 import common_pb2
from bihuan.profile.v1 import profile_pb2
from bihuan.scoring.v1 import scoring_pb2
from bihuan_scoring.domain.features import BEHAVIOURS, CATEGORICAL_COLUMNS, CODE_COUNT, FEATURES, TEXT_ATTRIBUTES

TAGS = 500
INTERESTS = 30
CANDIDATE_TAGS = 8
MISSING = 0.1

Rows = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


def feature_rows(count: int, seed: int = 7) -> tuple[Rows, Labels]:
    """Rows of every feature, a tenth missing, codes of all sizes; labels depend on numbers and on codes."""
    source = np.random.default_rng(seed)
    rows = source.exponential(size=(count, len(FEATURES)))
    for column in CATEGORICAL_COLUMNS:
        rows[:, column] = source.integers(0, CODE_COUNT, count)
    rows[source.random(rows.shape) < MISSING] = np.nan
    known = np.nan_to_num(rows)
    logits = known[:, 0] - known[:, 5] + (known[:, CATEGORICAL_COLUMNS[0]] % 7) / 3 - 1.0
    return rows, (source.random(count) < 1.0 / (1.0 + np.exp(-logits))).astype(np.int64)


def score_request(persons: int, candidates: int, seed: int = 7) -> scoring_pb2.BatchScoreRequest:
    """Every person against every candidate: profiles of 30 interests and 7 behaviours, candidates of 8 tags."""
    source = np.random.default_rng(seed)
    offered = [
        scoring_pb2.Candidate(
            creative_id=f"cr{n}",
            campaign_id=f"c{n}",
            tags=[f"category:{k}" for k in source.integers(0, TAGS, CANDIDATE_TAGS)],
        )
        for n in range(candidates)
    ]
    items = [
        scoring_pb2.ScoreItem(profile=_profile(n + 1, source), candidate_indexes=range(candidates))
        for n in range(persons)
    ]
    return scoring_pb2.BatchScoreRequest(candidates=offered, items=items)


def _profile(person_id: int, source: np.random.Generator) -> profile_pb2.Profile:
    tags = source.choice(TAGS, INTERESTS, replace=False).tolist()
    weights = source.exponential(size=INTERESTS).tolist()
    return profile_pb2.Profile(
        person_id=person_id,
        attributes=[profile_pb2.Attribute(name=name, text=f"v{person_id % 9}") for name in TEXT_ATTRIBUTES[:6]],
        interests=[
            profile_pb2.Interest(tag=f"category:{tag}", long_term=weight)
            for tag, weight in zip(tags, weights, strict=True)
        ],
        activities=[
            profile_pb2.Activity(behaviour=common_pb2.Behaviour.Value(f"BEHAVIOUR_{name.upper()}"), long_term=1.0)
            for name in BEHAVIOURS[:7]
        ],
    )
