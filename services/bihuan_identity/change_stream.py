"""Publishes changes of persons on the Redis stream `st:{persons:0}`; an entry's id is the number of its change."""

import asyncio
from collections.abc import Sequence
from typing import Final

from redis.exceptions import ResponseError

from bihuan.common.v1.common_pb2 import PersonPart, PersonsChanged
from bihuan_identity.domain.graph import PersonsChange
from bihuan_shared.clock import SECOND_US, to_timestamp
from bihuan_shared.person_stream import SHARD, STREAM
from bihuan_shared.redis import RedisClient, open_redis, store_errors
from bihuan_shared.streams import FIELD, newest, shard_key

_MAX_LEN: Final = 1_000_000
_PUBLISHED_ALREADY: Final = "equal or smaller"


class RedisChangeStream:
    """
    The stream in Redis or Valkey, one node or a cluster; it connects when it is first used.

    Entry ids are given, and Redis refuses one that is not above the last: so a change is on the stream once, and in
    order, whoever publishes it and however often.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: RedisClient | None = None
        self._connecting = asyncio.Lock()

    async def last_change_id(self) -> int:
        """Return the newest change that was published; 0 before the first. Raises Unavailable."""
        last = await newest(await self._connected(), STREAM, SHARD, PersonsChanged)
        return 0 if last is None else last.change_id

    async def publish(self, changes: Sequence[PersonsChange]) -> None:
        """
        Publish changes, ascending; those that are published already are left out. Raises Unavailable.

        One after the other: were one refused and the next one not, the first could never be published.
        """
        client = await self._connected()
        for change in changes:
            message, entry_id = _message(change).SerializeToString(), f"{change.change_id}-0"
            with store_errors():
                try:
                    await client.xadd(
                        shard_key(STREAM, SHARD), {FIELD: message}, id=entry_id, maxlen=_MAX_LEN, approximate=True
                    )
                except ResponseError as error:
                    if _PUBLISHED_ALREADY not in str(error):
                        raise

    async def close(self) -> None:
        """End the connections."""
        if self._client is not None:
            await self._client.aclose()

    async def _connected(self) -> RedisClient:
        async with self._connecting:
            if self._client is None:
                self._client = await open_redis(self._url)
        return self._client


class NoChangeStream:
    """Stands where no Redis is configured: nobody is there to follow, so everything counts as published."""

    async def last_change_id(self) -> int:
        """Return a number that no change reaches."""
        return 2**62

    async def publish(self, changes: Sequence[PersonsChange]) -> None:
        """Nothing is ever published."""

    async def close(self) -> None:
        """Nothing is open."""


def _message(change: PersonsChange) -> PersonsChanged:
    return PersonsChanged(
        change_id=change.change_id,
        change_time=to_timestamp(change.time_s * SECOND_US),
        before_person_ids=change.before,
        parts=[PersonPart(person_id=part.person_id, sighting_ids=part.sightings) for part in change.parts],
    )
