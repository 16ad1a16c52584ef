"""Compiled trees say what LightGBM says, or do not serve."""

import json
from collections.abc import Callable
from pathlib import Path

import lightgbm
import numpy as np
import pytest
from prometheus_client import REGISTRY

from bihuan_scoring import compiled_trees, tree_cache
from bihuan_scoring.compiled_trees import CompiledTrees, disagreement
from bihuan_scoring.domain.features import CATEGORICAL_COLUMNS, FEATURES, LINEAR_COLUMNS
from bihuan_scoring.domain.interest_match import Floats
from bihuan_scoring.domain.linear import LinearLogit, PlattScale, Standardiser
from bihuan_scoring.predictor import BoosterTrees, CalibratedResponse, ConstantRate, LoadedModel
from bihuan_scoring.tree_cache import TreeCache

WIDTH = len(FEATURES)


@pytest.fixture(scope="module")
def rows() -> Floats:
    source = np.random.default_rng(3)
    matrix = source.exponential(size=(2_000, WIDTH))
    matrix[source.random(matrix.shape) < 0.1] = np.nan
    for column in CATEGORICAL_COLUMNS:
        matrix[:, column] = source.integers(0, 251, len(matrix))
    return matrix


@pytest.fixture(scope="module")
def model(rows: Floats) -> LoadedModel:
    codes = rows[:, CATEGORICAL_COLUMNS[0]] % 3
    labels = (np.nan_to_num(rows[:, 0]) + codes > 1.8).astype(np.int64)
    parameters = {"objective": "binary", "num_leaves": 7, "verbosity": -1, "num_threads": 1, "min_data_in_leaf": 5}
    data = lightgbm.Dataset(rows, label=labels, categorical_feature=list(CATEGORICAL_COLUMNS))
    text = lightgbm.train(parameters, data, num_boost_round=8).model_to_string()
    assert "num_cat=1" in text, "some tree splits on a category"
    width = len(LINEAR_COLUMNS)
    linear = LinearLogit(Standardiser(np.zeros(width), np.ones(width)), np.full(width, 0.1), -1.0)
    click = CalibratedResponse(linear, BoosterTrees(lightgbm.Booster(model_str=text), text), PlattScale(0.9, 0.1))
    return LoadedModel("m1", click, ConstantRate(0.5), rows[:200])


@pytest.fixture(scope="module")
def kept(model: LoadedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the compiled trees."""
    root = tmp_path_factory.mktemp("models")
    assert TreeCache(root, b"secret", 120).faster(model).predictor == "lleaves"
    return root


def _path(root: Path, suffix: str = ".trees") -> Path:
    return next((root / ".compiled" / "m1").glob(f"click-*{suffix}"))


def _fallbacks(reason: str) -> float:
    return REGISTRY.get_sample_value("bihuan_scoring_trees_fallbacks_total", {"reason": reason}) or 0.0


def _compiler(code: bytes, compiled: list[str]) -> Callable[..., bytes]:
    def compile_(_cache: TreeCache, _path: Path, text: str, _sample: Floats) -> bytes:
        compiled.append(text)
        return code

    return compile_


def _never(*_: object) -> bytes:
    pytest.fail("compiled again")


def test_compiled_trees_agree_on_rows_that_nobody_compared(model: LoadedModel, rows: Floats, kept: Path) -> None:
    fast = TreeCache(kept, b"secret", 120).faster(model)
    assert fast.predictor == "lleaves"
    assert model.predictor == "lightgbm"
    wild = np.vstack([rows[200:], np.full((1, WIDTH), np.nan), np.full((1, WIDTH), -7.0)])
    wild[5:50, list(CATEGORICAL_COLUMNS)] = 99_999.0
    assert np.abs(fast.predict(wild).pctr - model.predict(wild).pctr).max() < 1e-9
    one = np.asfortranarray(wild)[:1]
    assert fast.predict(one).pctr == pytest.approx(model.predict(one).pctr, abs=1e-9)


def test_what_was_compiled_is_taken_from_beside_the_model(
    model: LoadedModel, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TreeCache, "_compile", _never)
    assert TreeCache(kept, b"secret", 120).faster(model).predictor == "lleaves"


@pytest.mark.parametrize("secret", [b"another", b""])
def test_machine_code_that_another_secret_vouches_for_is_not_run(
    model: LoadedModel, kept: Path, monkeypatch: pytest.MonkeyPatch, secret: bytes
) -> None:
    code = _path(kept).read_bytes()[32:]
    compiled: list[str] = []
    monkeypatch.setattr(TreeCache, "_compile", _compiler(code, compiled))
    monkeypatch.setattr(TreeCache, "_keep", lambda *_: None)
    assert TreeCache(kept, secret, 120).faster(model).predictor == "lleaves"
    assert len(compiled) == 1


def test_changed_machine_code_is_not_run(
    model: LoadedModel, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytearray(_path(kept).read_bytes())
    content[-1] ^= 1
    path = tmp_path / ".compiled" / "m1" / _path(kept).name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    code = _path(kept).read_bytes()[32:]
    compiled: list[str] = []
    monkeypatch.setattr(TreeCache, "_compile", _compiler(code, compiled))
    TreeCache(tmp_path, b"secret", 120).faster(model)
    assert len(compiled) == 1


def test_another_processor_compiles_anew(model: LoadedModel, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_cache, "machine_key", lambda: "another")
    monkeypatch.setattr(TreeCache, "_compile", _raise_failed)
    assert TreeCache(kept, b"secret", 120).faster(model).predictor == "lightgbm"


def _raise_failed(*_: object) -> bytes:
    raise tree_cache.NotCompiledError("failed")


def test_trees_that_do_not_compile_in_time_are_served_by_lightgbm_and_not_tried_again(
    model: LoadedModel, rows: Floats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _fallbacks("timeout")
    slow = TreeCache(tmp_path, b"secret", 0.01).faster(model)
    assert (slow.predictor, _fallbacks("timeout")) == ("lightgbm", before + 1)
    assert slow.predict(rows[:5]).pctr.tolist() == model.predict(rows[:5]).pctr.tolist()
    assert json.loads(_path(tmp_path, ".failed").read_text())["reason"] == "timeout"
    monkeypatch.setattr("subprocess.run", _never)
    assert TreeCache(tmp_path, b"secret", 0.005).faster(model).predictor == "lightgbm"
    assert _fallbacks("timeout") == before + 2


def test_trees_that_disagree_are_served_by_lightgbm(
    model: LoadedModel, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = CompiledTrees.scores
    monkeypatch.setattr(CompiledTrees, "scores", lambda self, matrix: truth(self, matrix) + 2e-9)
    before = _fallbacks("disagreement")
    assert TreeCache(kept, b"secret", 120).faster(model).predictor == "lightgbm"
    assert _fallbacks("disagreement") == before + 1


def test_disagreement_on_missing_values_or_unseen_categories_alone_is_found(model: LoadedModel) -> None:
    click = model.click
    assert isinstance(click, CalibratedResponse)
    assert click.trees is not None
    trees = click.trees
    sample = np.nan_to_num(model.sample)

    class Off:
        kind = "off"

        def __init__(self, where: float) -> None:
            self.where = where

        def scores(self, matrix: Floats) -> Floats:
            hit = np.isnan(matrix).any(1) if np.isnan(self.where) else (matrix == self.where).any(1)
            return trees.scores(matrix) + hit * 1e-6

    assert disagreement(trees, trees, sample) == 0.0
    for where in (float("nan"), -1.0, 1_000_000.0, 1e30, float("inf")):
        assert disagreement(trees, Off(where), sample) > compiled_trees.TOLERANCE


def test_without_real_rows_to_compare_on_lightgbm_serves(model: LoadedModel, tmp_path: Path) -> None:
    bare = LoadedModel("m1", model.click, model.order, model.sample[:0])
    assert TreeCache(tmp_path, b"secret", 120).faster(bare).predictor == "lightgbm"


def test_rows_of_another_width_never_reach_compiled_code(model: LoadedModel, kept: Path) -> None:
    fast = TreeCache(kept, b"secret", 120).faster(model)
    assert isinstance(fast.click, CalibratedResponse)
    assert fast.click.fast is not None
    with pytest.raises(ValueError, match="columns"):
        fast.click.fast.scores(np.zeros((3, WIDTH - 1)))


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(RuntimeError):
        CompiledTrees(b"no machine code")
