"""Which model scores, and how it is swapped."""

import asyncio
import json
from dataclasses import asdict

import numpy as np
import pytest
from scoring_doubles import CANDIDATES, EchoModel, MemoryRegistry

from bihuan_scoring.domain.facts import Context, PersonFacts, ScoreItem
from bihuan_scoring.domain.models import PRIOR_PCTR, PRIOR_PCVR
from bihuan_scoring.domain.rollout import Serving
from bihuan_scoring.use_cases import scoring
from bihuan_scoring.use_cases.ports import Model
from bihuan_scoring.use_cases.scoring import batch_score
from bihuan_scoring.use_cases.serving import Mode, PriorModel, Routes, ServingModel
from bihuan_shared.errors import FailedPrecondition, InvalidArgument, NotFound


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
