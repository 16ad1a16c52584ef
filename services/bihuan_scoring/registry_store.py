"""
The model registry on disk.

`<root>/<version>/` holds a version and never changes: `manifest.json` names every other file with its SHA-256, the
feature version and columns, figures, and where the data came from. `<root>/serving.json` names what serves.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast
from uuid import uuid4

import lightgbm
import numpy as np

from bihuan_scoring.domain.features import FEATURE_VERSION, FEATURES
from bihuan_scoring.domain.linear import LinearLogit, PlattScale, Standardiser
from bihuan_scoring.domain.models import ModelInfo, Serving
from bihuan_scoring.predictor import CalibratedResponse, ConstantRate, LoadedModel, Response
from bihuan_scoring.training import ResponseModel
from bihuan_shared.errors import FailedPrecondition, NotFound

_FORMAT = 1
_MANIFEST = "manifest.json"
_SERVING = "serving.json"
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_TARGETS = ("click", "order")


@dataclass(frozen=True, slots=True)
class TrainedVersion:
    """What training hands over: a response (or a rate) a target, and what describes the version."""

    model_version: str
    create_time_us: int
    click: ResponseModel | float
    order: ResponseModel | float
    metrics: Mapping[str, float]
    provenance: Mapping[str, object]
    """How it came about: data fingerprint, cut-off, configuration. JSON values."""


class DiskModelRegistry:
    """Model versions in a folder; every write is whole or not at all, and durable."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def has(self, model_version: str) -> bool:
        """True where the version is in the registry."""
        return (self._folder(model_version) / _MANIFEST).is_file()

    def add(self, trained: TrainedVersion) -> None:
        """Store a version; one that is there already stays as it is. Blocks."""
        files: dict[str, bytes] = {}
        for target, response in zip(_TARGETS, (trained.click, trained.order), strict=True):
            files |= _response_files(target, response)
        manifest = {
            "format": _FORMAT,
            "model_version": trained.model_version,
            "create_time_us": trained.create_time_us,
            "feature_version": FEATURE_VERSION,
            "features": list(FEATURES),
            "metrics": dict(trained.metrics),
            "provenance": dict(trained.provenance),
            "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        }
        files[_MANIFEST] = _json(manifest)
        self._root.mkdir(parents=True, exist_ok=True)
        draft = self._root / f".draft-{uuid4().hex}"
        draft.mkdir()
        try:
            for name, content in files.items():
                _write(draft / name, content)
            _sync_folder(draft)
            if not self.has(trained.model_version):
                draft.rename(self._folder(trained.model_version))
                _sync_folder(self._root)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def versions(self) -> Sequence[ModelInfo]:
        """Every version, newest first. Blocks."""
        found = [self.info(path.parent.name) for path in self._root.glob(f"[!.]*/{_MANIFEST}")]
        return sorted(found, key=lambda info: (-info.create_time_us, info.model_version))

    def info(self, model_version: str) -> ModelInfo:
        """What describes a version; NotFound where there is none. Blocks."""
        manifest = self._manifest(model_version)
        metrics = cast("Mapping[str, float]", manifest["metrics"])
        return ModelInfo(model_version, cast("int", manifest["create_time_us"]), metrics)

    def load(self, model_version: str) -> LoadedModel:
        """
        A version, checked against its manifest. Blocks.

        Raises NotFound where there is none; FailedPrecondition where a file is missing or differs from its hash, and
        where the version was trained on features other than this code builds.
        """
        manifest = self._manifest(model_version)
        if manifest.get("format") != _FORMAT or manifest.get("model_version") != model_version:
            raise FailedPrecondition(f"the manifest of {model_version} is of another version or format")
        if manifest.get("feature_version") != FEATURE_VERSION or manifest.get("features") != list(FEATURES):
            raise FailedPrecondition(f"{model_version} was trained on other features than this release builds")
        hashes = cast("Mapping[str, str]", manifest["files"])
        files = {name: self._checked(model_version, name, digest) for name, digest in hashes.items()}
        try:
            click, order = (_response(target, files) for target in _TARGETS)
        except (KeyError, TypeError, ValueError, lightgbm.basic.LightGBMError) as error:
            raise FailedPrecondition(f"{model_version} does not hold what its format promises") from error
        return LoadedModel(model_version, click, order)

    def serving(self) -> Serving:
        """What serves; the prior where nothing was published. Blocks."""
        path = self._root / _SERVING
        if not path.exists():
            return Serving()
        noted = json.loads(path.read_bytes())
        return Serving(noted["model_version"], tuple(noted["before"]), tuple(noted["withdrawn"]))

    def set_serving(self, serving: Serving) -> None:
        """Note what serves. Blocks."""
        self._root.mkdir(parents=True, exist_ok=True)
        draft = self._root / f".{_SERVING}.{uuid4().hex}"
        _write(draft, _json(asdict(serving)))
        draft.replace(self._root / _SERVING)
        _sync_folder(self._root)

    def _folder(self, model_version: str) -> Path:
        if _VERSION.fullmatch(model_version) is None:
            raise NotFound(f"no model version {model_version[:128]}")
        return self._root / model_version

    def _manifest(self, model_version: str) -> dict[str, object]:
        try:
            content = (self._folder(model_version) / _MANIFEST).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(f"no model version {model_version}") from None
        try:
            return cast("dict[str, object]", json.loads(content))
        except ValueError as error:
            raise FailedPrecondition(f"the manifest of {model_version} is damaged") from error

    def _checked(self, model_version: str, name: str, digest: str) -> bytes:
        try:
            content = (self._folder(model_version) / Path(name).name).read_bytes()
        except OSError as error:
            raise FailedPrecondition(f"{model_version} lacks {name}") from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise FailedPrecondition(f"{name} of {model_version} does not match its hash")
        return content


def _response_files(target: str, response: ResponseModel | float) -> dict[str, bytes]:
    if isinstance(response, float):
        return {f"{target}.json": _json({"kind": "rate", "rate": response})}
    linear = response.linear
    parameters = {
        "kind": "response",
        "means": linear.standardiser.means.tolist(),
        "inverse_scales": linear.standardiser.inverse_scales.tolist(),
        "weights": linear.weights.tolist(),
        "intercept": linear.intercept,
        "calibration": {"slope": response.calibration.slope, "intercept": response.calibration.intercept},
    }
    files = {f"{target}.json": _json(parameters)}
    if response.trees is not None:
        files[f"{target}.trees.txt"] = response.trees.encode()
    return files


def _response(target: str, files: Mapping[str, bytes]) -> Response:
    parameters = json.loads(files[f"{target}.json"])
    if parameters["kind"] == "rate":
        return ConstantRate(float(parameters["rate"]))
    standardiser = Standardiser(np.array(parameters["means"]), np.array(parameters["inverse_scales"]))
    linear = LinearLogit(standardiser, np.array(parameters["weights"]), float(parameters["intercept"]))
    trees = files.get(f"{target}.trees.txt")
    booster = None if trees is None else lightgbm.Booster(model_str=trees.decode())
    return CalibratedResponse(linear, booster, PlattScale(**parameters["calibration"]))


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False).encode()


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
