"""From the lake to the registry: reads labelled rows, trains both responses, stores a version."""

import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from bihuan_scoring.domain.facts import Candidate, ScoreItem
from bihuan_scoring.domain.features import FEATURE_VERSION, FEATURES, build_matrix
from bihuan_scoring.domain.interest_match import Floats, Ints
from bihuan_scoring.domain.linear import smoothed_rate
from bihuan_scoring.domain.model_keys import ModelSigner
from bihuan_scoring.domain.models import PRIOR_PCTR, PRIOR_PCVR, PRIOR_STRENGTH
from bihuan_scoring.model_files import sample_of
from bihuan_scoring.records import LabelledRow, read_labelled_rows
from bihuan_scoring.registry_store import DiskModelRegistry, TrainedVersion
from bihuan_scoring.training import Labels, ResponseModel, TrainingConfig, enough_to_train, train_response
from bihuan_shared.errors import FailedPrecondition

_CHUNK_ROWS = 1_000
_VERSION_DIGITS = 16
_LAYOUT = "signed"
"""Of what is stored; versions of a release that stored something else keep their own names."""


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """
    A version in the registry and its figures.

    `metrics` are `cv_auc`, `cv_logloss`, `rows`, `positives` and the like of the click response, and the same with
    `order_` before them of the order response. `created` is false where the version was there already.
    """

    version: str
    metrics: Mapping[str, float]
    created: bool


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """Feature rows with labels; `groups` tells persons apart, so that no fold splits one."""

    matrix: Floats
    clicked: Labels
    ordered: Labels
    groups: Ints


def train_model(
    lake_url: str,
    registry_dir: Path,
    cut_off_time_us: int,
    *,
    seed: int = 7,
    num_threads: int = 1,
    signer: ModelSigner | None = None,
) -> TrainedModel:
    """
    Train on what the lake held before `cut_off_time_us`, and store the version, signed by `signer`. Blocks.

    The version's name follows from the data, the features and the configuration, so that training again on the same
    changes nothing and answers the same. Raises NotFound where the lake has no decision records, FailedPrecondition
    where nothing was shown before the cut-off.
    """
    config = TrainingConfig(seed=seed, num_threads=num_threads)
    rows = matrix_of(read_labelled_rows(lake_url, cut_off_time_us))
    if not len(rows.clicked):
        raise FailedPrecondition("nothing was shown before the cut-off")
    fingerprint = _fingerprint(rows)
    version = _version(fingerprint, config)
    registry = DiskModelRegistry(registry_dir)
    if registry.has(version):
        return TrainedModel(version, registry.info(version).metrics, created=False)
    click, click_metrics = _respond(rows.matrix, rows.clicked, rows.groups, PRIOR_PCTR, config)
    was_clicked = rows.clicked.astype(bool)
    order, order_metrics = _respond(
        rows.matrix[was_clicked], rows.ordered[was_clicked], rows.groups[was_clicked], PRIOR_PCVR, config
    )
    metrics = click_metrics | {f"order_{name}": value for name, value in order_metrics.items()}
    provenance = {"data_sha256": fingerprint, "cut_off_time_us": cut_off_time_us, "config": asdict(config)}
    sample = sample_of(rows.matrix)
    registry.add(TrainedVersion(version, cut_off_time_us, click, order, metrics, provenance, sample), signer)
    return TrainedModel(version, metrics, created=True)


def matrix_of(labelled: Iterable[LabelledRow]) -> TrainingRows:
    """Features and labels of labelled rows, built in bounded pieces by the code that serves."""
    matrices: list[Floats] = [np.empty((0, len(FEATURES)))]
    clicked: list[bool] = []
    ordered: list[bool] = []
    groups: list[int] = []
    stream = iter(labelled)
    while chunk := list(islice(stream, _CHUNK_ROWS)):
        indexes: dict[Candidate, int] = {}
        items = [
            ScoreItem(row.person, row.context, (indexes.setdefault(row.candidate, len(indexes)),)) for row in chunk
        ]
        matrices.append(build_matrix(items, list(indexes)))
        clicked.extend(row.clicked for row in chunk)
        ordered.extend(row.ordered for row in chunk)
        # An unknown person is a group of its own, below the person ids.
        groups.extend(row.person_id or -1 - zlib.crc32(row.decision_id.encode()) for row in chunk)
    return TrainingRows(
        np.vstack(matrices),
        np.array(clicked, dtype=np.int64),
        np.array(ordered, dtype=np.int64),
        np.array(groups, dtype=np.int64),
    )


def _respond(
    matrix: Floats, labels: Labels, groups: Ints, prior: float, config: TrainingConfig
) -> tuple[ResponseModel | float, dict[str, float]]:
    if not enough_to_train(labels, config):
        rate = smoothed_rate(int(labels.sum()), len(labels), prior, PRIOR_STRENGTH)
        return rate, {"rows": float(len(labels)), "positives": float(labels.sum()), "rate": rate}
    model = train_response(matrix, labels, groups, config)
    return model, model.metrics


def _fingerprint(rows: TrainingRows) -> str:
    digest = hashlib.sha256()
    for part in (rows.matrix, rows.clicked, rows.ordered, rows.groups):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def _version(fingerprint: str, config: TrainingConfig) -> str:
    # The number of threads changes how long training takes, not what comes out.
    settings = asdict(replace(config, num_threads=1))
    recipe = json.dumps([_LAYOUT, fingerprint, FEATURE_VERSION, FEATURES, settings], sort_keys=True)
    return f"response-{hashlib.sha256(recipe.encode()).hexdigest()[:_VERSION_DIGITS]}"
