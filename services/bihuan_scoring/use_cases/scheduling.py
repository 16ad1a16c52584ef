"""When audiences are built anew without being asked: each by its own interval, or by the one of the service."""

from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from bihuan_scoring.domain.audiences import Audience
from bihuan_scoring.domain.versions import LEAST_INTERVAL_S, due_us
from bihuan_scoring.use_cases.audiences import Audiences
from bihuan_shared.clock import SECOND_US, Clock
from bihuan_shared.errors import BihuanError

_log = structlog.get_logger("bihuan.scoring")

LONGEST_NAP_S: Final = LEAST_INTERVAL_S / 2
"""An audience that is created during a nap of this length is not due before its end."""


class RefreshSchedule:
    """Asks for audiences that are due. What an audience was asked for last is remembered by this process alone."""

    def __init__(
        self, audiences: Audiences, clock: Clock, sleep: Callable[[float], Awaitable[None]], every_s: float
    ) -> None:
        """`every_s` is for audiences without an interval of their own; 0: only when asked."""
        self._audiences = audiences
        self._clock = clock
        self._sleep = sleep
        self._every_s = every_s
        self._asked_us: dict[str, int] = {}

    async def run(self) -> None:
        """Ask for what is due, sleep until something is, again and again; never returns."""
        while True:
            nap_s = LONGEST_NAP_S
            try:
                nap_s = await self.ask_due()
            except BihuanError as error:
                _log.warning("audiences could not be refreshed", reason=error.reason)
            await self._sleep(nap_s)

    async def ask_due(self) -> float:
        """Ask for every audience that is due; how many seconds until the next may be."""
        now_us = self._clock.now_us()
        scheduled = {one.audience_id: one for one in await self._audiences.store.all() if one.expression}
        self._asked_us = {name: at_us for name, at_us in self._asked_us.items() if name in scheduled}
        due: list[str] = []
        next_us = now_us + round(LONGEST_NAP_S * SECOND_US)
        for name, audience in scheduled.items():
            interval_us = self._interval_us(audience)
            if not interval_us:
                continue
            at_us = self._due_us(audience, interval_us)
            if at_us <= now_us:
                due.append(name)
                # Whether the building works or not, the next is one interval later.
                self._asked_us[name] = now_us
                at_us = now_us + interval_us
            next_us = min(next_us, at_us)
        self._audiences.ask(due)
        return (next_us - now_us) / SECOND_US

    def _interval_us(self, audience: Audience) -> int:
        return round((audience.refresh_interval_s or self._every_s) * SECOND_US)

    def _due_us(self, audience: Audience, interval_us: int) -> int:
        # What was never built is being built already, or has failed since it was created.
        built_us = audience.refresh_time_us or audience.create_time_us
        return due_us(built_us, self._asked_us.get(audience.audience_id, 0), interval_us)
