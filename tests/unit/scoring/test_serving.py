"""Which model scores, and how it is swapped."""

from collections.abc import Sequence

import numpy as np
import pytest

from bihuan_scoring.domain.facts import Candidate, Context, PersonFacts, ScoreItem
from bihuan_scoring.domain.interest_match import Floats
from bihuan_scoring.domain.models import PRIOR_PCTR, PRIOR_PCVR, ModelInfo
from bihuan_scoring.domain.rollout import Serving
from bihuan_scoring.use_cases import scoring
from bihuan_scoring.use_cases.ports import Probabilities
from bihuan_scoring.use_cases.scoring import PriorModel, ServingModel, batch_score
from bihuan_shared.errors import FailedPrecondition, InvalidArgument, NotFound

CANDIDATES = [Candidate(f"cr{n}", "c", tags=(f"category:{n}",)) for n in range(3)]


class EchoModel:
    """Answers a column of the features, so that rows can be told apart."""

    def __init__(self, model_version: str) -> None:
        self.model_version = model_version

    def predict(self, matrix: Floats) -> Probabilities:
        return Probabilities(matrix[:, scoring_column("match_category_long")], np.zeros(len(matrix)))


def scoring_column(name: str) -> int:
    from bihuan_scoring.domain.features import FEATURES  # noqa: PLC0415  # one look-up

    return FEATURES.index(name)


class MemoryRegistry:
    """Versions in memory; `damaged` ones do not load."""

    def __init__(self, *versions: str, damaged: frozenset[str] = frozenset()) -> None:
        self.names = versions
        self.damaged = damaged
        self.noted = Serving()

    def versions(self) -> Sequence[ModelInfo]:
        return [ModelInfo(name, 1, {}) for name in self.names]

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


def _item(weight: float, *indexes: int) -> ScoreItem:
    interests = [(f"category:{n}", weight * (n + 1), 0.0) for n in range(3)]
    return ScoreItem(PersonFacts(1, interests=interests), Context(0), indexes)


async def test_without_a_model_the_priors_answer() -> None:
    scored = await batch_score(PriorModel(), [_item(1.0, 0, 1)], CANDIDATES)
    assert scored.model_version == "prior"
    assert scored.probabilities.pctr.tolist() == [PRIOR_PCTR] * 2
    assert scored.probabilities.pcvr.tolist() == [PRIOR_PCVR] * 2


@pytest.mark.parametrize("limits", [(256, 20_000), (0, 20_000), (0, 1)])
async def test_scores_keep_the_order_of_items_and_indexes(
    limits: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "_INLINE_ROWS", limits[0])
    monkeypatch.setattr(scoring, "_CHUNK_ROWS", limits[1])
    scored = await batch_score(EchoModel("m"), [_item(1.0, 2, 0), _item(5.0, 1), _item(9.0, 0, 0)], CANDIDATES)
    assert np.expm1(scored.probabilities.pctr) == pytest.approx([3.0, 1.0, 10.0, 9.0, 9.0])


async def test_index_beyond_the_candidates_names_its_field() -> None:
    with pytest.raises(InvalidArgument) as raised:
        await batch_score(PriorModel(), [_item(1.0, 0), _item(1.0, 0, 3)], CANDIDATES)
    assert raised.value.violations[0].field == "items[1].candidate_indexes[1]"


async def test_publish_swaps_and_notes_what_serves() -> None:
    registry = MemoryRegistry("m1", "m2")
    serving = ServingModel(registry)
    assert (await serving.publish("m1")).model_version == "m1"
    await serving.publish("m2")
    await serving.publish("m2")
    assert serving.current.model_version == "m2"
    assert registry.noted == Serving("m2", ("m1",))


@pytest.mark.parametrize(("name", "error"), [("m3", NotFound), ("m2", FailedPrecondition)])
async def test_refused_version_leaves_what_serves(name: str, error: type[Exception]) -> None:
    registry = MemoryRegistry("m1", "m2", damaged=frozenset({"m2"}))
    serving = ServingModel(registry)
    await serving.publish("m1")
    with pytest.raises(error):
        await serving.publish(name)
    assert serving.current.model_version == "m1"
    assert registry.noted == Serving("m1")


async def test_roll_back_goes_one_version_back_and_repeats_harmlessly() -> None:
    registry = MemoryRegistry("m1", "m2")
    serving = ServingModel(registry)
    await serving.publish("m1")
    await serving.publish("m2")
    for _ in range(2):
        assert (await serving.roll_back("m2")).model_version == "m1"
    assert serving.current.model_version == "m1"


@pytest.mark.parametrize("name", ["m1", "m2"])
async def test_roll_back_of_the_first_or_of_another_version_is_refused(name: str) -> None:
    serving = ServingModel(MemoryRegistry("m1", "m2"))
    await serving.publish("m1")
    with pytest.raises(FailedPrecondition):
        await serving.roll_back(name)


async def test_start_takes_up_what_served() -> None:
    registry = MemoryRegistry("m1")
    registry.noted = Serving("m1")
    serving = ServingModel(registry)
    await serving.load()
    assert serving.current.model_version == "m1"


async def test_start_with_a_model_that_may_not_serve_answers_priors() -> None:
    registry = MemoryRegistry("m1", damaged=frozenset({"m1"}))
    registry.noted = Serving("m1")
    serving = ServingModel(registry)
    await serving.load()
    assert serving.current.model_version == "prior"
