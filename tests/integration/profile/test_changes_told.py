"""Whoever keeps what it learnt from profiles is told of every write, and reads those persons again."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import pytest

from bihuan.common.v1 import common_pb2 as common
from bihuan.profile.v1 import profile_pb2 as pb
from bihuan_profile.changed_stream import STREAM, ChangedPersons
from bihuan_profile.domain.record import EMPTY
from bihuan_profile.profile_store.announcing import AnnouncingProfileStore
from bihuan_profile.profile_store.in_memory import MemoryProfileStore
from bihuan_profile.use_cases.ports import Change
from bihuan_shared.clock import DAY_US, to_timestamp, to_us
from bihuan_shared.errors import Unavailable
from bihuan_shared.redis import RedisClient, open_redis
from bihuan_shared.streams import history

if TYPE_CHECKING:
    from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceAsyncStub

Start = Callable[..., Awaitable["ProfileServiceAsyncStub"]]
CONSENT = common.Consent(
    purposes=[common.PURPOSE_TARGETING], data_classes=[common.DATA_CLASS_OPERATION, common.DATA_CLASS_TRANSACTION]
)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[RedisClient]:
    client = await open_redis(redis_url)
    yield client
    await client.aclose()


async def _told(redis: RedisClient) -> list[list[int]]:
    return [list(one.person_ids) async for page in history(redis, STREAM, 0, common.ProfilesChanged) for one in page]


def _search(person_id: int, event_id: str = "e1") -> pb.BehaviourEvent:
    return pb.BehaviourEvent(
        event_id=event_id,
        person=common.PersonRef(person_id=person_id),
        behaviour=common.BEHAVIOUR_SEARCH,
        event_time=to_timestamp(time.time_ns() // 1_000 - DAY_US),
        tags=["category:tea"],
        consent=CONSENT,
    )


def _scan(*person_ids: int) -> pb.ScanProfilesRequest:
    persons = [common.PersonRef(person_id=person_id) for person_id in person_ids]
    return pb.ScanProfilesRequest(purpose=common.PURPOSE_TARGETING, persons=persons)


async def test_every_kind_of_write_is_told(start: Start, redis_url: str, redis: RedisClient) -> None:
    profile = await start(redis_url)
    await profile.IngestEvents(pb.IngestEventsRequest(events=[_search(1), _search(2)]))
    update = pb.AttributeUpdate(
        person=common.PersonRef(person_id=3), attributes=[pb.Attribute(name="gender", text="f")]
    )
    await profile.SetAttributes(pb.SetAttributesRequest(updates=[update]))
    await profile.DeleteProfile(pb.DeleteProfileRequest(person=common.PersonRef(person_id=2)))
    assert await _told(redis) == [[1, 2], [3], [2]]


async def test_a_repeated_event_writes_nothing_and_is_not_told(
    start: Start, redis_url: str, redis: RedisClient
) -> None:
    profile = await start(redis_url)
    for _ in range(3):
        await profile.IngestEvents(pb.IngestEventsRequest(events=[_search(1)]))
    assert await _told(redis) == [[1]]


async def test_nothing_is_written_that_could_not_be_told() -> None:
    store = MemoryProfileStore()

    async def fail(_person_ids: Sequence[int]) -> None:
        raise Unavailable("gone")

    with pytest.raises(Unavailable):
        await AnnouncingProfileStore(store, fail).compare_and_set([Change(1, 0, EMPTY)])
    assert (await store.read([1]))[0].revision == 0


async def test_more_persons_than_a_message_takes_are_told_in_several(redis: RedisClient) -> None:
    changed = ChangedPersons(redis)
    await changed.tell(range(1, 2_501))
    await changed.close()
    told = await _told(redis)
    assert [len(one) for one in told] == [1_000, 1_000, 500]
    assert sorted(person for one in told for person in one) == list(range(1, 2_501))


async def test_some_persons_are_scanned_as_everyone_is(start: Start, redis_url: str) -> None:
    """Who is erased or unknown is not answered; each answer tells as of when it holds and until when."""
    profile = await start(redis_url)
    await profile.IngestEvents(pb.IngestEventsRequest(events=[_search(one) for one in (1, 2, 3)]))
    await profile.DeleteProfile(pb.DeleteProfileRequest(person=common.PersonRef(person_id=2)))
    before_us = time.time_ns() // 1_000
    (part,) = [part async for part in profile.ScanProfiles(_scan(3, 2, 1, 99))]
    assert [one.person_id for one in part.profiles] == [3, 1]
    assert to_us(part.read_time) >= before_us
    (everyone,) = [part async for part in profile.ScanProfiles(_scan())]
    assert {one.person_id: one.segments for one in everyone.profiles} == {
        one.person_id: one.segments for one in part.profiles
    }
    assert 28 * DAY_US < to_us(part.profiles[0].next_change_time) - before_us < 30 * DAY_US
