"""Following changes of who is who: each once, in its turn, on one node and on a cluster."""

from collections.abc import AsyncIterator, Iterable

import pytest

from bihuan.common.v1.common_pb2 import PersonsChanged
from bihuan_shared.errors import Unavailable
from bihuan_shared.person_change import PersonPart, PersonsChange
from bihuan_shared.person_stream import PersonFollower, change_of
from bihuan_shared.redis import RedisClient, open_redis
from bihuan_shared.streams import StreamWriter, history, newest, shard_key


class Service:
    """Notes what it follows."""

    def __init__(self, client: RedisClient, *, new: bool = False) -> None:
        self.followed: list[int] = []
        self.refuses = False
        self._at: int | None = None if new else 0
        self.follower = PersonFollower(
            client, group="service", consumer="one", position=self._position, follow=self._follow, measure=print
        )

    async def _position(self) -> int | None:
        return self._at

    async def _follow(self, change: PersonsChange) -> None:
        if self.refuses:
            raise Unavailable("lost")
        self.followed.append(change.change_id)
        self._at = change.change_id


@pytest.fixture
async def client(any_redis_url: str) -> AsyncIterator[RedisClient]:
    opened = await open_redis(any_redis_url)
    yield opened
    await opened.aclose()


async def publish(client: RedisClient, change_ids: Iterable[int]) -> None:
    writer: StreamWriter[PersonsChanged] = StreamWriter(client, "persons", shards=1)
    await writer.append((0, PersonsChanged(change_id=one)) for one in change_ids)


async def drain(service: Service) -> None:
    # The first round makes the group, the second looks for what was left unfinished.
    for _ in range(4):
        await service.follower.poll()


async def test_changes_are_followed_once_though_they_come_twice(client: RedisClient) -> None:
    await publish(client, [1, 2, 2, 1, 3])
    service = Service(client)
    await drain(service)
    assert service.followed == [1, 2, 3]
    await publish(client, [3, 4])
    assert await service.follower.lag() == 1
    await drain(service)
    assert (service.followed, await service.follower.lag()) == ([1, 2, 3, 4], 0)


async def test_nothing_is_followed_after_a_gap_until_it_is_closed(client: RedisClient) -> None:
    await publish(client, [1, 3])
    service = Service(client)
    with pytest.raises(Unavailable, match="change 2"):
        await drain(service)
    assert service.followed == [1]
    await publish(client, [2])
    await drain(service)
    assert service.followed == [1, 2, 3]


async def test_change_that_could_not_be_followed_comes_again(client: RedisClient) -> None:
    await publish(client, [1])
    service = Service(client)
    service.refuses = True
    with pytest.raises(Unavailable):
        await drain(service)
    service.refuses = False
    await drain(service)
    assert service.followed == [1]


async def test_changes_that_another_reader_acknowledged_are_read_back(client: RedisClient) -> None:
    await publish(client, [1, 2])
    await drain(Service(client))
    service = Service(client)
    await publish(client, [3])
    await drain(service)
    assert service.followed == [1, 2, 3]


async def test_service_that_holds_nothing_begins_with_the_oldest_change_there_is(client: RedisClient) -> None:
    await publish(client, [7, 8])
    service = Service(client, new=True)
    await drain(service)
    assert service.followed == [7, 8]


async def test_history_holds_everything_in_pages_and_the_newest_is_its_last(client: RedisClient) -> None:
    assert await newest(client, "persons", 0, PersonsChanged) is None
    await publish(client, range(1, 6))
    await client.xadd(shard_key("persons", 0), {b"x": b"no message"})
    pages = [[one.change_id for one in page] async for page in history(client, "persons", 0, PersonsChanged, page=2)]
    assert pages == [[1, 2], [3, 4], [5]]


def test_message_becomes_the_change_that_it_tells() -> None:
    message = PersonsChanged(change_id=3, before_person_ids=[4, 9])
    message.parts.add(person_id=4, sighting_ids=[2**64 - 1])
    message.parts.add(person_id=9)
    change = change_of(message)
    assert change == PersonsChange(3, 0, (4, 9), (PersonPart(4, frozenset({2**64 - 1})), PersonPart(9)))
    assert (change.survivor_id, change.absorbed_ids, change.owners) == (0, (), {2**64 - 1: 4})
