"""Streams: at least once, in order within a shard, on one node and on a cluster."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from bihuan.common.v1.common_pb2 import AcceptedEvent
from bihuan_shared.errors import Unavailable
from bihuan_shared.redis import RedisClient, open_redis
from bihuan_shared.streams import FIELD, StreamReader, StreamWriter, shard_key

SHARDS = 4


class Sink:
    """Collects what is handed over; fails while it is told to."""

    def __init__(self) -> None:
        self.events: list[AcceptedEvent] = []
        self.batches: list[int] = []
        self.error: Exception | None = None
        self.arrived = asyncio.Event()

    async def __call__(self, messages: Sequence[AcceptedEvent]) -> None:
        if self.error is not None:
            raise self.error
        self.batches.append(len(messages))
        self.events.extend(messages)
        self.arrived.set()

    def positions(self, person_id: int) -> list[int]:
        return [event.log_position for event in self.events if event.person_id == person_id]

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.events) < count:
                self.arrived.clear()
                await self.arrived.wait()


@pytest.fixture
async def client(any_redis_url: str) -> AsyncIterator[RedisClient]:
    opened = await open_redis(any_redis_url)
    yield opened
    await opened.aclose()


def _events(count: int, *, start: int = 0) -> list[tuple[int, AcceptedEvent]]:
    numbers = range(start, start + count)
    return [(number % 7, AcceptedEvent(log_position=number, person_id=number % 7)) for number in numbers]


def _reader(
    client: RedisClient, consumer: str = "one", *, max_batch: int = 500, claim_idle_ms: int = 60_000
) -> StreamReader[AcceptedEvent]:
    return StreamReader(
        client,
        "events",
        AcceptedEvent,
        group="profile",
        consumer=consumer,
        shards=SHARDS,
        max_batch=max_batch,
        claim_idle_ms=claim_idle_ms,
    )


async def _drain(reader: StreamReader[AcceptedEvent], sink: Sink, *, idle_rounds: int = 3) -> None:
    """Poll until nothing came for some rounds: a group may first have to be made, and pending entries looked for."""
    idle = 0
    while idle < idle_rounds:
        idle = 0 if await reader.poll(sink) else idle + 1


async def _pending(client: RedisClient) -> int:
    answers = [await client.xpending(shard_key("events", shard), "profile") for shard in range(SHARDS)]
    return sum(answer["pending"] for answer in answers)


async def test_each_message_arrives_once_in_order_of_its_key_and_in_bounded_batches(client: RedisClient) -> None:
    writer = StreamWriter[AcceptedEvent](client, "events", shards=SHARDS)
    sink = Sink()
    await writer.append(_events(100))
    await _drain(_reader(client, max_batch=10), sink)
    await writer.append(_events(20, start=100))
    await _drain(_reader(client, max_batch=10), sink)
    assert sorted(event.log_position for event in sink.events) == list(range(120))
    assert all(sink.positions(person) == list(range(person, 120, 7)) for person in range(7))
    assert max(sink.batches) <= 10
    assert await _pending(client) == 0


async def test_appending_nothing_is_nothing(client: RedisClient) -> None:
    await StreamWriter[AcceptedEvent](client, "events", shards=SHARDS).append([])
    assert await client.exists(shard_key("events", 0)) == 0


async def test_batch_that_failed_comes_again_to_the_same_reader(client: RedisClient) -> None:
    await StreamWriter[AcceptedEvent](client, "events", shards=SHARDS).append(_events(10))
    reader, sink = _reader(client), Sink()
    await reader.poll(sink)
    await reader.poll(sink)
    sink.error = ValueError("not now")
    with pytest.raises(ValueError, match="not now"):
        await _drain(reader, sink)
    assert sink.events == []
    sink.error = None
    await _drain(reader, sink)
    assert sorted(event.log_position for event in sink.events) == list(range(10))
    assert await _pending(client) == 0


async def test_restarted_consumer_takes_up_what_it_left(client: RedisClient) -> None:
    await StreamWriter[AcceptedEvent](client, "events", shards=SHARDS).append(_events(10))
    failing, sink = Sink(), Sink()
    failing.error = ValueError("crash")
    for _ in range(SHARDS):
        with pytest.raises(ValueError, match="crash"):
            await _drain(_reader(client), failing)
    await _drain(_reader(client), sink)
    assert sorted(event.log_position for event in sink.events) == list(range(10))


async def test_stale_entries_of_a_dead_consumer_are_taken_over(client: RedisClient) -> None:
    await StreamWriter[AcceptedEvent](client, "events", shards=SHARDS).append(_events(50))
    sink = Sink()
    await _drain(_reader(client, "starter"), Sink(), idle_rounds=0)
    for shard in range(SHARDS):
        key = shard_key("events", shard)
        await client.xgroup_create(key, "profile", id="0", mkstream=True)
        await client.xreadgroup("profile", "dead", {key: ">"}, count=100)
    patient, eager = _reader(client, "patient"), _reader(client, "eager", max_batch=5, claim_idle_ms=0)
    await _drain(patient, sink)
    assert sink.events == []
    await _drain(eager, sink)
    assert sorted(event.log_position for event in sink.events) == list(range(50))
    assert await _pending(client) == 0


async def test_run_survives_flushall_and_goes_on_with_what_is_written_after(client: RedisClient) -> None:
    writer, sink = StreamWriter[AcceptedEvent](client, "events", shards=SHARDS), Sink()
    running = asyncio.create_task(_reader(client).run(sink))
    await writer.append(_events(10))
    await sink.wait_for(10)
    await client.flushall()
    await writer.append(_events(10, start=10))
    await sink.wait_for(20)
    assert sorted(event.log_position for event in sink.events) == list(range(20))
    await _stop(running)


async def test_run_waits_out_an_unavailable_handler(client: RedisClient) -> None:
    writer, sink = StreamWriter[AcceptedEvent](client, "events", shards=SHARDS), Sink()
    failures = 0

    async def handle(messages: Sequence[AcceptedEvent]) -> None:
        nonlocal failures
        if failures < 2:
            failures += 1
            raise Unavailable("the database does not answer")
        await sink(messages)

    running = asyncio.create_task(_reader(client).run(handle))
    await writer.append(_events(10))
    await sink.wait_for(10)
    assert sorted(event.log_position for event in sink.events) == list(range(10))
    await _stop(running)
    assert await _pending(client) == 0


async def test_any_other_error_ends_the_run(client: RedisClient) -> None:
    sink = Sink()
    sink.error = LookupError("a bug")
    await StreamWriter[AcceptedEvent](client, "events", shards=SHARDS).append(_events(1))
    with pytest.raises(ExceptionGroup) as caught:
        await _reader(client).run(sink)
    assert caught.group_contains(LookupError)


async def test_entries_that_are_no_message_are_left_behind(client: RedisClient) -> None:
    key = shard_key("events", 0)
    await client.xadd(key, {FIELD: b"\xff\xff\xff"})
    await client.xadd(key, {b"other": b"1"})
    await client.xadd(key, {FIELD: AcceptedEvent(log_position=5).SerializeToString()})
    sink = Sink()
    await _drain(_reader(client), sink)
    assert [event.log_position for event in sink.events] == [5]
    assert await _pending(client) == 0


async def test_pending_entries_that_were_trimmed_away_are_let_go(client: RedisClient) -> None:
    await StreamWriter[AcceptedEvent](client, "events", shards=SHARDS).append(_events(10))
    failing, sink = Sink(), Sink()
    failing.error = ValueError("crash")
    with pytest.raises(ValueError, match="crash"):
        await _drain(_reader(client), failing)
    for shard in range(SHARDS):
        await client.xtrim(shard_key("events", shard), maxlen=0, approximate=False)
    await _drain(_reader(client), sink)
    assert sink.events == []
    assert await _pending(client) == 0


async def test_stream_is_bounded(client: RedisClient) -> None:
    writer = StreamWriter[AcceptedEvent](client, "events", shards=1, max_len=100)
    await writer.append(_events(2_000))
    assert 100 <= await client.xlen(shard_key("events", 0)) <= 300


@pytest.mark.parametrize("max_batch", [0, 10_001])
async def test_batch_must_be_bounded(client: RedisClient, max_batch: int) -> None:
    with pytest.raises(ValueError, match="max_batch"):
        _reader(client, max_batch=max_batch)
    with pytest.raises(ValueError, match="shard"):
        StreamWriter[AcceptedEvent](client, "events", shards=0)


async def _stop(running: asyncio.Task[None]) -> None:
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
