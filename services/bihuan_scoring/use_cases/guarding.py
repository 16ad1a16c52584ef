"""Taking out, without being asked, a version that fails, is slower, or no longer says what happens."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from bihuan_scoring.domain.drift import Drift, drift_of
from bihuan_scoring.domain.rivals import LatencyRule
from bihuan_scoring.use_cases.comparing import Comparisons
from bihuan_scoring.use_cases.ports import Outcomes
from bihuan_scoring.use_cases.serving import ServingModel
from bihuan_shared.errors import BihuanError, FailedPrecondition

_log = structlog.get_logger("bihuan.scoring")


@dataclass(frozen=True, slots=True)
class GuardRules:
    """
    When a version is taken out.

    `tolerance` is the factor of odds within which probabilities may be off, `alpha` the chance of a false alarm in a
    version's whole life. A version that serves everyone is taken out only within `probation_us` of its publication, and
    only where another one served before it: later, the world has changed rather than the model, and an older model
    would not know better. `maturity_us` is how long an impression waits for its click.
    """

    latency: LatencyRule
    tolerance: float
    alpha: float
    probation_us: int
    maturity_us: int
    interval_s: float


class Guard:
    """Looks at what serves every `interval_s`, and at once where a canary fails."""

    def __init__(
        self,
        serving: ServingModel,
        comparisons: Comparisons,
        outcomes: Outcomes,
        rules: GuardRules,
        now_us: Callable[[], int],
        *,
        told: Callable[[str], None] = lambda _: None,
        measured: Callable[[str, Drift], None] = lambda _place, _drift: None,
    ) -> None:
        """`told` hears the kind of reason of each roll-back; `measured` the drift of each place that was looked at."""
        self._serving = serving
        self._comparisons = comparisons
        self._outcomes = outcomes
        self._rules = rules
        self._now_us = now_us
        self._told = told
        self._measured = measured

    async def run(self) -> None:
        """Look, wait, look again; never ends."""
        while True:
            try:
                await self.look()
            except BihuanError as error:
                # What serves goes on serving; outcomes that cannot be read now are read the next time.
                _log.warning("models could not be judged", reason=error.reason, detail=error.detail)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._comparisons.news.wait(), self._rules.interval_s)
            self._comparisons.news.clear()

    async def look(self) -> None:
        """Judge every version that has a place, and take out what fails."""
        serving, rules = self._serving.noted, self._rules
        for version in (serving.canary, serving.shadow):
            if version and (why := self._comparisons.failure(version)):
                await self._take_out(version, why)
                return
        if serving.canary:
            rival = self._comparisons.rivals.get(serving.canary)
            if rival is not None and (why := rival.too_slow(rules.latency)):
                await self._take_out(serving.canary, why)
                return
            await self._judge("canary", serving.canary, serving.canary_since_us)
        if serving.model_version and serving.before and self._now_us() - serving.since_us < rules.probation_us:
            await self._judge("stable", serving.model_version, serving.since_us)

    async def _judge(self, place: str, model_version: str, since_us: int) -> None:
        """Weigh what was predicted since a version has its place against what happened."""
        matured_us = self._now_us() - self._rules.maturity_us
        if matured_us <= since_us:
            return
        seen = await asyncio.to_thread(self._outcomes.of, model_version, since_us, matured_us, self._rules.maturity_us)
        drift = drift_of(seen.predicted, seen.clicked, self._rules.tolerance)
        self._measured(place, drift)
        if drift.found(self._rules.alpha):
            why = f"drift: {drift.observed} clicks where {drift.predicted:.1f} were predicted, of {drift.rows} shown"
            await self._take_out(model_version, why)

    async def _take_out(self, model_version: str, why: str) -> None:
        try:
            await self._serving.roll_back(model_version, why)
        except FailedPrecondition as error:
            # Somebody was faster, or what served before may not serve any more.
            _log.warning("a model stays", model_version=model_version, why=why, detail=error.detail)
            return
        self._comparisons.forget(model_version)
        self._told(why.partition(":")[0])
        _log.error("a model was taken out", model_version=model_version, why=why)
