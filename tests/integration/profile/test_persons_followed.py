"""Profiles over the wire, with changes of who is who on the stream."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from bihuan.common.v1 import common_pb2 as common
from bihuan.profile.v1 import profile_pb2 as pb
from bihuan_shared.clock import to_timestamp
from bihuan_shared.redis import RedisClient, open_redis
from bihuan_shared.streams import StreamWriter

if TYPE_CHECKING:
    from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceAsyncStub

Start = Callable[..., Awaitable["ProfileServiceAsyncStub"]]
CONSENT = common.Consent(
    purposes=[common.PURPOSE_TARGETING], data_classes=[common.DATA_CLASS_OPERATION, common.DATA_CLASS_TRANSACTION]
)
PATIENCE_S = 20.0
A, B = 70, 9
AS_A, AS_B = 1, 2**64 - 1


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[RedisClient]:
    opened = await open_redis(redis_url)
    yield opened
    await opened.aclose()


def order(event_id: str, person_id: int, sighting_id: int) -> pb.BehaviourEvent:
    return pb.BehaviourEvent(
        event_id=event_id,
        person=common.PersonRef(person_id=person_id),
        behaviour=common.BEHAVIOUR_ORDER,
        event_time=to_timestamp(time.time_ns() // 1_000),
        tags=["category:tea"],
        consent=CONSENT,
        sighting_id=sighting_id,
    )


async def orders(profile: "ProfileServiceAsyncStub", *person_ids: int) -> list[int]:
    queries = [
        pb.ProfileQuery(person=common.PersonRef(person_id=person_id), purpose=common.PURPOSE_TARGETING, consent=CONSENT)
        for person_id in person_ids
    ]
    answer = await profile.BatchGetProfiles(pb.BatchGetProfilesRequest(queries=queries))
    return [one.rfm.frequency for one in answer.profiles]


async def followed(client: RedisClient, change: common.PersonsChanged) -> None:
    writer: StreamWriter[common.PersonsChanged] = StreamWriter(client, "persons", shards=1)
    await writer.append([(0, change), (0, change)])
    deadline = time.monotonic() + PATIENCE_S
    while int(await client.get("pf:followed") or 0) < change.change_id:
        assert time.monotonic() < deadline, "the change is not followed"
        await asyncio.sleep(0.02)


async def test_profiles_merge_and_come_apart_again(start: Start, redis_url: str, client: RedisClient) -> None:
    profile = await start(redis_url)
    told = [order("a", A, AS_A), order("b", A, AS_A), order("c", B, AS_B)]
    await profile.IngestEvents(pb.IngestEventsRequest(events=told))
    merged = common.PersonsChanged(change_id=1, before_person_ids=[B, A], change_time=told[0].event_time)
    merged.parts.add(person_id=B)
    await followed(client, merged)
    assert await orders(profile, A, B) == [3, 3]
    late = [order("d", A, AS_A), order("a", A, AS_A), order("a", B, AS_A)]
    results = (await profile.IngestEvents(pb.IngestEventsRequest(events=late))).results
    duplicate = pb.INGEST_OUTCOME_DUPLICATE
    assert [one.outcome for one in results] == [pb.INGEST_OUTCOME_ACCEPTED, duplicate, duplicate]
    split = common.PersonsChanged(change_id=2, before_person_ids=[B], change_time=told[0].event_time)
    split.parts.add(person_id=B, sighting_ids=[AS_B])
    split.parts.add(person_id=A, sighting_ids=[AS_A])
    await followed(client, split)
    assert await orders(profile, A, B) == [3, 1]
