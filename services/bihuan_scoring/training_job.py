"""From the lake to the registry: reads labelled rows, trains both responses, stores a version."""

import hashlib
import json
import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from bihuan_scoring.domain.delay import Outcomes
from bihuan_scoring.domain.facts import Candidate, ScoreItem
from bihuan_scoring.domain.features import FEATURE_VERSION, FEATURES, build_matrix
from bihuan_scoring.domain.interest_match import Floats, Ints
from bihuan_scoring.domain.linear import smoothed_rate
from bihuan_scoring.domain.model_keys import ModelSigner
from bihuan_scoring.domain.models import PRIOR_PCTR, PRIOR_PCVR, PRIOR_STRENGTH
from bihuan_scoring.forward import train_forward
from bihuan_scoring.model_files import sample_of
from bihuan_scoring.records import LabelledRow, read_labelled_rows
from bihuan_scoring.registry_store import DiskModelRegistry, TrainedVersion
from bihuan_scoring.training import Labels, ResponseModel, TrainingConfig, enough_to_train
from bihuan_shared.errors import FailedPrecondition

_CHUNK_ROWS = 1_000
_VERSION_DIGITS = 16
_LAYOUT = "signed"
"""Of what is stored; versions of a release that stored something else keep their own names."""
_NEVER = -(2**63)
RECIPE = "2"
"""Raised whenever the same rows would make another model."""


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


@dataclass(slots=True)
class DataFacts:
    """What a model card says of the rows: how many, of whom, from when until when, and what was kept back from them."""

    rows: int = 0
    persons: int = 0
    unknown_person_rows: int = 0
    withheld_rows: int = 0
    from_time_us: int = 0
    until_time_us: int = 0

    def add(self, rows: Sequence[LabelledRow]) -> None:
        """Add rows, which ascend in time."""
        self.from_time_us = self.from_time_us or rows[0].context.request_time_us
        self.until_time_us = rows[-1].context.request_time_us
        self.rows += len(rows)
        self.unknown_person_rows += sum(row.person is None for row in rows)
        self.withheld_rows += sum(row.person is not None and row.person.withheld for row in rows)


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """
    Feature rows with their outcomes; `groups` tells persons apart, so that no fold splits one.

    Orders start at the click, and at the impression where there is none; only those of clicked rows mean anything.
    """

    matrix: Floats
    clicks: Outcomes
    orders: Outcomes
    groups: Ints
    facts: DataFacts

    @property
    def clicked(self) -> Labels:
        """1 where a click is known."""
        return (~np.isnan(self.clicks.delay_us)).astype(np.int64)

    @property
    def ordered(self) -> Labels:
        """1 where an order is known."""
        return (~np.isnan(self.orders.delay_us)).astype(np.int64)


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
    rows = matrix_of(read_labelled_rows(lake_url, cut_off_time_us), cut_off_time_us)
    if not len(rows.clicked):
        raise FailedPrecondition("nothing was shown before the cut-off")
    fingerprint = _fingerprint(rows)
    version = _version(fingerprint, config)
    registry = DiskModelRegistry(registry_dir)
    if registry.has(version):
        return TrainedModel(version, registry.info(version).metrics, created=False)
    click = _respond(rows.matrix, rows.clicks, rows.groups, PRIOR_PCTR, config)
    was_clicked = rows.clicked.astype(bool)
    order = _respond(
        rows.matrix[was_clicked], rows.orders.taken(was_clicked), rows.groups[was_clicked], PRIOR_PCVR, config
    )
    metrics = dict(click.metrics) | {f"order_{name}": value for name, value in order.metrics.items()}
    provenance = {
        "data_sha256": fingerprint,
        "cut_off_time_us": cut_off_time_us,
        "config": asdict(config),
        "data": asdict(rows.facts),
        "evaluation": {"click": dict(click.evaluation), "order": dict(order.evaluation)},
    }
    made = TrainedVersion(
        version, cut_off_time_us, click.model, order.model, metrics, provenance, sample_of(rows.matrix)
    )
    registry.add(made, signer)
    return TrainedModel(version, metrics, created=True)


def matrix_of(labelled: Iterable[LabelledRow], known_until_us: int) -> TrainingRows:
    """Features and outcomes of labelled rows, built in bounded pieces by the code that serves."""
    matrices: list[Floats] = [np.empty((0, len(FEATURES)))]
    clicks, orders, groups = array("q"), array("q"), array("q")
    facts = DataFacts()
    stream = iter(labelled)
    while chunk := list(islice(stream, _CHUNK_ROWS)):
        indexes: dict[Candidate, int] = {}
        items = [
            ScoreItem(row.person, row.context, (indexes.setdefault(row.candidate, len(indexes)),)) for row in chunk
        ]
        matrices.append(build_matrix(items, list(indexes)))
        facts.add(chunk)
        for row in chunk:
            clicked_us = _NEVER if row.click_time_us is None else row.click_time_us
            clicks.extend((row.shown_time_us, clicked_us))
            started_us = row.shown_time_us if row.click_time_us is None else clicked_us
            orders.extend((started_us, _NEVER if row.order_time_us is None else row.order_time_us))
            # An unknown person is a group of its own, below the person ids.
            groups.append(row.person_id or -1 - zlib.crc32(row.decision_id.encode()))
    told = np.array(groups, dtype=np.int64)
    facts.persons = int(np.unique(told[told > 0]).size)
    found = [_outcomes(np.array(times, dtype=np.int64).reshape(-1, 2), known_until_us) for times in (clicks, orders)]
    return TrainingRows(np.vstack(matrices), found[0], found[1], told, facts)


def _outcomes(times_us: Ints, known_until_us: int) -> Outcomes:
    """Of (rows, 2): the start, and the outcome or _NEVER. An outcome told with a time before its start came at once."""
    start_us, end_us = times_us[:, 0], times_us[:, 1]
    return Outcomes(start_us, np.where(end_us == _NEVER, np.nan, np.maximum(end_us - start_us, 0)), known_until_us)


@dataclass(frozen=True, slots=True)
class _Response:
    model: ResponseModel | float
    metrics: Mapping[str, float]
    evaluation: Mapping[str, object]


def _respond(matrix: Floats, outcomes: Outcomes, groups: Ints, prior: float, config: TrainingConfig) -> _Response:
    labels = outcomes.seen_before(outcomes.known_until_us).astype(np.int64)
    if not enough_to_train(labels, config):
        rate = smoothed_rate(int(labels.sum()), len(labels), prior, PRIOR_STRENGTH)
        return _Response(rate, {"rows": float(len(labels)), "positives": float(labels.sum()), "rate": rate}, {})
    model = train_forward(matrix, outcomes, groups, config)
    return _Response(model, model.metrics, model.evaluation)


def _fingerprint(rows: TrainingRows) -> str:
    digest = hashlib.sha256()
    clicks, orders = rows.clicks, rows.orders
    for part in (rows.matrix, clicks.start_us, clicks.delay_us, orders.start_us, orders.delay_us, rows.groups):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def _version(fingerprint: str, config: TrainingConfig) -> str:
    # The number of threads changes how long training takes, not what comes out.
    settings = asdict(replace(config, num_threads=1))
    recipe = json.dumps([_LAYOUT, RECIPE, fingerprint, FEATURE_VERSION, FEATURES, settings], sort_keys=True)
    return f"response-{hashlib.sha256(recipe.encode()).hexdigest()[:_VERSION_DIGITS]}"
