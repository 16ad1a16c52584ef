"""What attribution accepts reaches profiles through the streams."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from bihuan.common.v1 import common_pb2 as common
from bihuan_profile.domain.behaviour import Amount, Behaviour, Event, order_key
from bihuan_profile.domain.governance import Consent, DataClass, Purpose
from bihuan_profile.domain.record import Record
from bihuan_profile.metrics import STREAM_IGNORED, STREAM_POISONED
from bihuan_profile.profile_store.in_memory import MemoryProfileStore
from bihuan_profile.profile_store.in_redis import RedisProfileStore, blob_key
from bihuan_profile.stream import STREAM, AcceptedEvents, reader_of
from bihuan_profile.use_cases.ingesting import Outcome, Submission, ingest_events
from bihuan_profile.use_cases.ports import Backoff
from bihuan_shared.clock import to_timestamp
from bihuan_shared.errors import Unavailable
from bihuan_shared.redis import RedisClient, open_redis
from bihuan_shared.streams import StreamWriter

if TYPE_CHECKING:
    from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceAsyncStub

Start = Callable[..., Awaitable["ProfileServiceAsyncStub"]]
NOW_US = 1_500_000_000_000_000
SHARDS = 4
CONSENT = common.Consent(purposes=[common.PURPOSE_MEASUREMENT], data_classes=[common.DATA_CLASS_OPERATION])
AGREED = Consent(frozenset({Purpose.TARGETING}), frozenset(DataClass))


def backoff() -> Backoff:
    return Backoff(random.Random(1), asyncio.sleep)


def accepted(event_type: common.EventType.ValueType, event_id: str, person_id: int = 7) -> common.AcceptedEvent:
    return common.AcceptedEvent(
        event_type=event_type,
        event_id=event_id,
        person_id=person_id,
        event_time=to_timestamp(NOW_US),
        tags=["category:tea"],
        consent=CONSENT,
    )


def order(event_id: str = "e1", order_id: str = "1") -> common.AcceptedEvent:
    message = accepted(common.EVENT_TYPE_ORDER, event_id)
    message.order_id = order_id
    message.amount.CopyFrom(common.Money(currency="USD", micros=5))
    return message


@pytest.fixture
async def client(any_redis_url: str) -> AsyncIterator[RedisClient]:
    opened = await open_redis(any_redis_url)
    yield opened
    await opened.aclose()


async def consumed(client: RedisClient, *messages: common.AcceptedEvent) -> Record:
    """The record of person 7 once `messages` have gone through the stream."""
    writer: StreamWriter[common.AcceptedEvent] = StreamWriter(client, STREAM, shards=SHARDS)
    await writer.append((message.person_id, message) for message in messages)
    store = RedisProfileStore(client)
    events = AcceptedEvents(store, backoff())
    reader = reader_of(client, "test", SHARDS)
    # The first rounds make the groups and look for what was left behind.
    for _ in range(4):
        await reader.poll(events.handle)
    return (await store.read([7]))[0].record


async def test_clicks_impressions_orders_and_refunds_reach_the_profile(client: RedisClient) -> None:
    refund = accepted(common.EVENT_TYPE_REFUND, "r1")
    refund.amount.CopyFrom(common.Money(currency="USD", micros=2))
    record = await consumed(
        client,
        accepted(common.EVENT_TYPE_IMPRESSION, "t1"),
        accepted(common.EVENT_TYPE_CLICK, "t1"),
        order(),
        refund,
    )
    assert {behaviour: count.total for behaviour, count in record.counts.items()} == {
        Behaviour.IMPRESSION: 1,
        Behaviour.CLICK: 1,
        Behaviour.ORDER: 1,
        Behaviour.REFUND: 1,
    }
    assert dict(record.operation_interests.long) == {"category:tea": pytest.approx(0.2)}
    assert dict(record.transaction_interests.long) == {"category:tea": pytest.approx(0.0)}
    assert record.orders.monetary["USD"].micros == 3


async def test_replayed_stream_counts_once(client: RedisClient) -> None:
    click = accepted(common.EVENT_TYPE_CLICK, "t1")
    await consumed(client, click, click)
    record = await consumed(client, click, order(), order("e2"))
    assert record.counts[Behaviour.CLICK].total == 1
    assert record.orders.frequency == 1


async def test_purchase_told_as_behaviour_and_as_order_counts_once(client: RedisClient) -> None:
    store = RedisProfileStore(client)
    behaviour = Event(7, order_key("1"), Behaviour.ORDER, NOW_US, ("category:tea",), Amount("USD", 5))
    await ingest_events(store, backoff(), NOW_US, [Submission(behaviour, AGREED)])
    record = await consumed(client, order())
    assert record.orders.frequency == 1
    again = await ingest_events(store, backoff(), NOW_US, [Submission(behaviour, AGREED)])
    assert again[0].outcome is Outcome.DUPLICATE


async def test_unknown_persons_and_other_types_are_passed_over(client: RedisClient) -> None:
    before = STREAM_IGNORED._value.get()
    record = await consumed(
        client,
        accepted(common.EVENT_TYPE_CLICK, "t1", person_id=0),
        accepted(common.EVENT_TYPE_LANDING, "t1"),
    )
    assert record == Record()
    assert STREAM_IGNORED._value.get() == before + 2


async def test_event_without_consent_is_not_kept(client: RedisClient) -> None:
    click = accepted(common.EVENT_TYPE_CLICK, "t1")
    click.ClearField("consent")
    assert await consumed(client, click) == Record()


async def test_bad_message_is_counted_and_holds_nobody_up(client: RedisClient) -> None:
    before = STREAM_POISONED._value.get()
    bad = accepted(common.EVENT_TYPE_CLICK, "")
    record = await consumed(client, bad, accepted(common.EVENT_TYPE_CLICK, "t1"))
    assert record.counts[Behaviour.CLICK].total == 1
    assert STREAM_POISONED._value.get() == before + 1
    pending = [(await client.xpending(f"st:{{events:{shard}}}", "profile"))["pending"] for shard in range(SHARDS)]
    assert pending == [0] * SHARDS


async def test_damaged_record_leaves_only_its_own_events_behind(client: RedisClient) -> None:
    before = STREAM_POISONED._value.get()
    await client.set(blob_key(11), b"\xff\xff\xff\xff\xff\xff")
    record = await consumed(
        client,
        accepted(common.EVENT_TYPE_CLICK, "t1", person_id=11),
        accepted(common.EVENT_TYPE_CLICK, "t2"),
    )
    assert record.counts[Behaviour.CLICK].total == 1
    assert STREAM_POISONED._value.get() == before + 1


async def test_running_service_takes_the_stream_in(start: Start, redis_url: str) -> None:
    await start(redis_url)
    client = await open_redis(redis_url)
    writer: StreamWriter[common.AcceptedEvent] = StreamWriter(client, STREAM, shards=SHARDS)
    await writer.append([(7, order())])
    store = RedisProfileStore(client)
    async with asyncio.timeout(20):
        while not (await store.read([7]))[0].revision:
            await asyncio.sleep(0.01)
    assert (await store.read([7]))[0].record.orders.frequency == 1
    await client.aclose()


async def test_contention_asks_for_the_batch_again() -> None:
    class Contended(MemoryProfileStore):
        async def compare_and_set(self, changes: object) -> list[bool]:
            assert isinstance(changes, list)
            return [False] * len(changes)

    async def no_pause(_: float) -> None:
        return

    events = AcceptedEvents(Contended(), Backoff(random.Random(1), no_pause))
    with pytest.raises(Unavailable):
        await events.handle([order()])
