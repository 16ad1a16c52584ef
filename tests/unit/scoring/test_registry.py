"""The registry loads what was stored, and nothing that was changed since."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bihuan_scoring.domain.features import FEATURES, LINEAR_COLUMNS
from bihuan_scoring.domain.linear import LinearLogit, PlattScale, Standardiser
from bihuan_scoring.domain.models import Serving
from bihuan_scoring.registry_store import DiskModelRegistry, TrainedVersion
from bihuan_scoring.training import ResponseModel
from bihuan_shared.errors import FailedPrecondition, NotFound


def _version(name: str, create_time_us: int = 1, rate: float = 0.5) -> TrainedVersion:
    width = len(LINEAR_COLUMNS)
    linear = LinearLogit(Standardiser(np.zeros(width), np.ones(width)), np.full(width, 0.1), -1.0)
    click = ResponseModel(linear, None, PlattScale(0.9, -0.1), {})
    return TrainedVersion(name, create_time_us, click, rate, {"cv_auc": 0.8}, {"data_sha256": "00"})


@pytest.fixture
def registry(tmp_path: Path) -> DiskModelRegistry:
    return DiskModelRegistry(tmp_path / "models")


def test_loaded_version_predicts_as_trained(registry: DiskModelRegistry) -> None:
    registry.add(_version("m1"))
    model = registry.load("m1")
    found = model.predict(np.zeros((2, len(FEATURES))))
    assert found.pctr == pytest.approx(1.0 / (1.0 + np.exp(1.0)))
    assert found.pcvr.tolist() == [0.5, 0.5]
    assert model.model_version == "m1"


def test_versions_come_newest_first_with_their_figures(registry: DiskModelRegistry) -> None:
    assert list(registry.versions()) == []
    for name, time_us in (("m1", 1), ("m3", 3), ("m2", 2)):
        registry.add(_version(name, time_us))
    assert [info.model_version for info in registry.versions()] == ["m3", "m2", "m1"]
    assert registry.versions()[0].metrics == {"cv_auc": 0.8}


def test_a_version_never_changes(registry: DiskModelRegistry) -> None:
    registry.add(_version("m1"))
    registry.add(_version("m1", rate=0.9))
    assert registry.load("m1").predict(np.zeros((1, len(FEATURES)))).pcvr[0] == 0.5


def _edit(name: str, change: Callable[[dict[str, object]], None]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / name
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return edit


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(_edit("click.json", lambda file: file.update(intercept=3.0)), id="changed file"),
        pytest.param(lambda folder: (folder / "order.json").unlink(), id="missing file"),
        pytest.param(_edit("manifest.json", lambda file: file.update(feature_version="0")), id="other feature version"),
        pytest.param(_edit("manifest.json", lambda file: file.update(features=["x"])), id="other features"),
        pytest.param(_edit("manifest.json", lambda file: file.update(model_version="m2")), id="renamed"),
        pytest.param(_edit("manifest.json", lambda file: file.update(files={})), id="no files"),
        pytest.param(lambda folder: (folder / "manifest.json").write_text("{"), id="torn manifest"),
    ],
)
def test_damaged_or_foreign_version_is_refused(
    registry: DiskModelRegistry, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    registry.add(_version("m1"))
    damage(tmp_path / "models" / "m1")
    with pytest.raises(FailedPrecondition):
        registry.load("m1")


@pytest.mark.parametrize("name", ["m9", "../m1", "", ".hidden"])
def test_unknown_version_is_not_found(registry: DiskModelRegistry, name: str) -> None:
    registry.add(_version("m1"))
    with pytest.raises(NotFound):
        registry.load(name)


def test_serving_pointer_survives(registry: DiskModelRegistry, tmp_path: Path) -> None:
    assert registry.serving() == Serving()
    serving = Serving().published("m1").published("m2").rolled_back()
    assert serving is not None
    registry.set_serving(serving)
    assert DiskModelRegistry(tmp_path / "models").serving() == Serving("m1", (), ("m2",))
