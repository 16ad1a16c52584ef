"""
Consumers of the event log: woken by a commit, and by a slow poll for what other processes committed.

Each runs its step until there is nothing left. A step that fails because a store is lost is tried again; anything else
ends the process, because books must not go on after what nobody expected.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

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


async def follow(
    step: Callable[[], Awaitable[int]], wake: asyncio.Event, done: Iterable[Callable[[], None]] = ()
) -> None:
    """Run `step` for ever; it answers how many events it dealt with, and `done` is called where there were some."""
    while True:
        wake.clear()
        try:
            while await step() > 0:
                for one in done:
                    one()
        except (Unavailable, ResourceExhausted, DeadlineExceeded):
            await asyncio.sleep(RETRY_S)
            continue
        try:
            await asyncio.wait_for(wake.wait(), POLL_S)
        except TimeoutError:
            continue
