"""Matching interests with tags agrees with the plain way of writing it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_scoring.domain import interest_match
from bihuan_scoring.domain.facts import Candidate, InterestWeight
from bihuan_scoring.domain.interest_match import NAMESPACES, CandidateTags, namespace_of

_TAGS = st.sampled_from([f"{namespace}:{n}" for namespace in ("coupon", "category", "topic") for n in range(4)])
_INTERESTS = st.lists(st.tuples(_TAGS, st.floats(0, 9), st.floats(0, 9)), max_size=8, unique_by=lambda each: each[0])


def _plain(interests: list[InterestWeight], candidate: Candidate) -> tuple[list[float], list[float], float]:
    long_term, matched, instant = [0.0] * len(NAMESPACES), [0.0] * len(NAMESPACES), 0.0
    for tag, long_weight, instant_weight in interests:
        if tag in candidate.tags:
            long_term[namespace_of(tag)] += long_weight
            matched[namespace_of(tag)] += 1
            instant += instant_weight
    return long_term, matched, instant


@given(
    persons=st.lists(_INTERESTS, min_size=1, max_size=4),
    tags=st.lists(st.lists(_TAGS, max_size=6), min_size=1, max_size=4),
    cells=st.sampled_from([1, 20, 2_000_000]),
)
def test_every_pair_is_matched_as_if_it_were_alone(
    persons: list[list[InterestWeight]], tags: list[list[str]], cells: int
) -> None:
    candidates = [Candidate(f"cr{n}", "c", tags=tuple(each)) for n, each in enumerate(tags)]
    rows = np.repeat(np.arange(len(persons)), len(candidates))
    columns = np.tile(np.arange(len(candidates)), len(persons))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interest_match, "_CHUNK_CELLS", cells)
        found = CandidateTags(candidates).match(persons, rows, columns)
    for row, (person, column) in enumerate(zip(rows, columns, strict=True)):
        long_term, matched, instant = _plain(persons[person], candidates[column])
        np.testing.assert_allclose(found.long_term[row], long_term)
        np.testing.assert_array_equal(found.matched[row], matched)
        assert found.instant[row] == pytest.approx(instant)
        assert found.tags[row].sum() == len(set(candidates[column].tags))
        assert found.person_total[row].sum() == pytest.approx(sum(weight for _, weight, _ in persons[person]))
