"""Models as the registry names them, and what a probability is without a model."""

from collections.abc import Mapping
from dataclasses import dataclass

PRIOR_VERSION = "prior"
PRIOR_PCTR = 0.01
"""Click probability without any data: a usual display click rate, high enough that a new campaign is tried."""
PRIOR_PCVR = 0.02
"""Order probability of a click without any data."""
PRIOR_STRENGTH = 50.0
"""How many rows a prior weighs against what was seen."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """
    A version in the registry and the figures of its evaluation.

    `key_id` is the key that signed it (None: unsigned); `refusal` says why it may not serve, and is empty where its
    manifest is in order. `data_sha256` is the fingerprint of the rows that it was trained on.
    """

    model_version: str
    create_time_us: int
    metrics: Mapping[str, float]
    key_id: int | None = None
    feature_version: str = ""
    data_sha256: str = ""
    refusal: str = ""
