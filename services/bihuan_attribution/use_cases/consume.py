"""
Consumers of the event log: woken by a commit, and by a slow poll for what other processes committed.

Each runs its step at once while it is behind, and otherwise lets work pile up for a short while, because a transaction
costs the same for one event as for a thousand. A step that fails because a store is lost is tried again; anything else
ends the process, because books must not go on after what nobody expected.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from bihuan_shared.errors import DeadlineExceeded, ResourceExhausted, Unavailable

POLL_S = 1.0
RETRY_S = 0.2


class Bell:
    """Wakes every consumer that waits at it."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Event] = []

    def ring(self) -> None:
        """Something was committed."""
        for one in self._waiting:
            one.set()

    def listener(self) -> asyncio.Event:
        """An event that every ring sets; its owner clears it."""
        event = asyncio.Event()
        self._waiting.append(event)
        return event


@dataclass(frozen=True, slots=True)
class Pace:
    """How a consumer gathers: fewer events than `full` in a step are followed by a pause of `pause_s` seconds."""

    full: int = 1
    pause_s: float = 0.0


async def follow(
    step: Callable[[], Awaitable[int]],
    wake: asyncio.Event,
    pace: Pace = Pace(),
    done: Iterable[Callable[[], None]] = (),
) -> None:
    """Run `step` for ever; it answers how many events it dealt with, and `done` is called where there were some."""
    while True:
        wake.clear()
        try:
            count = await step()
        except (Unavailable, ResourceExhausted, DeadlineExceeded):
            await asyncio.sleep(RETRY_S)
            continue
        if count:
            for one in done:
                one()
        elif not await _woken(wake):
            continue
        if count < pace.full and pace.pause_s:
            await asyncio.sleep(pace.pause_s)


async def _woken(wake: asyncio.Event) -> bool:
    try:
        await asyncio.wait_for(wake.wait(), POLL_S)
    except TimeoutError:
        return False
    return True
