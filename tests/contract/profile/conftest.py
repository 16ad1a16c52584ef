"""Every test of the contract runs on memory, on Valkey and on a cluster of three masters."""

from collections.abc import AsyncIterator

import pytest

from bihuan_profile.profile_store.in_memory import MemoryProfileStore
from bihuan_profile.profile_store.in_redis import RedisProfileStore
from bihuan_profile.use_cases.ports import ProfileStore
from bihuan_shared.redis import open_redis


@pytest.fixture(params=["memory", "redis_url", "redis_cluster_url"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[ProfileStore]:
    """An empty store."""
    if request.param == "memory":
        yield MemoryProfileStore()
        return
    client = await open_redis(request.getfixturevalue(request.param))
    yield RedisProfileStore(client)
    await client.aclose()
