"""
Following the stream of changes of who is who, `st:{persons:0}`.

Every change is followed once and in its turn: repeated ones are left out, and after a gap nothing is followed until
what is missing was found, in the history of the stream or in what comes later.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

from bihuan.common.v1.common_pb2 import PersonsChanged
from bihuan_shared.clock import to_us
from bihuan_shared.errors import DeadlineExceeded, ResourceExhausted, Unavailable
from bihuan_shared.person_change import PersonPart, PersonsChange
from bihuan_shared.redis import RedisClient, is_cancelled
from bihuan_shared.streams import StreamReader, history, newest

STREAM: Final = "persons"
SHARD: Final = 0
_MEASURE_S: Final = 1.0


def change_of(message: PersonsChanged) -> PersonsChange:
    """The change that a message tells."""
    return PersonsChange(
        change_id=message.change_id,
        change_time_us=to_us(message.change_time),
        before_ids=tuple(message.before_person_ids),
        parts=tuple(PersonPart(part.person_id, frozenset(part.sighting_ids)) for part in message.parts),
    )


class PersonFollower:
    """
    One service's place in the stream of changes.

    `position` answers the last change that was followed, None where nothing is held yet that a change could concern:
    the oldest change that there is comes first then. `follow` follows the next one, and must leave out one that another
    process has followed meanwhile. `measure` is told how many changes the service is behind. `keep` is given changes
    before they are followed, some more than once.
    """

    def __init__(
        self,
        client: RedisClient,
        *,
        group: str,
        consumer: str,
        position: Callable[[], Awaitable[int | None]],
        follow: Callable[[PersonsChange], Awaitable[None]],
        measure: Callable[[int], None],
        keep: Callable[[Sequence[PersonsChange]], Awaitable[None]] | None = None,
    ) -> None:
        self._client = client
        self._reader = StreamReader(
            client, STREAM, PersonsChanged, group=group, consumer=consumer, shards=[SHARD], max_batch=100
        )
        self._position = position
        self._follow = follow
        self._measure = measure
        self._keep = keep

    async def run(self) -> None:
        """Follow changes until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reader.run(self.handle))
            group.create_task(self._watch())

    async def poll(self) -> int:
        """Follow what is there, without waiting; the number of messages."""
        return await self._reader.poll(self.handle)

    async def handle(self, messages: Sequence[PersonsChanged]) -> None:
        """Follow changes in their turn; Unavailable where one before them is missing, so that they come again."""
        position = await self._position()
        if position is None:
            position = await self._before_all(messages[0].change_id)
        await self._keep_after(position, messages)
        for message in messages:
            if message.change_id > position + 1:
                position = await self._read_back(position)
            if message.change_id > position + 1:
                raise Unavailable(f"change {position + 1} of who is who has not come")
            if message.change_id > position:
                await self._follow(change_of(message))
                position = message.change_id

    async def lag(self) -> int:
        """How many published changes were not followed yet."""
        last = await newest(self._client, STREAM, SHARD, PersonsChanged)
        return max(0, last.change_id - (await self._position() or 0)) if last is not None else 0

    async def _before_all(self, change_id: int) -> int:
        async for messages in history(self._client, STREAM, SHARD, PersonsChanged):
            return min([change_id, *(message.change_id for message in messages)]) - 1
        return change_id - 1

    async def _read_back(self, position: int) -> int:
        """Follow what the stream still holds of the changes after `position`, as far as it goes without a gap."""
        async for messages in history(self._client, STREAM, SHARD, PersonsChanged):
            await self._keep_after(position, messages)
            for message in messages:
                if message.change_id == position + 1:
                    await self._follow(change_of(message))
                    position = message.change_id
        return position

    async def _keep_after(self, position: int, messages: Sequence[PersonsChanged]) -> None:
        new = [change_of(message) for message in messages if message.change_id > position]
        if self._keep is not None and new:
            await self._keep(new)

    async def _watch(self) -> None:
        while True:
            # Readiness tells of a store that is lost; the figure stays as it was.
            with suppress(Unavailable, ResourceExhausted, DeadlineExceeded):
                self._measure(await self.lag())
            if is_cancelled():
                raise asyncio.CancelledError
            await asyncio.sleep(_MEASURE_S)
