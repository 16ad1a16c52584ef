"""
The Redis index: bucketed hashes `id:{<tag>}:<bucket>`, field = 16-byte key, value = 8 bytes.

Buckets of one tag share a slot, so one script call reads all that a batch needs of them: a batch of a thousand costs at
most 64 commands in one pipeline, on one node as on a cluster.
"""

import asyncio
import struct
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from redis.typing import EncodableT

from bihuan_identity.domain.graph import CERTAIN_PPM, MAX_PERSON_ID, Attachment
from bihuan_shared.errors import Unavailable
from bihuan_shared.redis import RedisClient, open_redis, store_errors

T = TypeVar("T")

TAGS: Final = 64
"""Slots that the index spreads over; also the most commands that a batch needs."""

DEFAULT_BUCKETS: Final = 256
"""
Buckets a tag: 61 identifiers in each at a million, which keeps the hashes compact (30 bytes an entry). A bucket of more
than `hash-max-listpack-entries` (512 in Redis 7 and Valkey) takes three times the room, so beyond six million
identifiers there should be more buckets.
"""

_SCANNED: Final = 1_000

# Fields come and values go one after the other in a single string, which spares the driver an argument a field; eight
# zero bytes stand for what is not there.
_READ: Final = """
local values = {}
for i = 1, #KEYS do
  values[i] = redis.call('HGET', KEYS[i], ARGV[1]:sub(16 * i - 15, 16 * i)) or '\\0\\0\\0\\0\\0\\0\\0\\0'
end
return table.concat(values)
"""

# Adds what is not there, so that an entry which came meanwhile, and may be newer, stands.
_FILL: Final = """
local added = 0
for i = 1, #KEYS do
  added = added + redis.call('HSETNX', KEYS[i], ARGV[1]:sub(16 * i - 15, 16 * i), ARGV[2]:sub(8 * i - 7, 8 * i))
end
return added
"""

_ID_BITS: Final = 36
_ID_MASK: Final = (1 << _ID_BITS) - 1
_DOUBT_BITS: Final = 20
_DOUBT_MASK: Final = (1 << _DOUBT_BITS) - 1
_VALUE: Final = struct.Struct(">Q")


def encode(attachment: Attachment) -> bytes:
    """
    Pack an attachment into 64 bits: from the lowest, the person id (36), what its confidence lacks to certainty in
    millionths (20), and the person's generation (8).
    """
    assert 0 < attachment.person_id <= MAX_PERSON_ID == _ID_MASK
    doubt_ppm = CERTAIN_PPM - attachment.confidence_ppm
    return _VALUE.pack(attachment.generation << _ID_BITS + _DOUBT_BITS | doubt_ppm << _ID_BITS | attachment.person_id)


def decode(value: bytes) -> Attachment:
    """Unpack what `encode` packed."""
    (packed,) = _VALUE.unpack(value)
    return _unpacked(packed)


def _unpacked(packed: int) -> Attachment:
    doubt_ppm = packed >> _ID_BITS & _DOUBT_MASK
    return Attachment(packed & _ID_MASK, CERTAIN_PPM - doubt_ppm, packed >> _ID_BITS + _DOUBT_BITS)


def _by_tag(keys: Iterable[bytes]) -> list[list[bytes]]:
    by_tag: list[list[bytes]] = [[] for _ in range(TAGS)]
    for key in keys:
        by_tag[key[0] % TAGS].append(key)
    return [fields for fields in by_tag if fields]


class RedisIdentifierIndex:
    """
    The index in Redis or Valkey, one node or a cluster.

    It connects when it is first used. A store that failed or took longer than `timeout_s` is left alone for `pause_s`,
    so that a stalled one costs one time-out a pause, not one a request.
    """

    def __init__(
        self, url: str, *, buckets: int = DEFAULT_BUCKETS, timeout_s: float = 0.25, pause_s: float = 1.0
    ) -> None:
        self._url = url
        self._names = [[f"id:{{{tag}}}:{bucket}".encode() for bucket in range(buckets)] for tag in range(TAGS)]
        self._timeout_s = timeout_s
        self._pause_s = pause_s
        self._closed_until_s = 0.0
        self._client: RedisClient | None = None
        self._connecting = asyncio.Lock()

    async def get(self, keys: Sequence[bytes]) -> Mapping[bytes, Attachment]:
        """Return what is indexed of these keys, by one pipeline. Raises Unavailable."""
        return await self._guard(lambda client: self._get(client, keys))

    async def put(self, entries: Mapping[bytes, Attachment]) -> None:
        """Index these keys, by one pipeline, in place of what is there. Raises Unavailable."""
        await self._guard(lambda client: self._put(client, entries))

    async def fill(self, entries: Mapping[bytes, Attachment]) -> int:
        """Index those of these keys that are not, by one pipeline; returns how many. Raises Unavailable."""
        return await self._guard(lambda client: self._fill(client, entries))

    async def clear(self) -> None:
        """Forget everything, whatever number of buckets it was kept in. Raises Unavailable."""
        await self._guard(self._clear)

    async def remove(self, keys: Sequence[bytes]) -> None:
        """Forget these keys, by one pipeline. Raises Unavailable."""
        await self._guard(lambda client: self._remove(client, keys))

    async def close(self) -> None:
        """End the connections."""
        if self._client is not None:
            await self._client.aclose()

    async def _get(self, client: RedisClient, keys: Sequence[bytes]) -> dict[bytes, Attachment]:
        asked = _by_tag(keys)
        pipeline = client.pipeline(transaction=False)
        for fields in asked:
            pipeline.execute_command("EVAL", _READ, len(fields), *map(self._name, fields), b"".join(fields))
        found: dict[bytes, Attachment] = {}
        for fields, values in zip(asked, await pipeline.execute(), strict=True):
            for key, packed in zip(fields, struct.unpack(f">{len(fields)}Q", values), strict=True):
                if packed:
                    found[key] = _unpacked(packed)
        return found

    async def _put(self, client: RedisClient, entries: Mapping[bytes, Attachment]) -> None:
        buckets: defaultdict[bytes, dict[EncodableT, EncodableT]] = defaultdict(dict)
        for key, attachment in entries.items():
            buckets[self._name(key)][key] = encode(attachment)
        pipeline = client.pipeline(transaction=False)
        for name, values in buckets.items():
            pipeline.hset(name, mapping=values)
        await pipeline.execute()

    async def _fill(self, client: RedisClient, entries: Mapping[bytes, Attachment]) -> int:
        pipeline = client.pipeline(transaction=False)
        for fields in _by_tag(entries):
            values = b"".join(encode(entries[key]) for key in fields)
            pipeline.execute_command("EVAL", _FILL, len(fields), *map(self._name, fields), b"".join(fields), values)
        return sum(await pipeline.execute())

    async def _clear(self, client: RedisClient) -> None:
        async for name in client.scan_iter(match="id:{*}:*", count=_SCANNED):
            await client.unlink(name)

    async def _remove(self, client: RedisClient, keys: Sequence[bytes]) -> None:
        buckets: defaultdict[bytes, list[bytes]] = defaultdict(list)
        for key in keys:
            buckets[self._name(key)].append(key)
        pipeline = client.pipeline(transaction=False)
        for name, fields in buckets.items():
            pipeline.execute_command("HDEL", name, *fields)
        await pipeline.execute()

    def _name(self, key: bytes) -> bytes:
        """Name the bucket of a key; keys are hashes, so any of their bytes spread evenly."""
        names = self._names[key[0] % TAGS]
        return names[int.from_bytes(key[1:4], "big") % len(names)]

    async def _guard(self, operation: Callable[[RedisClient], Awaitable[T]]) -> T:
        if time.monotonic() < self._closed_until_s:
            raise Unavailable("the index failed a moment ago")
        try:
            with store_errors():
                async with asyncio.timeout(self._timeout_s):
                    return await operation(await self._connected())
        except (Unavailable, TimeoutError) as error:
            self._closed_until_s = time.monotonic() + self._pause_s
            raise Unavailable("the index does not answer") from error

    async def _connected(self) -> RedisClient:
        if self._client is None:
            async with self._connecting:
                if self._client is None:
                    self._client = await open_redis(self._url)
        return self._client


class NoIndex:
    """Stands where no Redis is configured: it knows nothing, so every look-up goes to the database."""

    async def get(self, keys: Sequence[bytes]) -> Mapping[bytes, Attachment]:  # noqa: ARG002  # a port
        """Return nothing."""
        return {}

    async def put(self, entries: Mapping[bytes, Attachment]) -> None:
        """Keep nothing."""

    async def remove(self, keys: Sequence[bytes]) -> None:
        """Nothing is kept."""

    async def close(self) -> None:
        """Nothing is open."""
