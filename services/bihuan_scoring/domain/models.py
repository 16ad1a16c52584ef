"""Models as the registry names them, what serves, and what a probability is without a model."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

PRIOR_VERSION = "prior"
PRIOR_PCTR = 0.01
"""Click probability without any data: a usual display click rate, high enough that a new campaign is tried."""
PRIOR_PCVR = 0.02
"""Order probability of a click without any data."""
PRIOR_STRENGTH = 50.0
"""How many rows a prior weighs against what was seen."""

_HISTORY = 100


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A version in the registry and the figures of its evaluation."""

    model_version: str
    create_time_us: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Serving:
    """
    Which version serves, and which served before it, oldest first. The empty version stands for the prior.

    `withdrawn` are versions that were rolled back from, newest last.
    """

    model_version: str = ""
    before: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()

    def published(self, model_version: str) -> "Serving":
        """`model_version` serves; nothing changes where it does already."""
        if model_version == self.model_version:
            return self
        before = (*self.before, self.model_version) if self.model_version else self.before
        return Serving(model_version, before[-_HISTORY:], tuple(v for v in self.withdrawn if v != model_version))

    def rolled_back(self) -> "Serving | None":
        """The version before serves again; None where there is none."""
        if not self.before:
            return None
        withdrawn = (*self.withdrawn, self.model_version)[-_HISTORY:]
        return replace(self, model_version=self.before[-1], before=self.before[:-1], withdrawn=withdrawn)
