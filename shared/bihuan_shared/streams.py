"""
Redis streams as contracts: each name carries one protobuf message type and has one writer.

A stream is cut into shards `st:{<name>:<shard>}`; the braces put each shard into one slot of a cluster, and different
shards into different ones. An entry has the single field `m`, the serialized message. Delivery is at least once and in
order within a shard, except that what a failed consumer left behind comes later.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar, cast

import structlog
from google.protobuf.message import DecodeError, Message
from redis.exceptions import ResponseError

from bihuan_shared.errors import DeadlineExceeded, ResourceExhausted, Unavailable
from bihuan_shared.redis import SOCKET_TIMEOUT_S, RedisClient, is_cancelled, store_errors

M = TypeVar("M", bound=Message)

FIELD: Final = b"m"
MAX_BATCH: Final = 10_000

_DEFAULT_MAX_LEN: Final = 1_000_000
_BLOCK_MS: Final = 1_000
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 2.0
_START: Final = b"0-0"
_GONE: Final = ("NOGROUP", "UNBLOCKED")

_PASSING: Final = (Unavailable, ResourceExhausted, DeadlineExceeded)

_log = structlog.get_logger(__name__)

_Entry = tuple[bytes, dict[bytes, bytes] | None]


def shard_key(name: str, shard: int) -> str:
    """The Redis key of one shard."""
    return f"st:{{{name}:{shard}}}"


class StreamWriter(Generic[M]):
    """Appends messages; the one writer of its stream."""

    __slots__ = ("_client", "_max_len", "_name", "_shards")

    def __init__(self, client: RedisClient, name: str, *, shards: int, max_len: int = _DEFAULT_MAX_LEN) -> None:
        """`max_len` bounds each shard, approximately: the oldest entries go first, read or not."""
        if shards < 1:
            raise ValueError("a stream has at least one shard")
        self._client = client
        self._name = name
        self._shards = shards
        self._max_len = max_len

    async def append(self, messages: Iterable[tuple[int, M]]) -> None:
        """
        Append messages in one round trip a node, each to the shard of its key (a person id), in order within a shard.

        Raises Unavailable where the store is lost; some may have been appended then, and repeating doubles those.
        """
        pipeline = self._client.pipeline(transaction=False)
        count = 0
        for key, message in messages:
            stream = shard_key(self._name, key % self._shards)
            pipeline.xadd(stream, {FIELD: message.SerializeToString()}, maxlen=self._max_len, approximate=True)
            count += 1
        if count:
            with store_errors():
                await pipeline.execute()


@dataclass(slots=True)
class _ShardState:
    """What one reader knows of one shard."""

    key: str
    pending_from: bytes | None = _START
    claim_from: bytes = _START
    next_claim_s: float = field(default=0.0)


class StreamReader(Generic[M]):
    """One consumer of a consumer group, over all shards of a stream or the given ones."""

    def __init__(
        self,
        client: RedisClient,
        name: str,
        message_type: type[M],
        *,
        group: str,
        consumer: str,
        shards: int | Sequence[int],
        max_batch: int = 500,
        claim_idle_ms: int = 30_000,
    ) -> None:
        """
        `consumer` is this process's own name in `group`, stable over restarts where possible. What another consumer
        took and did not finish within `claim_idle_ms` is taken over.
        """
        if not 1 <= max_batch <= MAX_BATCH:
            raise ValueError(f"max_batch must be 1 to {MAX_BATCH}")
        self._client = client
        self._message_type = message_type
        self._group = group
        self._consumer = consumer
        self._max_batch = max_batch
        self._claim_idle_ms = claim_idle_ms
        indices = range(shards) if isinstance(shards, int) else shards
        self._states = tuple(_ShardState(shard_key(name, index)) for index in indices)

    async def run(self, handle: Callable[[Sequence[M]], Awaitable[None]]) -> None:
        """
        Hand over messages in batches until cancelled; a batch is acknowledged once `handle` has returned.

        Shards are read side by side, so `handle` may run concurrently with itself. Where it or the store raises
        Unavailable, ResourceExhausted or DeadlineExceeded, the batch is tried again after a pause; any other error
        ends the run, and the batch comes again in the next one.
        """
        async with asyncio.TaskGroup() as group:
            for state in self._states:
                group.create_task(self._run_shard(state, handle))

    async def poll(self, handle: Callable[[Sequence[M]], Awaitable[None]]) -> int:
        """Hand over what is there, at most one batch a shard and source, without waiting; the number of messages."""
        counts = [await self._round(state, handle, block_ms=None) for state in self._states]
        return sum(counts)

    async def _run_shard(self, state: _ShardState, handle: Callable[[Sequence[M]], Awaitable[None]]) -> None:
        pause_s = _FIRST_PAUSE_S
        while not is_cancelled():
            try:
                await self._round(state, handle, block_ms=_BLOCK_MS)
            except _PASSING as error:
                _log.warning("stream_paused", stream=state.key, group=self._group, error=str(error))
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311  # spreads load, no more
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            else:
                pause_s = _FIRST_PAUSE_S
        raise asyncio.CancelledError

    async def _round(
        self, state: _ShardState, handle: Callable[[Sequence[M]], Awaitable[None]], *, block_ms: int | None
    ) -> int:
        """One batch of each source: stale entries of others, own unfinished ones, then new ones."""
        try:
            with store_errors():
                claimed = await self._claim(state)
            done = await self._process(state, claimed, handle)
            if state.pending_from is not None:
                with store_errors():
                    own = await self._read(state, state.pending_from, None)
                # Reading on from the last one, because what is not acknowledged would be first again.
                state.pending_from = own[-1][0] if own else None
                return done + await self._process(state, own, handle)
            with store_errors():
                new = await self._read(state, b">", block_ms)
        except ResponseError as error:
            if not str(error).startswith(_GONE):
                raise
            await self._create_group(state)
            return 0
        return done + await self._process(state, new, handle)

    async def _process(
        self, state: _ShardState, entries: Sequence[_Entry], handle: Callable[[Sequence[M]], Awaitable[None]]
    ) -> int:
        if not entries:
            return 0
        messages = _messages(entries, self._message_type)
        try:
            if messages:
                await handle(messages)
            with store_errors():
                await self._client.xack(state.key, self._group, *(entry_id for entry_id, _ in entries))
        except BaseException:
            state.pending_from = _START
            raise
        return len(messages)

    async def _read(self, state: _ShardState, start: bytes, block_ms: int | None) -> list[_Entry]:
        assert block_ms is None or block_ms < SOCKET_TIMEOUT_S * 1_000
        answer = await self._client.xreadgroup(
            self._group, self._consumer, {state.key: start}, count=self._max_batch, block=block_ms
        )
        # The shape of RESP2, which the client is opened with: [[stream, [[id, fields], ...]]].
        streams = cast("list[tuple[bytes, list[_Entry]]]", answer)
        return streams[0][1] if streams else []

    async def _claim(self, state: _ShardState) -> list[_Entry]:
        """Take over what another consumer left; one look through the group's pending list each idle time."""
        now_s = asyncio.get_running_loop().time()
        if state.claim_from == _START and now_s < state.next_claim_s:
            return []
        answer = await self._client.xautoclaim(
            state.key, self._group, self._consumer, self._claim_idle_ms, state.claim_from, count=self._max_batch
        )
        state.claim_from = cast("bytes", answer[0])
        if state.claim_from == _START:
            state.next_claim_s = now_s + self._claim_idle_ms / 1_000
        return cast("list[_Entry]", answer[1])

    async def _create_group(self, state: _ShardState) -> None:
        """Make the group, and the stream where there is none; it begins with the oldest entry."""
        state.pending_from = _START
        state.claim_from = _START
        try:
            with store_errors():
                await self._client.xgroup_create(state.key, self._group, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise


async def history(
    client: RedisClient, name: str, shard: int, message_type: type[M], *, page: int = 1_000
) -> AsyncIterator[Sequence[M]]:
    """Everything that a shard still holds, oldest first, whoever has read it, in lists of at most `page`."""
    start = b"-"
    while True:
        with store_errors():
            entries = cast("list[_Entry]", await client.xrange(shard_key(name, shard), min=start, count=page))
        if not entries:
            return
        yield _messages(entries, message_type)
        start = b"(" + entries[-1][0]


async def newest(client: RedisClient, name: str, shard: int, message_type: type[M]) -> M | None:
    """The last message of a shard; None where it holds none."""
    with store_errors():
        entries = cast("list[_Entry]", await client.xrevrange(shard_key(name, shard), count=1))
    return next(iter(_messages(entries, message_type)), None)


def _messages(entries: Iterable[_Entry], message_type: type[M]) -> list[M]:
    """Without entries that were trimmed away while they were pending, or that are no such message."""
    messages = []
    for entry_id, fields in entries:
        if fields is None or FIELD not in fields:
            continue
        message = message_type()
        try:
            message.ParseFromString(fields[FIELD])
        except DecodeError:
            _log.exception("stream_entry_dropped", type=message_type.__name__, entry_id=entry_id.decode())
            continue
        messages.append(message)
    return messages
