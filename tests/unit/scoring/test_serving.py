"""Which model scores, and how it is swapped."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pytest

from bihuan_scoring.domain.facts import Candidate, Context, PersonFacts, ScoreItem
from bihuan_scoring.domain.interest_match import Floats
from bihuan_scoring.domain.models import PRIOR_PCTR, PRIOR_PCVR, ModelInfo
from bihuan_scoring.domain.rollout import Serving
from bihuan_scoring.use_cases import scoring
from bihuan_scoring.use_cases.comparing import Comparisons
from bihuan_scoring.use_cases.ports import Explanation, Model, Probabilities, unexplained
from bihuan_scoring.use_cases.scoring import batch_score
from bihuan_scoring.use_cases.serving import Mode, PriorModel, Routes, ServingModel
from bihuan_shared.errors import FailedPrecondition, InvalidArgument, NotFound

CANDIDATES = [Candidate(f"cr{n}", "c", tags=(f"category:{n}",)) for n in range(3)]


class EchoModel:
    """Answers a column of the features, so that rows can be told apart."""

    predictor = "echo"

    def __init__(self, model_version: str) -> None:
        self.model_version = model_version

    def explain(self, matrix: Floats, *, order: bool) -> Explanation:
        return unexplained(0.5, matrix)

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


def _item(weight: float, *indexes: int) -> ScoreItem:
    interests = [(f"category:{n}", weight * (n + 1), 0.0) for n in range(3)]
    return ScoreItem(PersonFacts(1, interests=interests), Context(0), indexes)


async def test_without_a_model_the_priors_answer() -> None:
    scored = await batch_score(Routes(PriorModel()), [_item(1.0, 0, 1)], CANDIDATES)
    assert scored.model_version == "prior"
    assert scored.probabilities.pctr.tolist() == [PRIOR_PCTR] * 2
    assert scored.probabilities.pcvr.tolist() == [PRIOR_PCVR] * 2


@pytest.mark.parametrize("limits", [(256, 20_000), (0, 20_000), (0, 1)])
async def test_scores_keep_the_order_of_items_and_indexes(
    limits: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "_INLINE_ROWS", limits[0])
    monkeypatch.setattr(scoring, "_CHUNK_ROWS", limits[1])
    scored = await batch_score(Routes(EchoModel("m")), [_item(1.0, 2, 0), _item(5.0, 1), _item(9.0, 0, 0)], CANDIDATES)
    assert np.expm1(scored.probabilities.pctr) == pytest.approx([3.0, 1.0, 10.0, 9.0, 9.0])


async def test_index_beyond_the_candidates_names_its_field() -> None:
    with pytest.raises(InvalidArgument) as raised:
        await batch_score(Routes(PriorModel()), [_item(1.0, 0), _item(1.0, 0, 3)], CANDIDATES)
    assert raised.value.violations[0].field == "items[1].candidate_indexes[1]"


async def test_publish_swaps_and_notes_what_serves() -> None:
    registry = MemoryRegistry("m1", "m2")
    serving = ServingModel(registry)
    assert (await serving.publish("m1")).info.model_version == "m1"
    await serving.publish("m2")
    await serving.publish("m2")
    assert serving.routes.stable.model_version == "m2"
    assert registry.noted == Serving("m2", ("m1",))


@pytest.mark.parametrize(("name", "error"), [("m3", NotFound), ("m2", FailedPrecondition)])
async def test_refused_version_leaves_what_serves(name: str, error: type[Exception]) -> None:
    registry = MemoryRegistry("m1", "m2", damaged=frozenset({"m2"}))
    serving = ServingModel(registry)
    await serving.publish("m1")
    with pytest.raises(error):
        await serving.publish(name)
    assert serving.routes.stable.model_version == "m1"
    assert registry.noted == Serving("m1")


async def test_roll_back_goes_one_version_back_and_repeats_harmlessly() -> None:
    registry = MemoryRegistry("m1", "m2")
    serving = ServingModel(registry)
    await serving.publish("m1")
    await serving.publish("m2")
    for _ in range(2):
        assert (await serving.roll_back("m2")).info.model_version == "m1"
    assert serving.routes.stable.model_version == "m1"


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
    assert serving.routes.stable.model_version == "m1"


async def test_start_with_a_model_that_may_not_serve_answers_priors() -> None:
    registry = MemoryRegistry("m1", damaged=frozenset({"m1"}))
    registry.noted = Serving("m1")
    serving = ServingModel(registry)
    await serving.load()
    assert serving.routes.stable.model_version == "prior"


class FailingModel(EchoModel):
    def predict(self, matrix: Floats) -> Probabilities:
        raise RuntimeError("broken")


def _people(count: int) -> list[ScoreItem]:
    return [
        ScoreItem(PersonFacts(n + 1, interests=[("category:0", 1.0 + n, 0.0)]), Context(0), (0, 1))
        for n in range(count)
    ]


@pytest.mark.parametrize("limits", [(4_096, 20_000), (0, 50)])
async def test_canary_answers_its_share_and_each_person_is_answered_by_one_version(
    limits: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "_INLINE_ROWS", limits[0])
    monkeypatch.setattr(scoring, "_CHUNK_ROWS", limits[1])
    items = _people(1_000)
    comparisons = Comparisons()
    scored = await batch_score(Routes(PriorModel(), EchoModel("m2"), 0.2), items, CANDIDATES, comparisons)
    assert 150 < len(scored.canaried) < 250
    assert (scored.model_version, scored.canary_version) == ("prior", "m2")
    pctr = scored.probabilities.pctr.reshape(-1, 2)
    for position in range(1_000):
        wanted = [np.log1p(1.0 + position), 0.0] if position in scored.canaried else [PRIOR_PCTR] * 2
        assert pctr[position] == pytest.approx(wanted)
    again = await batch_score(Routes(PriorModel(), EchoModel("m2"), 0.2), items[500:], CANDIDATES)
    assert again.canaried == {position - 500 for position in scored.canaried if position >= 500}


async def test_larger_share_keeps_everybody_and_another_canary_draws_others() -> None:
    async def drawn(name: str, share: float) -> frozenset[int]:
        return (await batch_score(Routes(PriorModel(), EchoModel(name), share), _people(1_000), CANDIDATES)).canaried

    small, large, other = await drawn("m2", 0.1), await drawn("m2", 0.3), await drawn("m3", 0.1)
    assert small < large
    assert len(small & other) < len(small) / 2


async def test_who_is_not_known_is_served_by_one_version_in_all_of_a_decision() -> None:
    def placements(time_us: int) -> list[ScoreItem]:
        return [ScoreItem(None, Context(time_us, placement_id=f"p{n}"), (0,)) for n in range(4)]

    items = [item for time_us in range(200) for item in placements(time_us)]
    canaried = (await batch_score(Routes(PriorModel(), EchoModel("m2"), 0.5), items, CANDIDATES)).canaried
    assert canaried == {4 * (position // 4) + n for position in canaried for n in range(4)}
    assert 200 < len(canaried) < 600


async def test_where_a_canary_fails_what_serves_everyone_answers_and_the_failure_is_noted() -> None:
    comparisons = Comparisons()
    routes = Routes(PriorModel(), FailingModel("m2"), 0.5)
    scored = await batch_score(routes, _people(10), CANDIDATES, comparisons)
    assert scored.probabilities.pctr.tolist() == [PRIOR_PCTR] * 20
    assert not scored.canaried
    assert comparisons.failure("m2") == "failure: RuntimeError"
    assert comparisons.news.is_set()


async def test_shadow_answers_nobody() -> None:
    comparisons = Comparisons()
    scored = await batch_score(Routes(PriorModel(), shadow=FailingModel("m2")), _people(10), CANDIDATES, comparisons)
    assert scored.probabilities.pctr.tolist() == [PRIOR_PCTR] * 20
    assert not scored.canaried


async def test_shadow_and_canary_outlive_a_restart() -> None:
    registry = MemoryRegistry("m1", "m2", "m3")
    serving = ServingModel(registry)
    await serving.publish("m1", now_us=5)
    await serving.publish("m2", Mode.CANARY, 0.25, now_us=7)
    await serving.publish("m3", Mode.SHADOW)
    restarted = ServingModel(registry)
    await restarted.load()
    routes = restarted.routes
    assert [model.model_version for model in routes.models()] == ["m1", "m2", "m3"]
    assert routes.share == 0.25
    assert Serving.noted(json.loads(json.dumps(asdict(registry.noted)))) == registry.noted


async def test_changing_the_share_keeps_since_when_a_canary_serves() -> None:
    serving = ServingModel(MemoryRegistry("m1", "m2"))
    await serving.publish("m1")
    await serving.publish("m2", Mode.CANARY, 0.25, now_us=7)
    await serving.publish("m2", Mode.CANARY, 0.5, now_us=9)
    assert (serving.routes.share, serving.noted.canary_since_us) == (0.5, 7)


async def test_canary_that_is_published_for_everyone_is_no_canary_any_more() -> None:
    serving = ServingModel(MemoryRegistry("m1", "m2"))
    await serving.publish("m1")
    await serving.publish("m2", Mode.CANARY, 0.25)
    await serving.publish("m2")
    assert serving.noted == Serving("m2", ("m1",))
    assert serving.routes.canary is None


async def test_roll_back_of_a_canary_leaves_what_serves_everyone_and_repeats_harmlessly() -> None:
    registry = MemoryRegistry("m1", "m2")
    serving = ServingModel(registry)
    await serving.publish("m1")
    await serving.publish("m2", Mode.CANARY, 0.25)
    for _ in range(2):
        assert (await serving.roll_back("m2", "drift: 1")).info.model_version == "m1"
    assert serving.routes == Routes(serving.routes.stable)
    assert registry.noted.why("m2") == "drift: 1"


async def test_canary_can_be_rolled_back_where_what_serves_everyone_does_not_load() -> None:
    registry = MemoryRegistry("m1", "m2", damaged=frozenset({"m1"}))
    registry.noted = Serving("m1").canaried("m2", 0.5)
    serving = ServingModel(registry)
    await serving.load()
    await serving.roll_back("m2")
    assert (registry.noted.model_version, registry.noted.canary) == ("m1", "")


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
async def test_canary_of_nobody_or_everybody_is_refused(share: float) -> None:
    serving = ServingModel(MemoryRegistry("m1"))
    with pytest.raises(InvalidArgument):
        await serving.publish("m1", Mode.CANARY, share)


@pytest.mark.parametrize("mode", [Mode.SHADOW, Mode.CANARY])
async def test_what_serves_everyone_is_no_canary_or_shadow_of_itself(mode: Mode) -> None:
    serving = ServingModel(MemoryRegistry("m1"))
    await serving.publish("m1")
    with pytest.raises(FailedPrecondition):
        await serving.publish("m1", mode, 0.5)


async def test_what_a_release_before_noted_is_read() -> None:
    old = {"model_version": "m2", "before": ["m1"], "withdrawn": ["m0"]}
    assert Serving.noted(old) == Serving("m2", ("m1",), ("m0",))


async def test_faster_model_takes_the_place_of_the_slower_one_and_of_no_other() -> None:
    quick: list[str] = []

    def faster(model: Model) -> Model:
        quick.append(model.model_version)
        return EchoModel(model.model_version) if model.model_version == "m2" else model

    serving = ServingModel(MemoryRegistry("m1", "m2"), faster)
    making = asyncio.create_task(serving.make_faster())
    await serving.publish("m1")
    await serving.publish("m2", Mode.CANARY, 0.5)
    canary = serving.routes.canary
    async with asyncio.timeout(5):
        while serving.routes.canary is canary:
            await asyncio.sleep(0)
    assert serving.routes.stable.model_version == "m1"
    making.cancel()
