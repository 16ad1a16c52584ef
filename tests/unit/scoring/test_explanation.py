"""What each feature adds adds up to what was said."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from response_models import made_up, trees, version_of

from bihuan_scoring.domain.facts import Candidate, Context, PersonFacts, ScoreItem
from bihuan_scoring.domain.features import CATEGORICAL_COLUMNS, FEATURES, LINEAR_COLUMNS
from bihuan_scoring.domain.model_keys import ModelTrust
from bihuan_scoring.domain.models import PRIOR_PCVR
from bihuan_scoring.predictor import CalibratedResponse, LoadedModel
from bihuan_scoring.registry_store import DiskModelRegistry
from bihuan_scoring.use_cases.explaining import explain_score
from bihuan_scoring.use_cases.scoring import batch_score
from bihuan_scoring.use_cases.serving import PriorModel, Routes

VALUES = st.one_of(
    st.just(float("nan")), st.just(0.0), st.floats(-1e6, 1e6), st.integers(-1, 300).map(float), st.floats(0.0, 5.0)
)
ROWS = st.lists(st.lists(VALUES, min_size=len(FEATURES), max_size=len(FEATURES)), min_size=1, max_size=3)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    registry = DiskModelRegistry(Path(tmp_path_factory.mktemp("models")), ModelTrust(allow_unsigned=True))
    registry.add(version_of("m1", text=trees(made_up())))
    return registry.load("m1")


@settings(max_examples=150, deadline=None)
@given(ROWS)
def test_contributions_add_up_to_the_log_odds(model: LoadedModel, rows: list[list[float]]) -> None:
    matrix = np.array(rows)
    found = model.explain(matrix, order=False)
    assert isinstance(model.click, CalibratedResponse)
    assert found.log_odds.tolist() == model.click.logits(matrix).tolist()
    assert found.base + found.contributions.sum(axis=1) == pytest.approx(found.log_odds, abs=1e-6)
    assert found.probabilities.tolist() == model.predict(matrix).pctr.tolist()


def test_linear_part_is_exact_and_the_rest_is_of_the_trees(model: LoadedModel) -> None:
    rows = made_up(50, seed=9).rows
    found = model.explain(rows, order=False)
    click = model.click
    assert isinstance(click, CalibratedResponse)
    assert click.trees is not None
    shap = np.asarray(click.trees.booster.predict(rows, pred_contrib=True))[:, :-1]
    linear = np.zeros_like(shap)
    linear[:, LINEAR_COLUMNS] = click.linear.standardiser.apply(rows) * click.linear.weights
    assert found.contributions == pytest.approx(linear + shap, abs=1e-12)
    assert np.abs(shap[:, CATEGORICAL_COLUMNS[0]]).max() > 0.0, "a category has its part"


def _item(person_id: int = 1) -> ScoreItem:
    person = PersonFacts(person_id, {"region": "north"}, [("category:tea", 2.0, 0.5)])
    return ScoreItem(person, Context(1_000_000, channel="email"), (0,))


async def test_explained_score_is_the_score_and_the_largest_part_comes_first(model: LoadedModel) -> None:
    candidate = Candidate("cr", "c", tags=("category:tea",))
    routes = Routes(PriorModel(), model, 0.5)
    versions = set()
    for person_id in range(1, 30):
        item = _item(person_id)
        found = await explain_score(routes, item, candidate)
        scored = await batch_score(routes, [item], [candidate])
        assert found.probability == scored.probabilities.pctr[0]
        assert found.model_version == (scored.canary_version if scored.canaried else scored.model_version)
        sizes = [abs(size) for _, _, size in found.contributions]
        assert sizes == sorted(sizes, reverse=True)
        assert 0.0 not in sizes
        assert found.base + sum(size for _, _, size in found.contributions) == pytest.approx(found.log_odds, abs=1e-6)
        versions.add(found.model_version)
    assert versions == {"prior", "m1"}


async def test_rate_has_no_parts(model: LoadedModel) -> None:
    found = await explain_score(Routes(model), _item(), Candidate("cr", "c"), order=True)
    assert (found.contributions, found.log_odds, found.probability) == ((), 0.0, 0.5)
    prior = await explain_score(Routes(PriorModel()), _item(), Candidate("cr", "c"), order=True)
    assert prior.probability == PRIOR_PCVR
    assert prior.base == pytest.approx(np.log(PRIOR_PCVR / (1 - PRIOR_PCVR)))
