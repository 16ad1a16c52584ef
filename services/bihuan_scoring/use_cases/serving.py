"""Which models score, and how that changes: for everyone, in the shadow, as a canary, and back."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import structlog

from bihuan_scoring.domain.interest_match import Floats
from bihuan_scoring.domain.models import PRIOR_PCTR, PRIOR_PCVR, PRIOR_VERSION, ModelInfo
from bihuan_scoring.domain.rollout import Serving
from bihuan_scoring.use_cases.ports import Explanation, Model, ModelRegistry, Probabilities, unexplained
from bihuan_shared.errors import FailedPrecondition, InvalidArgument, NotFound

_log = structlog.get_logger("bihuan.scoring")


class PriorModel:
    """What is said while no model is published."""

    model_version = PRIOR_VERSION
    predictor = "prior"

    def predict(self, matrix: Floats) -> Probabilities:
        """The priors, one a row."""
        return Probabilities(np.full(len(matrix), PRIOR_PCTR), np.full(len(matrix), PRIOR_PCVR))

    def explain(self, matrix: Floats, *, order: bool) -> Explanation:
        """Nothing but the prior."""
        return unexplained(PRIOR_PCVR if order else PRIOR_PCTR, matrix)


class Mode(Enum):
    """Whom a published version serves."""

    EVERYONE = "everyone"
    SHADOW = "shadow"
    CANARY = "canary"


@dataclass(frozen=True, slots=True)
class Routes:
    """The models of one instant. A request takes them once, and is scored by them from its first row to its last."""

    stable: Model
    canary: Model | None = None
    share: float = 0.0
    shadow: Model | None = None

    def models(self) -> Sequence[Model]:
        """Every model in it."""
        return [model for model in (self.stable, self.canary, self.shadow) if model is not None]

    def with_model(self, model: Model) -> "Routes":
        """The same with `model` in the place of what it replaces; unchanged where its version has no place any more."""
        return Routes(
            model if self.stable.model_version == model.model_version else self.stable,
            model if self.canary and self.canary.model_version == model.model_version else self.canary,
            self.share,
            model if self.shadow and self.shadow.model_version == model.model_version else self.shadow,
        )


@dataclass(frozen=True, slots=True)
class Registered:
    """A version, its place, and what computes its trees while it has one."""

    info: ModelInfo
    serving: Serving
    predictor: str


class ServingModel:
    """The models that score. They are replaced as one reference."""

    def __init__(self, registry: ModelRegistry, faster: Callable[[Model], Model] | None = None) -> None:
        """`faster` makes a model quicker where it can; it may block for minutes."""
        self._registry = registry
        self._faster = faster
        self._changing = asyncio.Lock()
        self._uncompiled = asyncio.Event()
        self.routes = Routes(PriorModel())
        self.noted = Serving()

    async def load(self) -> None:
        """
        Take up what the registry says serves.

        A version that is gone or may not be loaded leaves the prior, or its share to what serves everyone: a request
        without a score is worth more than none.
        """
        self.noted = await asyncio.to_thread(self._registry.serving)
        stable = await self._loaded(self.noted.model_version) or PriorModel()
        canary, shadow = await self._loaded(self.noted.canary), await self._loaded(self.noted.shadow)
        self._take(Routes(stable, canary, self.noted.canary_share, shadow))

    async def publish(
        self, model_version: str, mode: Mode = Mode.EVERYONE, share: float = 0.0, now_us: int = 0
    ) -> Registered:
        """
        Have `model_version` score for whom `mode` says from now on; a repeat changes nothing.

        Raises NotFound for an unknown version; FailedPrecondition for one that may not serve, and for a shadow or a
        canary of what serves everyone; InvalidArgument for the share of a canary outside (0, 1).
        """
        if mode is Mode.CANARY and not 0.0 < share < 1.0:
            raise InvalidArgument.of("share", "a canary serves a share between 0 and 1, both excluded")
        async with self._changing:
            serving = self.noted
            if mode is not Mode.EVERYONE and model_version == serving.model_version:
                raise FailedPrecondition(f"{model_version} serves everyone already")
            if mode is Mode.EVERYONE:
                after = serving.published(model_version, now_us)
            elif mode is Mode.SHADOW:
                after = serving.shadowed(model_version)
            else:
                after = serving.canaried(model_version, share, now_us)
            await self._serve(after, model_version)
            return await self._registered(model_version)

    async def roll_back(self, from_model_version: str, why: str = "") -> Registered:
        """
        Take `from_model_version` out, and answer what serves everyone then; a repeat changes nothing.

        Raises FailedPrecondition where nothing served before it, or where it neither has a place nor was rolled back
        from.
        """
        async with self._changing:
            serving = self.noted
            after = serving.rolled_back(from_model_version, why)
            if after is not None:
                await self._serve(after, after.model_version if from_model_version == serving.model_version else "")
            elif from_model_version == serving.model_version:
                raise FailedPrecondition("no version served before this one")
            elif from_model_version not in serving.withdrawn:
                raise FailedPrecondition(f"{from_model_version} does not serve")
            return await self._registered(self.noted.model_version)

    async def versions(self) -> Sequence[Registered]:
        """Every version, newest first."""
        infos = await asyncio.to_thread(self._registry.versions)
        return [self._placed(info) for info in infos]

    async def make_faster(self) -> None:
        """Whenever a model was taken up, replace it by a faster one that says the same, if there is one; never ends."""
        while self._faster is not None:
            await self._uncompiled.wait()
            self._uncompiled.clear()
            for model in self.routes.models():
                await self._quicken(model, self._faster)
        await asyncio.Event().wait()

    async def _quicken(self, model: Model, faster: Callable[[Model], Model]) -> None:
        try:
            quick = await asyncio.to_thread(faster, model)
        except Exception:  # noqa: BLE001  # the one that serves goes on serving
            _log.exception("a model could not be made faster", model_version=model.model_version)
            return
        if quick is not model:
            # No await stands between reading and writing, so no change of routes is lost.
            self.routes = self.routes.with_model(quick)

    async def _serve(self, serving: Serving, wanted: str) -> None:
        """Put `serving` in force. `wanted` is loaded if it is not at work; places that stay as they are stay so."""
        noted, routes = self.noted, self.routes
        stable = await self._placed_model(serving.model_version, noted.model_version, routes.stable, wanted)
        routes = Routes(
            stable or PriorModel(),
            await self._placed_model(serving.canary, noted.canary, routes.canary, wanted),
            serving.canary_share,
            await self._placed_model(serving.shadow, noted.shadow, routes.shadow, wanted),
        )
        if serving != noted:
            await asyncio.to_thread(self._registry.set_serving, serving)
            self.noted = serving
        self._take(routes)

    async def _placed_model(self, version: str, before: str, current: Model | None, wanted: str) -> Model | None:
        if version == before and version != wanted:
            return current
        for model in self.routes.models():
            if model.model_version == version:
                return model
        return await asyncio.to_thread(self._registry.load, version) if version else None

    def _take(self, routes: Routes) -> None:
        self.routes = routes
        self._uncompiled.set()

    async def _loaded(self, model_version: str) -> Model | None:
        if not model_version:
            return None
        try:
            return await asyncio.to_thread(self._registry.load, model_version)
        except (NotFound, FailedPrecondition) as error:
            _log.error("the model may not serve", model_version=model_version, detail=error.detail)
            return None

    async def _registered(self, model_version: str) -> Registered:
        if not model_version:
            return self._placed(ModelInfo(PRIOR_VERSION, 0, {}))
        return self._placed(await asyncio.to_thread(self._registry.info, model_version))

    def _placed(self, info: ModelInfo) -> Registered:
        return Registered(info, self.noted, self._predictor(info.model_version))

    def _predictor(self, model_version: str) -> str:
        return next((each.predictor for each in self.routes.models() if each.model_version == model_version), "")
