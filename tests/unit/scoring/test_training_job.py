"""Training on rows whose truth is known comes close to it, repeatably."""

from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import roc_auc_score

from bihuan_scoring.app import TrainedModel, train_model
from bihuan_scoring.domain.model_keys import ModelTrust
from bihuan_scoring.domain.models import PRIOR_PCVR, PRIOR_STRENGTH
from bihuan_scoring.fitting import fit_platt
from bihuan_scoring.predictor import CalibratedResponse, ConstantRate
from bihuan_scoring.records import read_labelled_rows
from bihuan_scoring.registry_store import DiskModelRegistry
from bihuan_scoring.training import TrainingConfig, train_response
from bihuan_scoring.training_job import matrix_of
from bihuan_shared.clock import DAY_US, parse_rfc3339_us
from bihuan_shared.errors import FailedPrecondition

ANYBODY = ModelTrust(allow_unsigned=True)
CUT_OFF_US = parse_rfc3339_us("2017-08-15T00:00:00Z")


class Lake(Protocol):
    @property
    def url(self) -> str: ...
    @property
    def truth(self) -> npt.NDArray[np.float64]: ...
    @property
    def clicked(self) -> npt.NDArray[np.bool_]: ...


@pytest.fixture(scope="module")
def registry_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def trained(synthetic_lake: Lake, registry_dir: Path) -> TrainedModel:
    return train_model(synthetic_lake.url, registry_dir, CUT_OFF_US)


def test_ranking_comes_close_to_the_truth(trained: TrainedModel, synthetic_lake: Lake) -> None:
    best = float(roc_auc_score(synthetic_lake.clicked, synthetic_lake.truth))
    assert best - 0.025 <= trained.metrics["cv_auc"] <= best + 0.01
    assert trained.metrics["rows"] == len(synthetic_lake.truth)
    assert trained.metrics["positives"] == synthetic_lake.clicked.sum()


def test_probabilities_are_calibrated(trained: TrainedModel, synthetic_lake: Lake, registry_dir: Path) -> None:
    rows = matrix_of(read_labelled_rows(synthetic_lake.url, CUT_OFF_US), CUT_OFF_US)
    predicted = DiskModelRegistry(registry_dir, ANYBODY).load(trained.version).predict(rows.matrix).pctr
    by_size = np.argsort(predicted)
    for part in np.array_split(by_size, 5):
        assert predicted[part].mean() == pytest.approx(synthetic_lake.truth[part].mean(), abs=0.03)


def test_training_again_on_the_same_changes_nothing(
    trained: TrainedModel, synthetic_lake: Lake, registry_dir: Path
) -> None:
    before = sorted(path.stat().st_mtime_ns for path in registry_dir.rglob("*"))
    again = train_model(synthetic_lake.url, registry_dir, CUT_OFF_US, num_threads=2)
    assert again == TrainedModel(trained.version, trained.metrics, created=False)
    assert sorted(path.stat().st_mtime_ns for path in registry_dir.rglob("*")) == before


def test_training_is_repeatable_byte_for_byte(
    trained: TrainedModel, synthetic_lake: Lake, registry_dir: Path, tmp_path: Path
) -> None:
    train_model(synthetic_lake.url, tmp_path, CUT_OFF_US)
    for path in (registry_dir / trained.version).iterdir():
        assert (tmp_path / trained.version / path.name).read_bytes() == path.read_bytes()


def test_other_seed_or_cut_off_is_another_version(trained: TrainedModel, synthetic_lake: Lake, tmp_path: Path) -> None:
    early = CUT_OFF_US - 100 * DAY_US + 200_000_000
    versions = {train_model(synthetic_lake.url, tmp_path, early, seed=seed).version for seed in (7, 8)}
    assert len(versions | {trained.version}) == 3


def test_few_orders_give_a_smoothed_rate(trained: TrainedModel, synthetic_lake: Lake, tmp_path: Path) -> None:
    early = CUT_OFF_US - 100 * DAY_US + 300_000_000
    few = train_model(synthetic_lake.url, tmp_path, early)
    model = DiskModelRegistry(tmp_path, ANYBODY).load(few.version)
    assert isinstance(model.order, ConstantRate)
    rows, positives = few.metrics["order_rows"], few.metrics["order_positives"]
    assert model.order.rate == (positives + PRIOR_PCVR * PRIOR_STRENGTH) / (rows + PRIOR_STRENGTH)
    assert "order_cv_auc" in trained.metrics, "with many, a model is trained"


def test_nothing_shown_before_the_cut_off_is_refused(synthetic_lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition):
        train_model(synthetic_lake.url, tmp_path, 1)


def test_trees_are_used_where_the_linear_model_cannot_follow(tmp_path: Path, synthetic_lake: Lake) -> None:
    rows = matrix_of(read_labelled_rows(synthetic_lake.url, CUT_OFF_US), CUT_OFF_US)
    column = rows.matrix[:, 11]
    labels = ((column > np.quantile(column, 0.4)) & (column < np.quantile(column, 0.6))).astype(np.int64)
    model = train_response(rows.matrix, labels, rows.groups, TrainingConfig())
    assert model.trees is not None
    assert model.metrics["cv_auc"] > model.metrics["linear_cv_auc"] + 0.01


def test_calibration_never_turns_the_ranking_round() -> None:
    labels = np.array([1] * 50 + [0] * 50)
    scale = fit_platt(np.linspace(-3, 3, 100), labels)
    assert scale.slope == 0.0
    assert scale.probabilities(np.zeros(1))[0] == pytest.approx(0.5)


def test_extreme_logits_stay_probabilities(trained: TrainedModel, registry_dir: Path) -> None:
    click = DiskModelRegistry(registry_dir, ANYBODY).load(trained.version).click
    assert isinstance(click, CalibratedResponse)
    wild = np.full((3, 76), np.nan)
    wild[1], wild[2] = 1e300, -1e300
    found = click.probabilities(wild)
    assert ((found > 0.0) & (found < 1.0)).all()
