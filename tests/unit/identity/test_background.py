"""A task that goes on for ever still ends when it is told to."""

import asyncio
from contextlib import suppress

import pytest

from bihuan_identity.background import keep_publishing
from bihuan_identity.domain.graph import PersonsChange
from tests.unit.identity.builders import identity_of
from tests.unit.identity.memory_identity import MemoryGraphStore, MemoryIdentifierIndex


class SwallowingStream:
    """A stream whose driver swallows a cancellation, as that of Redis can."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def last_change_id(self) -> int:
        self.asked.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return 0

    async def publish(self, changes: list[PersonsChange]) -> None:
        """Nothing comes."""


async def test_a_swallowed_cancellation_ends_the_task_all_the_same() -> None:
    stream = SwallowingStream()
    graph = identity_of(MemoryGraphStore(), MemoryIdentifierIndex()).graph
    task = asyncio.create_task(keep_publishing(graph, stream))  # type: ignore[arg-type]  # a stream that is never given changes
    await stream.asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
