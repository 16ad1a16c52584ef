from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bihuan_identity.graph_store import SqlGraphStore
from bihuan_identity.index_store import RedisIdentifierIndex
from bihuan_identity.use_cases.ports import GraphStore, IdentifierIndex
from tests.unit.identity.memory_identity import MemoryGraphStore, MemoryIdentifierIndex

# Generous, so that a busy machine does not look like a lost index.
INDEX_TIMEOUT_S = 5.0


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def graph_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[GraphStore]:
    """An empty graph store of every kind."""
    if request.param == "memory":
        yield MemoryGraphStore()
        return
    url = (
        f"sqlite:///{tmp_path / 'identity.db'}"
        if request.param == "sqlite"
        else request.getfixturevalue("postgres_url")
    )
    store = await SqlGraphStore.open(url, epoch=1)
    yield store
    await store.close()


@pytest.fixture(params=["memory", "single", "cluster"])
async def index(request: pytest.FixtureRequest) -> AsyncIterator[IdentifierIndex]:
    """An empty index of every kind."""
    if request.param == "memory":
        yield MemoryIdentifierIndex()
        return
    url = request.getfixturevalue("redis_url" if request.param == "single" else "redis_cluster_url")
    store = RedisIdentifierIndex(url, timeout_s=INDEX_TIMEOUT_S)
    yield store
    await store.close()
