"""Whose profiles were written, from the stream `st:{profiles:0}`, of which every reader keeps its own place."""

from dataclasses import dataclass
from typing import Final, cast

from bihuan.common.v1.common_pb2 import ProfilesChanged
from bihuan_shared.redis import RedisClient, store_errors
from bihuan_shared.streams import FIELD, shard_key

SETTLE_MS: Final = 2_000
"""A message comes before its write; after this long the write has been done or given up."""
START: Final = "0-0"
_PAGE: Final = 100

_KEY: Final = shard_key("profiles", 0)
_Entry = tuple[bytes, dict[bytes, bytes]]
_NOW: Final = "return redis.call('TIME')"
"""Run where the stream is, whose clock numbers its entries."""


@dataclass(frozen=True, slots=True)
class Changes:
    """
    Persons whose profiles are to be read again, and the place after them.

    `more` says that there are further ones. `lost` says that messages after the place before are gone, or that there is
    no stream, so that only reading everyone again tells what has changed.
    """

    person_ids: frozenset[int] = frozenset()
    position: str = START
    more: bool = False
    lost: bool = False


class ProfileChanges:
    """Reads the stream. Methods raise Unavailable where the store is lost."""

    def __init__(self, client: RedisClient, *, settle_ms: int = SETTLE_MS) -> None:
        self._client = client
        self._settle_ms = settle_ms

    async def end(self) -> str:
        """The place after everything that has settled: what is read from now on has all of that in it."""
        newest = await self._settled_id()
        with store_errors():
            entries = cast("list[_Entry]", await self._client.xrevrange(_KEY, max=newest, min="-", count=1))
        return entries[0][0].decode() if entries else START

    async def after(self, position: str) -> Changes:
        """What has settled since a place, at most 100 messages."""
        newest = await self._settled_id()
        with store_errors():
            if not await self._is_whole(position):
                return Changes(position=position, lost=True)
            entries = cast("list[_Entry]", await self._client.xrange(_KEY, min=f"({position}", max=newest, count=_PAGE))
        found: set[int] = set()
        for _, fields in entries:
            found.update(ProfilesChanged.FromString(fields[FIELD]).person_ids)
        last = entries[-1][0].decode() if entries else position
        return Changes(frozenset(found), last, more=len(entries) == _PAGE)

    async def _is_whole(self, position: str) -> bool:
        """Whether nothing after a place was trimmed: the message there is the last that may be missing."""
        if not await self._client.exists(_KEY):
            return False
        if position != START:
            return bool(await self._client.xrange(_KEY, min=position, max=position, count=1))
        about = await self._client.xinfo_stream(_KEY)
        return int(about["entries-added"]) == int(about["length"])

    async def _settled_id(self) -> str:
        with store_errors():
            seconds, micros = cast("list[bytes]", await self._client.eval(_NOW, 1, _KEY))
        return str(int(seconds) * 1_000 + int(micros) // 1_000 - self._settle_ms)
