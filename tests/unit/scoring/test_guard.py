"""A version that fails, is slower, or says what does not happen is taken out unasked; no other one is."""

import asyncio

import numpy as np
import pytest

from bihuan_scoring.domain.interest_match import Floats
from bihuan_scoring.domain.models import ModelInfo
from bihuan_scoring.domain.rivals import LatencyRule
from bihuan_scoring.domain.rollout import Serving
from bihuan_scoring.use_cases.comparing import Comparisons
from bihuan_scoring.use_cases.guarding import Guard, GuardRules
from bihuan_scoring.use_cases.ports import Explanation, Probabilities, Seen, unexplained
from bihuan_scoring.use_cases.serving import Mode, ServingModel
from bihuan_shared.errors import Unavailable

ROWS = np.zeros((10, 3))
RULES = GuardRules(LatencyRule(2.0, 0.001, 50), 1.5, 0.001, probation_us=1_000, maturity_us=10, interval_s=60.0)


class Ticking:
    """A model that takes a time of the test's own clock."""

    predictor = "ticking"

    def __init__(self, world: "World", model_version: str) -> None:
        self.world = world
        self.model_version = model_version

    def predict(self, matrix: Floats) -> Probabilities:
        took_s = self.world.takes_s.get(self.model_version, 0.01)
        if took_s < 0:
            raise RuntimeError("broken")
        self.world.time_s += took_s
        rate = self.world.rates.get(self.model_version, 0.1)
        return Probabilities(np.full(len(matrix), rate), np.full(len(matrix), 0.5))

    def explain(self, matrix: Floats, *, order: bool) -> Explanation:
        return unexplained(0.5, matrix)


class MemoryRegistry:
    """Every version that is asked for."""

    def __init__(self, world: "World") -> None:
        self.world = world

    def serving(self) -> Serving:
        return self.world.noted

    def versions(self) -> list[ModelInfo]:
        return []

    def info(self, model_version: str) -> ModelInfo:
        return ModelInfo(model_version, 1, {})

    def load(self, model_version: str) -> Ticking:
        return Ticking(self.world, model_version)

    def set_serving(self, serving: Serving) -> None:
        self.world.noted = serving


class World:
    """A registry, outcomes and a clock in memory."""

    def __init__(self) -> None:
        self.time_s = 0.0
        self.now_us = 500
        self.takes_s: dict[str, float] = {}
        self.rates: dict[str, float] = {}
        self.outcomes: dict[str, Seen] = {}
        self.asked: list[tuple[str, int, int]] = []
        self.told: list[str] = []
        self.noted = Serving()
        self.comparisons = Comparisons(timer=lambda: self.time_s)
        self.serving = ServingModel(MemoryRegistry(self))
        self.guard = Guard(self.serving, self.comparisons, self, RULES, lambda: self.now_us, told=self.told.append)

    def of(self, model_version: str, since_us: int, until_us: int, window_us: int) -> Seen:
        assert window_us == RULES.maturity_us
        self.asked.append((model_version, since_us, until_us))
        if model_version not in self.outcomes:
            raise Unavailable("no lake")
        return self.outcomes[model_version]

    async def compared(self, times: int) -> None:
        routes = self.serving.routes
        rival = routes.canary or routes.shadow
        assert rival is not None
        running = asyncio.create_task(self.comparisons.run())
        for _ in range(times):
            self.comparisons.offer(routes.stable, rival, ROWS)
            await self.comparisons.join()
        running.cancel()


def _seen(predicted: float, observed: float, rows: int = 4_000) -> Seen:
    clicked = np.zeros(rows, dtype=np.bool_)
    clicked[: int(rows * observed)] = True
    return Seen(np.full(rows, predicted), clicked)


@pytest.fixture
async def world() -> World:
    world = World()
    await world.serving.publish("m1", now_us=0)
    await world.serving.publish("m2", Mode.CANARY, 0.5, now_us=100)
    return world


async def test_slower_canary_is_taken_out_and_a_slightly_slower_one_stays(world: World) -> None:
    world.outcomes["m2"] = _seen(0.1, 0.1)
    world.takes_s["m2"] = 0.019
    await world.compared(60)
    await world.guard.look()
    assert world.noted.canary == "m2"
    world.takes_s["m2"] = 0.03
    await world.compared(60)
    await world.guard.look()
    assert (world.noted.canary, world.noted.model_version) == ("", "m1")
    assert world.noted.why("m2").startswith("latency: p99 30.00 ms against 10.00 ms")
    assert world.told == ["latency"]


async def test_too_few_comparisons_or_too_small_a_difference_say_nothing(world: World) -> None:
    world.outcomes["m2"] = _seen(0.1, 0.1)
    world.takes_s |= {"m2": 9.0}
    await world.compared(49)
    await world.guard.look()
    assert world.noted.canary == "m2"
    world.comparisons.forget("m2")
    world.takes_s |= {"m1": 0.0001, "m2": 0.0009}
    await world.compared(60)
    await world.guard.look()
    assert world.noted.canary == "m2"


@pytest.mark.parametrize(("predicted", "observed"), [(0.05, 0.1), (0.1, 0.04)])
async def test_canary_whose_probabilities_drift_is_taken_out(world: World, predicted: float, observed: float) -> None:
    world.outcomes["m2"] = _seen(predicted, observed)
    await world.guard.look()
    assert world.asked == [("m2", 100, 490)]
    assert world.noted.canary == ""
    assert world.noted.why("m2").startswith("drift: ")


async def test_honest_canary_stays(world: World) -> None:
    world.outcomes["m2"] = _seen(0.1, 0.11)
    await world.guard.look()
    assert world.noted.canary == "m2"


async def test_failing_canary_or_shadow_is_taken_out(world: World) -> None:
    world.takes_s["m2"] = -1.0
    await world.compared(1)
    await world.guard.look()
    assert world.noted.why("m2") == "failure: RuntimeError"
    await world.serving.publish("m3", Mode.SHADOW)
    world.takes_s["m3"] = -1.0
    await world.compared(1)
    await world.guard.look()
    assert (world.noted.shadow, world.told) == ("", ["failure", "failure"])


async def test_version_for_everyone_is_rolled_back_in_its_probation_only(world: World) -> None:
    world.outcomes |= {"m2": _seen(0.05, 0.1)}
    await world.serving.publish("m2", now_us=200)
    world.now_us = 1_200
    await world.guard.look()
    assert world.noted.model_version == "m2"
    world.now_us = 1_199
    await world.guard.look()
    assert world.noted.model_version == "m1"
    await world.guard.look()
    assert world.told == ["drift"], "the first one has nothing to go back to"


async def test_unreadable_outcomes_leave_what_serves_and_the_guard_awake(world: World) -> None:
    running = asyncio.create_task(world.guard.run())
    async with asyncio.timeout(5):
        while not world.asked:
            await asyncio.sleep(0)
        world.takes_s["m2"] = -1.0
        await world.compared(1)
        while world.noted.canary:
            await asyncio.sleep(0)
    running.cancel()


async def test_comparing_measures_how_far_apart_they_are_and_never_waits(world: World) -> None:
    world.rates |= {"m1": 0.1, "m2": 0.3}
    await world.compared(2)
    assert world.comparisons.rivals["m2"].mean_difference == pytest.approx(0.2)
    counted: list[str] = []
    full = Comparisons(counted.append)
    routes = world.serving.routes
    assert routes.canary is not None
    for _ in range(40):
        full.offer(routes.stable, routes.canary, ROWS)
    assert counted == ["dropped"] * 8
