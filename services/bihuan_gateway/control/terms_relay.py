"""Terms on their way from the outbox to attribution: at least once, the newest of each resource last."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from bihuan_gateway.control.ports import TermsOutbox, TermsSink
from bihuan_gateway.control.specs import Kind
from bihuan_gateway.control.terms import CampaignTerms, Terms
from bihuan_shared.errors import BihuanError, DeadlineExceeded, FailedPrecondition, ResourceExhausted, Unavailable

_log = structlog.stdlib.get_logger(__name__)
BATCH = 500
_TRANSIENT = (Unavailable, DeadlineExceeded, ResourceExhausted)


class TermsRelay:
    """
    Pushes what the outbox holds and notes what was taken.

    `push_soon` waits up to `wait_s` for a push that began after it was called; `run` keeps pushing in the background
    and slows down, up to 30 s, while attribution refuses or does not answer. `on_taken` runs after versions were noted;
    `on_pending` learns after each round in the background how many resources still wait.
    """

    def __init__(
        self,
        outbox: TermsOutbox,
        sink: TermsSink,
        *,
        wait_s: float,
        on_taken: Callable[[], Awaitable[None]],
        on_pending: Callable[[int], None] = lambda _: None,
        idle_s: float = 5.0,
        first_retry_s: float = 0.2,
        slowest_retry_s: float = 30.0,
    ) -> None:
        self._outbox = outbox
        self._sink = sink
        self._wait_s = wait_s
        self._on_taken = on_taken
        self._on_pending = on_pending
        self._idle_s = idle_s
        self._first_retry_s = first_retry_s
        self._slowest_retry_s = slowest_retry_s
        self._wake = asyncio.Event()
        self._lock = asyncio.Lock()

    async def push_soon(self) -> None:
        """Push now and wait a little; what does not get through is left to the background. Raises nothing."""
        try:
            async with asyncio.timeout(self._wait_s):
                await self.push()
        except (TimeoutError, BihuanError):
            self._wake.set()

    async def push(self) -> bool:
        """Push everything; False where something was refused and stays. Raises what attribution's absence raises."""
        async with self._lock:
            pending = await self._outbox.pending_terms(BATCH)
            if not pending:
                return True
            taken = await self._hand_over(pending)
            if taken:
                await self._outbox.acknowledge_terms(taken)
        if taken:
            await self._on_taken()
        return len(taken) == len(pending) and (len(pending) < BATCH or await self.push())

    async def _hand_over(self, pending: list[Terms]) -> list[Terms]:
        try:
            await self._sink.put_terms(pending)
        except _TRANSIENT:
            raise
        except BihuanError:
            return await self._one_by_one(pending)
        return pending

    async def _one_by_one(self, pending: list[Terms]) -> list[Terms]:
        """Hand over what is taken: one bad row must not hold up the others, but for campaigns of its advertiser."""
        taken: list[Terms] = []
        kept: set[tuple[Kind, str]] = set()
        for terms in pending:
            unpaid = isinstance(terms, CampaignTerms) and (Kind.ADVERTISERS, terms.advertiser_id) in kept
            if not unpaid and await self._taken_alone(terms):
                taken.append(terms)
            else:
                kept.add(terms.subject)
        return taken

    async def _taken_alone(self, terms: Terms) -> bool:
        kind, name = terms.subject
        try:
            await self._sink.put_terms([terms])
        except FailedPrecondition as error:
            if error.reason == "STALE_TERMS":
                _log.warning("attribution knows newer terms", kind=kind.value, id=name, version=terms.version)
            return False
        except _TRANSIENT:
            raise
        except BihuanError as error:
            _log.error("attribution refuses terms", kind=kind.value, id=name, reason=error.reason)
            return False
        return True

    async def run(self) -> None:
        """Push for ever."""
        delay_s = 0.0
        while True:
            self._wake.clear()
            done = False
            with contextlib.suppress(BihuanError):
                done = await self.push()
            with contextlib.suppress(BihuanError):
                self._on_pending(await self._outbox.count_pending_terms())
            delay_s = 0.0 if done else min(max(delay_s * 2, self._first_retry_s), self._slowest_retry_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._idle_s if done else delay_s):
                    # While attribution fails, a new write does not make it fail faster.
                    await (self._wake.wait() if done else asyncio.Event().wait())
