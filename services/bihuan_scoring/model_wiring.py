"""The part of the composition root that models need: registry, compiler, comparisons, guard."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from bihuan_scoring.domain.drift import Drift
from bihuan_scoring.metrics import COMPARISONS, DRIFT_EVIDENCE, DRIFT_RATIO, RIVAL_DIFFERENCE, ROLL_BACKS
from bihuan_scoring.outcome_store import LakeOutcomes
from bihuan_scoring.predictor import LoadedModel
from bihuan_scoring.registry_store import DiskModelRegistry
from bihuan_scoring.settings import Settings
from bihuan_scoring.tree_cache import TreeCache
from bihuan_scoring.use_cases.comparing import Comparisons
from bihuan_scoring.use_cases.guarding import Guard
from bihuan_scoring.use_cases.ports import Model
from bihuan_scoring.use_cases.serving import ServingModel
from bihuan_shared.clock import Clock


@dataclass(frozen=True, slots=True)
class Models:
    """What scores, what compares, and what must run beside it."""

    serving: ServingModel
    comparisons: Comparisons
    background: Sequence[tuple[str, Callable[[], Awaitable[None]]]]


async def open_models(settings: Settings, clock: Clock) -> Models:
    """Load what serves, and lay out what runs beside it."""
    root = settings.state_dir / "models"
    cache = TreeCache(root, settings.tree_secret(), settings.compile_timeout_s)

    def faster(model: Model) -> Model:
        return cache.faster(model) if isinstance(model, LoadedModel) else model

    serving = ServingModel(DiskModelRegistry(root, settings.model_trust()), faster if settings.compile_trees else None)
    await serving.load()

    def counted(outcome: str) -> None:
        COMPARISONS.labels(outcome=outcome).inc()
        for place, version in (("canary", serving.noted.canary), ("shadow", serving.noted.shadow)):
            if (rival := comparisons.rivals.get(version)) is not None:
                RIVAL_DIFFERENCE.labels(place=place).set(rival.mean_difference)

    comparisons = Comparisons(counted)
    guard = Guard(
        serving,
        comparisons,
        LakeOutcomes(settings.lake_url),
        settings.guard_rules(),
        clock.now_us,
        told=lambda reason: ROLL_BACKS.labels(reason=reason).inc(),
        measured=_measured,
    )
    background = (("compile", serving.make_faster), ("compare", comparisons.run), ("guard", guard.run))
    return Models(serving, comparisons, background)


def _measured(place: str, drift: Drift) -> None:
    DRIFT_RATIO.labels(place=place).set(drift.ratio)
    DRIFT_EVIDENCE.labels(place=place).set(drift.log_evidence)
