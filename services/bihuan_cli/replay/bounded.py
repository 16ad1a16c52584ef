"""Many awaitables, a few at a time."""

import asyncio
from collections.abc import Awaitable, Sequence


async def bounded(at_once: int, work: Sequence[Awaitable[None]]) -> None:
    """Await everything, `at_once` at a time; the first failure cancels the rest."""
    places = asyncio.Semaphore(at_once)

    async def one(item: Awaitable[None]) -> None:
        async with places:
            await item

    async with asyncio.TaskGroup() as group:
        for item in work:
            group.create_task(one(item))
