"""How the parts of a model version are written to files, and how files are written at all."""

import json
import os
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import lightgbm
import numpy as np

from bihuan_scoring.domain.calibration import calibration_document, calibration_of
from bihuan_scoring.domain.features import FEATURES
from bihuan_scoring.domain.interest_match import Floats
from bihuan_scoring.domain.linear import LinearLogit, Standardiser
from bihuan_scoring.predictor import BoosterTrees, CalibratedResponse, ConstantRate, Response
from bihuan_scoring.training import ResponseModel

SAMPLE = "sample.npy"
SAMPLE_ROWS = 512


def response_files(target: str, response: ResponseModel | float) -> dict[str, bytes]:
    """The files of what predicts one target."""
    if isinstance(response, float):
        return {f"{target}.json": json_bytes({"kind": "rate", "rate": response})}
    linear = response.linear
    parameters = {
        "kind": "response",
        "means": linear.standardiser.means.tolist(),
        "inverse_scales": linear.standardiser.inverse_scales.tolist(),
        "weights": linear.weights.tolist(),
        "intercept": linear.intercept,
        "calibration": calibration_document(response.calibration),
    }
    files = {f"{target}.json": json_bytes(parameters)}
    if response.trees is not None:
        files[f"{target}.trees.txt"] = response.trees.encode()
    return files


def response_of(target: str, files: Mapping[str, bytes]) -> Response:
    """What `response_files` wrote; KeyError, TypeError, ValueError or LightGBMError for anything else."""
    parameters = json.loads(files[f"{target}.json"])
    if parameters["kind"] == "rate":
        return ConstantRate(float(parameters["rate"]))
    standardiser = Standardiser(np.array(parameters["means"]), np.array(parameters["inverse_scales"]))
    linear = LinearLogit(standardiser, np.array(parameters["weights"]), float(parameters["intercept"]))
    text = files.get(f"{target}.trees.txt")
    trees = None if text is None else BoosterTrees(lightgbm.Booster(model_str=text.decode()), text.decode())
    return CalibratedResponse(linear, trees, calibration_of(parameters["calibration"]))


def sample_of(matrix: Floats) -> Floats:
    """At most SAMPLE_ROWS of the training rows, evenly spread over them."""
    rows = np.linspace(0, max(0, len(matrix) - 1), min(SAMPLE_ROWS, len(matrix)))
    return np.ascontiguousarray(matrix[np.unique(rows.astype(np.int64))] if len(matrix) else matrix)


def sample_bytes(sample: Floats) -> bytes:
    """A sample as a file, the same bytes for the same rows."""
    stream = BytesIO()
    np.save(stream, sample, allow_pickle=False)
    return stream.getvalue()


def sample_from(files: Mapping[str, bytes]) -> Floats:
    """The sample among the files of a version; no rows where it has none. ValueError for one of another width."""
    if SAMPLE not in files:
        return np.empty((0, len(FEATURES)))
    sample = np.load(BytesIO(files[SAMPLE]), allow_pickle=False)
    if sample.dtype != np.float64 or sample.ndim != 2 or sample.shape[1] != len(FEATURES):  # noqa: PLR2004
        raise ValueError("the sample has other columns")
    return np.ascontiguousarray(sample)


def json_bytes(value: object) -> bytes:
    """JSON, the same bytes for the same value; ValueError where a number is not finite."""
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False).encode()


def write_durably(path: Path, content: bytes) -> None:
    """Write a new file and wait until it is on the disk."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
