"""What each column of a feature row says."""

import math

import numpy as np
import pytest

from bihuan_scoring.domain.facts import Candidate, Context, OrderFacts, PersonFacts, ScoreItem
from bihuan_scoring.domain.features import (
    CATEGORICAL_COLUMNS,
    CODE_COUNT,
    FEATURES,
    LINEAR_COLUMNS,
    build_matrix,
    code_of,
)
from bihuan_shared.clock import DAY_US, parse_rfc3339_us

NOW_US = parse_rfc3339_us("2017-08-15T13:30:00Z")
TEA = Candidate("cr1", "c1", "a1", ("category:tea", "coupon:tea", "category:cups"))
BARE = Candidate("cr2", "c2", "a1")
PERSON = PersonFacts(
    person_id=5,
    attributes={"age": "35-44", "birth_year": 1980.0, "newsletter": True, "gender": 3.0},
    interests=[("category:tea", 3.0, 0.5), ("coupon:tea", 1.0, 0.0), ("category:wine", 5.0, 0.0)],
    activities={"impression": (4.0, 0.0, 9), "coupon": (2.0, 0.0, 4), "order": (3.0, 0.0, 6)},
    orders=OrderFacts(NOW_US - 3 * DAY_US, 6, 120e6, 60e6),
)


def _row(person: PersonFacts | None, candidate: Candidate = TEA) -> dict[str, float]:
    context = Context(NOW_US, channel="email", traffic_source="ecommerce")
    matrix = build_matrix([ScoreItem(person, context, (0,))], [candidate])
    return dict(zip(FEATURES, matrix[0].tolist(), strict=True))


def log1p(value: float) -> object:
    """What a column of logarithms holds: numpy's vector code may differ from the C library in the last digit."""
    return pytest.approx(math.log1p(value), rel=1e-15, abs=0)


def test_columns_hold_what_their_names_say() -> None:
    row = _row(PERSON)
    assert row["activity_coupon_long"] == log1p(2.0)
    assert row["activity_view_long"] == 0.0
    assert row["rate_coupon_per_impression_long"] == 2.1 / 5.0
    assert row["rfm_recency_days"] == log1p(3.0)
    assert row["rfm_average_basket"] == log1p(20.0)
    assert row["match_category_long"] == log1p(3.0)
    assert row["match_category_of_person"] == 3.0 / 8.0
    assert row["match_category_of_tags"] == 0.5
    assert row["match_coupon_of_tags"] == 1.0
    assert row["candidate_category_tags"] == log1p(2.0)
    assert row["match_instant"] == log1p(0.5)
    assert (row["context_hour"], row["context_weekday"]) == (13.0, 1.0)
    assert row["context_channel"] == code_of("email")
    assert row["attribute_age"] == code_of("35-44")
    assert (row["attribute_birth_year"], row["attribute_newsletter"]) == (1980.0, 1.0)
    assert math.isnan(row["attribute_gender"]), "a value of another type says nothing"


def test_unknown_person_leaves_only_context_and_candidate() -> None:
    known = {name for name, value in _row(None).items() if not math.isnan(value)}
    assert known == {name for name in FEATURES if name.startswith(("context_", "candidate_"))}


def test_withheld_activity_is_unknown_and_not_zero() -> None:
    assert math.isnan(_row(PersonFacts(1, withheld=True))["activity_view_long"])
    assert _row(PersonFacts(1))["activity_view_long"] == 0.0


def test_person_without_orders_has_no_order_figures() -> None:
    assert math.isnan(_row(PersonFacts(1))["rfm_recency_days"])


def test_a_row_does_not_depend_on_its_batch() -> None:
    context = Context(NOW_US)
    other = PersonFacts(6, interests=[("category:cups", 2.0, 0.0)])
    items = [ScoreItem(PERSON, context, (1, 0)), ScoreItem(None, context, (0,)), ScoreItem(other, context, (0, 1))]
    together = build_matrix(items, [TEA, BARE])
    alone = [
        build_matrix([ScoreItem(item.person, context, (0,))], [(TEA, BARE)[index]])
        for item in items
        for index in item.candidate_indexes
    ]
    np.testing.assert_array_equal(together, np.vstack(alone))


def test_codes_are_stable_and_bounded() -> None:
    assert code_of("email") == 129.0
    assert all(0 <= code_of(str(n)) < CODE_COUNT for n in range(1_000))
    assert math.isnan(code_of(""))


def test_linear_and_categorical_columns_do_not_overlap() -> None:
    assert not set(LINEAR_COLUMNS) & set(CATEGORICAL_COLUMNS)
    assert {FEATURES[column] for column in CATEGORICAL_COLUMNS} >= {"attribute_age", "context_channel"}
