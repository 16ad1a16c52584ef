"""
The model registry on disk.

`<root>/<version>/` holds a version and never changes: `manifest.json` names every other file with its SHA-256, the
feature version and columns, figures, and where the data came from; `manifest.sig` is its signature. A sample of the
rows that it was trained on (`sample.npy`) is among the files. `<root>/serving.json` names what serves whom.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast
from uuid import uuid4

import lightgbm
import numpy as np

from bihuan_scoring.domain.features import FEATURE_VERSION, FEATURES
from bihuan_scoring.domain.interest_match import Floats
from bihuan_scoring.domain.model_keys import ModelSigner, ModelTrust, refused
from bihuan_scoring.domain.models import ModelInfo
from bihuan_scoring.domain.rollout import Serving
from bihuan_scoring.model_files import (
    SAMPLE,
    json_bytes,
    response_files,
    response_of,
    sample_bytes,
    sample_from,
    sync_folder,
    write_durably,
)
from bihuan_scoring.predictor import LoadedModel
from bihuan_scoring.training import ResponseModel
from bihuan_shared.errors import FailedPrecondition, NotFound

FORMAT = 1

_MANIFEST = "manifest.json"
_SIGNATURE = "manifest.sig"
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
    """How it came about: data fingerprint (`data_sha256`), cut-off, configuration. JSON values."""
    sample: Floats = field(default_factory=lambda: np.empty((0, len(FEATURES))))
    """Some of the training rows, on which predictors are compared."""


class DiskModelRegistry:
    """Model versions in a folder; every write is whole or not at all, and durable. `trust` says whose may serve."""

    def __init__(self, root: Path, trust: ModelTrust | None = None) -> None:
        self._root = root
        self._trust = trust or ModelTrust()

    def has(self, model_version: str) -> bool:
        """True where the version is in the registry."""
        return (self._folder(model_version) / _MANIFEST).is_file()

    def add(self, trained: TrainedVersion, signer: ModelSigner | None = None) -> None:
        """Store a version, signed where there is a signer; one that is there already stays as it is. Blocks."""
        files: dict[str, bytes] = {}
        for target, response in zip(_TARGETS, (trained.click, trained.order), strict=True):
            files |= response_files(target, response)
        files[SAMPLE] = sample_bytes(trained.sample)
        manifest = {
            "format": FORMAT,
            "model_version": trained.model_version,
            "create_time_us": trained.create_time_us,
            "feature_version": FEATURE_VERSION,
            "features": list(FEATURES),
            "metrics": dict(trained.metrics),
            "provenance": dict(trained.provenance),
            "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        }
        files[_MANIFEST] = json_bytes(manifest)
        if signer is not None:
            files[_SIGNATURE] = signer.sign(files[_MANIFEST])
        self._store(trained.model_version, files)

    def versions(self) -> Sequence[ModelInfo]:
        """Every version, newest first, those that may not serve with the reason. Blocks."""
        names = [path.parent.name for path in self._root.glob(f"[!.]*/{_MANIFEST}")]
        found = [self.info(name) for name in names if _VERSION.fullmatch(name)]
        return sorted(found, key=lambda info: (-info.create_time_us, info.model_version))

    def info(self, model_version: str) -> ModelInfo:
        """What describes a version, its files unread; NotFound where there is none. Blocks."""
        content = self._manifest(model_version)
        try:
            manifest = _parsed(model_version, content)
            described = _described(model_version, manifest)
        except (FailedPrecondition, KeyError, TypeError, ValueError):
            return ModelInfo(model_version, 0, {}, refusal="the manifest is damaged")
        key_id, refusal = None, ""
        try:
            key_id = self._trust.check(content, self._signature(model_version))
            _check_manifest(model_version, manifest)
        except FailedPrecondition as error:
            refusal = error.detail
        return ModelInfo(**described, key_id=key_id, refusal=refusal)  # type: ignore[arg-type]  # by name, as described

    def load(self, model_version: str) -> LoadedModel:
        """
        A version, checked against its signature and manifest. Blocks.

        Raises NotFound where there is none; FailedPrecondition (`MODEL_REFUSED`) where it is unsigned or wrongly
        signed, where a file is missing or differs from its hash, and where the version was trained on features other
        than this code builds.
        """
        content = self._manifest(model_version)
        self._trust.check(content, self._signature(model_version))
        manifest = _parsed(model_version, content)
        _check_manifest(model_version, manifest)
        try:
            hashes = cast("Mapping[str, str]", manifest["files"])
            files = {name: self._checked(model_version, name, digest) for name, digest in hashes.items()}
            click, order = (response_of(target, files) for target in _TARGETS)
            return LoadedModel(model_version, click, order, sample_from(files))
        except (AttributeError, KeyError, TypeError, ValueError, lightgbm.basic.LightGBMError) as error:
            raise refused(f"{model_version} does not hold what its format promises") from error

    def serving(self) -> Serving:
        """What serves; the prior where nothing was published. Blocks."""
        path = self._root / _SERVING
        return Serving.noted(json.loads(path.read_bytes())) if path.exists() else Serving()

    def set_serving(self, serving: Serving) -> None:
        """Note what serves. Blocks."""
        self._root.mkdir(parents=True, exist_ok=True)
        draft = self._root / f".{_SERVING}.{uuid4().hex}"
        write_durably(draft, json_bytes(asdict(serving)))
        draft.replace(self._root / _SERVING)
        sync_folder(self._root)

    def _store(self, model_version: str, files: Mapping[str, bytes]) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        draft = self._root / f".draft-{uuid4().hex}"
        draft.mkdir()
        try:
            for name, content in files.items():
                write_durably(draft / name, content)
            sync_folder(draft)
            if not self.has(model_version):
                draft.rename(self._folder(model_version))
                sync_folder(self._root)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _folder(self, model_version: str) -> Path:
        if _VERSION.fullmatch(model_version) is None:
            raise NotFound(f"no model version {model_version[:128]}")
        return self._root / model_version

    def _manifest(self, model_version: str) -> bytes:
        try:
            return (self._folder(model_version) / _MANIFEST).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(f"no model version {model_version}") from None

    def _signature(self, model_version: str) -> bytes | None:
        try:
            return (self._folder(model_version) / _SIGNATURE).read_bytes()
        except FileNotFoundError:
            return None

    def _checked(self, model_version: str, name: str, digest: str) -> bytes:
        try:
            content = (self._folder(model_version) / Path(name).name).read_bytes()
        except OSError as error:
            raise refused(f"{model_version} lacks {name}") from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise refused(f"{name} of {model_version} does not match its hash")
        return content


def _parsed(model_version: str, content: bytes) -> dict[str, object]:
    try:
        manifest = json.loads(content)
    except ValueError:
        manifest = None
    if not isinstance(manifest, dict):
        raise refused(f"the manifest of {model_version} is damaged")
    return manifest


def _described(model_version: str, manifest: Mapping[str, object]) -> dict[str, object]:
    provenance = cast("Mapping[str, object]", manifest["provenance"])
    return {
        "model_version": model_version,
        "create_time_us": int(cast("int", manifest["create_time_us"])),
        "metrics": dict(cast("Mapping[str, float]", manifest["metrics"])),
        "feature_version": str(manifest["feature_version"]),
        "data_sha256": str(provenance.get("data_sha256", "")),
    }


def _check_manifest(model_version: str, manifest: Mapping[str, object]) -> None:
    if manifest.get("format") != FORMAT or manifest.get("model_version") != model_version:
        raise refused(f"the manifest of {model_version} is of another version or format")
    if manifest.get("feature_version") != FEATURE_VERSION or manifest.get("features") != list(FEATURES):
        raise refused(f"{model_version} was trained on other features than this release builds")
