"""The registry loads what was stored, and nothing that was changed since."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bihuan_scoring.domain.features import FEATURES, LINEAR_COLUMNS
from bihuan_scoring.domain.linear import LinearLogit, PlattScale, Standardiser
from bihuan_scoring.domain.model_keys import ModelSigner, ModelTrust
from bihuan_scoring.domain.rollout import Serving
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
    return DiskModelRegistry(tmp_path / "models", ModelTrust(allow_unsigned=True))


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


OURS = ModelSigner({1: bytes(32)})
THEIRS = ModelSigner({1: bytes(range(32))})
TRUST = ModelTrust.parse(OURS.public_keys())


@pytest.fixture
def signed(tmp_path: Path) -> DiskModelRegistry:
    registry = DiskModelRegistry(tmp_path / "models", TRUST)
    registry.add(_version("m1"), OURS)
    return registry


def test_signed_version_serves_and_says_who_signed(signed: DiskModelRegistry) -> None:
    assert signed.load("m1").model_version == "m1"
    info = signed.info("m1")
    assert (info.key_id, info.refusal, info.data_sha256) == (1, "", "00")


def _refused(registry: DiskModelRegistry, name: str = "m1") -> str:
    with pytest.raises(FailedPrecondition) as raised:
        registry.load(name)
    assert raised.value.reason == "MODEL_REFUSED"
    assert registry.info(name).refusal == raised.value.detail
    return raised.value.detail


def test_version_of_an_unknown_signer_is_refused(tmp_path: Path) -> None:
    registry = DiskModelRegistry(tmp_path, TRUST)
    registry.add(_version("m1"), THEIRS)
    registry.add(_version("m2"), ModelSigner({2: bytes(32)}))
    assert "does not belong" in _refused(registry)
    assert "key 2" in _refused(registry, "m2")


def test_unsigned_version_is_refused_unless_that_is_allowed(tmp_path: Path) -> None:
    DiskModelRegistry(tmp_path).add(_version("m1"))
    assert "not signed" in _refused(DiskModelRegistry(tmp_path, TRUST))
    assert "not signed" in _refused(DiskModelRegistry(tmp_path))
    assert DiskModelRegistry(tmp_path, ModelTrust(allow_unsigned=True)).load("m1").model_version == "m1"


def test_a_wrong_signature_is_refused_even_where_none_is_needed(tmp_path: Path) -> None:
    DiskModelRegistry(tmp_path).add(_version("m1"), THEIRS)
    _refused(DiskModelRegistry(tmp_path, ModelTrust(TRUST.keys, allow_unsigned=True)))


def test_a_signed_version_under_another_name_is_refused(signed: DiskModelRegistry, tmp_path: Path) -> None:
    (tmp_path / "models" / "m1").rename(tmp_path / "models" / "m2")
    assert "another version" in _refused(signed, "m2")


def test_manifest_and_files_changed_together_are_refused(signed: DiskModelRegistry, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "m1"
    _edit("click.json", lambda file: file.update(intercept=3.0))(folder)
    digest = hashlib.sha256((folder / "click.json").read_bytes()).hexdigest()

    def change(manifest: dict[str, object]) -> None:
        files = manifest["files"]
        assert isinstance(files, dict)
        files["click.json"] = digest

    _edit("manifest.json", change)(folder)
    assert "does not belong" in _refused(signed)


@pytest.mark.parametrize("text", ["", "{}", '{"algorithm": "none", "key_id": 1, "signature": ""}', "[]"])
def test_malformed_signature_is_refused(signed: DiskModelRegistry, tmp_path: Path, text: str) -> None:
    (tmp_path / "models" / "m1" / "manifest.sig").write_text(text)
    _refused(signed)


def test_a_retired_key_still_verifies_while_it_is_named(tmp_path: Path) -> None:
    DiskModelRegistry(tmp_path).add(_version("m1"), OURS)
    both = ModelSigner({2: bytes(range(32)), 1: bytes(32)})
    DiskModelRegistry(tmp_path).add(_version("m2"), both)
    registry = DiskModelRegistry(tmp_path, ModelTrust.parse(both.public_keys()))
    assert [registry.info(name).key_id for name in ("m1", "m2")] == [1, 2]
    _refused(DiskModelRegistry(tmp_path, TRUST), "m2")


def test_a_damaged_version_does_not_hide_the_others(signed: DiskModelRegistry, tmp_path: Path) -> None:
    signed.add(_version("m2"), OURS)
    (tmp_path / "models" / "m1" / "manifest.json").write_text("{")
    assert {info.model_version: bool(info.refusal) for info in signed.versions()} == {"m1": True, "m2": False}


@pytest.mark.parametrize("text", ["1", "x:AAAA", "1:!", "1:AAAA", "300:" + "A" * 43 + "=", "1:,1:"])
def test_malformed_keys_are_refused_without_naming_them(text: str) -> None:
    for parse in (ModelSigner.parse, ModelTrust.parse):
        with pytest.raises(ValueError, match="model key") as raised:
            parse(text)
        assert "AAAA" not in str(raised.value)
