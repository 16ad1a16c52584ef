"""
Model cards: what a version is, what it was made of, how good it is, and what it is for.

After Mitchell et al., "Model cards for model reporting", FAT* 2019. Everything is read from the version's manifest, so
a card can be made wherever the registry is, without loading the model.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from bihuan_shared.errors import FailedPrecondition, NotFound

TARGETS = ("click", "order")

INTENDED_USE = (
    "For choosing and pricing advertisements: how probable a click of an impression is, and an order after a click.",
    "Not for decisions about a person with legal or similar effect: credit, insurance, work, housing, eligibility.",
    "Not for inferring facts about a person that the person did not tell.",
)
PERMITTED_BY = (
    (
        "Each row holds the profile as it was released to its decision: for the purpose TARGETING, and only the data "
        "classes that the consent of that request named. Nothing is read again later."
    ),
    "Facts that purpose or consent kept back count as unknown, not as zero.",
    "No feature is of the class SOCIAL.",
)
_LIMITS = (
    "It learns from what was shown: of advertisements and persons that were never brought together it knows little.",
    (
        "Late outcomes are made up for as if how late they come did not depend on the row, and nothing is known of "
        "delays longer than the oldest row is old."
    ),
    "Intervals take rows as independent of each other.",
)
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_FEW_POSITIVES = 200
_FAR_FROM_CALIBRATED = 0.03


@dataclass(frozen=True, slots=True)
class ResponseCard:
    """One response of a version: its figures, and curves and importance as JSON values; a rate has only figures."""

    target: str
    metrics: Mapping[str, float]
    evaluation: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A version; `data` and `config` are JSON values."""

    model_version: str
    create_time_us: int
    cut_off_time_us: int
    feature_version: str
    feature_count: int
    data_sha256: str
    data: Mapping[str, object]
    config: Mapping[str, object]
    files: Mapping[str, str]
    responses: Sequence[ResponseCard]

    @property
    def limits(self) -> list[str]:
        """What to bear in mind: what holds of every version, and what the figures of this one say."""
        return [*(limit for response in self.responses for limit in _limits_of(response)), *_LIMITS]


def read_card(registry: Path, model_version: str) -> ModelCard:
    """
    The card of a version. Blocks.

    Raises NotFound where there is none, FailedPrecondition where its manifest is damaged or a file is not what the
    manifest says.
    """
    folder = registry / model_version
    if _VERSION.fullmatch(model_version) is None or not (folder / "manifest.json").is_file():
        raise NotFound(f"no model version {model_version[:128]}")
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        card = _card(manifest)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FailedPrecondition(f"the manifest of {model_version} is damaged") from error
    for name, digest in card.files.items():
        path = folder / Path(name).name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise FailedPrecondition(f"{name} of {model_version} does not match its hash")
    return card


def card_document(card: ModelCard) -> dict[str, object]:
    """The card as JSON values."""
    return {
        "model_version": card.model_version,
        "create_time_us": card.create_time_us,
        "cut_off_time_us": card.cut_off_time_us,
        "feature_version": card.feature_version,
        "feature_count": card.feature_count,
        "data_sha256": card.data_sha256,
        "data": dict(card.data),
        "config": dict(card.config),
        "files": dict(card.files),
        "intended_use": list(INTENDED_USE),
        "permitted_by": list(PERMITTED_BY),
        "limits": card.limits,
        "responses": {
            one.target: {"metrics": dict(one.metrics), "evaluation": dict(one.evaluation)} for one in card.responses
        },
    }


def _card(manifest: Mapping[str, object]) -> ModelCard:
    provenance = cast("Mapping[str, object]", manifest["provenance"])
    # Versions of releases that kept no curves have a card without them.
    evaluation = cast("Mapping[str, Mapping[str, object]]", provenance.get("evaluation", {}))
    metrics = cast("Mapping[str, float]", manifest["metrics"])
    prefix = "order_"
    by_target = {
        "click": {name: value for name, value in metrics.items() if not name.startswith(prefix)},
        "order": {name.removeprefix(prefix): value for name, value in metrics.items() if name.startswith(prefix)},
    }
    return ModelCard(
        model_version=str(manifest["model_version"]),
        create_time_us=int(str(manifest["create_time_us"])),
        cut_off_time_us=int(str(provenance["cut_off_time_us"])),
        feature_version=str(manifest["feature_version"]),
        feature_count=len(cast("Sequence[str]", manifest["features"])),
        data_sha256=str(provenance["data_sha256"]),
        data=cast("Mapping[str, object]", provenance.get("data", {})),
        config=cast("Mapping[str, object]", provenance["config"]),
        files=cast("Mapping[str, str]", manifest["files"]),
        responses=[ResponseCard(target, by_target[target], evaluation.get(target, {})) for target in TARGETS],
    )


def _limits_of(response: ResponseCard) -> list[str]:
    metrics, name = response.metrics, response.target
    if "rate" in metrics:
        return [f"{name}: too few outcomes to train on; every row gets the same smoothed rate."]
    found = []
    if metrics.get("positives", 0.0) < _FEW_POSITIVES:
        found.append(f"{name}: only {metrics.get('positives', 0.0):,.0f} outcomes; expect wide intervals.")
    if "time_auc" not in metrics:
        found.append(f"{name}: not evaluated forward in time, for lack of earlier outcomes.")
    elif metrics["time_ece"] > _FAR_FROM_CALIBRATED:
        found.append(f"{name}: forward in time its probabilities were off by {metrics['time_ece']:.3f} on average.")
    if metrics.get("expected_late", 0.0) >= 1.0:
        found.append(f"{name}: {metrics['expected_late']:,.0f} outcomes are expected still to come.")
    return found
