"""Models and a registry in memory, for tests of what scores."""

from collections.abc import Sequence

import numpy as np

from bihuan_scoring.domain.facts import Candidate
from bihuan_scoring.domain.features import FEATURES
from bihuan_scoring.domain.interest_match import Floats
from bihuan_scoring.domain.models import ModelInfo
from bihuan_scoring.domain.rollout import Serving
from bihuan_scoring.use_cases.ports import Explanation, Probabilities, unexplained
from bihuan_shared.errors import FailedPrecondition, NotFound

CANDIDATES = [Candidate(f"cr{n}", "c", tags=(f"category:{n}",)) for n in range(3)]


class EchoModel:
    """Answers a column of the features, so that rows can be told apart."""

    predictor = "echo"

    def __init__(self, model_version: str) -> None:
        self.model_version = model_version

    def explain(self, matrix: Floats, *, order: bool) -> Explanation:
        return unexplained(0.5, matrix)

    def predict(self, matrix: Floats) -> Probabilities:
        return Probabilities(matrix[:, FEATURES.index("match_category_long")], np.zeros(len(matrix)))


class MemoryRegistry:
    """Versions in memory; `damaged` ones do not load."""

    def __init__(self, *versions: str, damaged: frozenset[str] = frozenset()) -> None:
        self.names = versions
        self.damaged = damaged
        self.noted = Serving()

    def versions(self) -> Sequence[ModelInfo]:
        return [ModelInfo(name, 1, {}) for name in self.names]

    def info(self, model_version: str) -> ModelInfo:
        return ModelInfo(model_version, 1, {})

    def load(self, model_version: str) -> EchoModel:
        if model_version not in self.names:
            raise NotFound("none")
        if model_version in self.damaged:
            raise FailedPrecondition("damaged")
        return EchoModel(model_version)

    def serving(self) -> Serving:
        return self.noted

    def set_serving(self, serving: Serving) -> None:
        self.noted = serving


class FailingModel(EchoModel):
    def predict(self, matrix: Floats) -> Probabilities:
        raise RuntimeError("broken")
