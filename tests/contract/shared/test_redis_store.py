"""Opening one node or a cluster, and what a lost store looks like."""

from pathlib import Path

import pytest
from redis import exceptions
from redis.asyncio import Redis, RedisCluster

from bihuan_shared.embedded import EmbeddedValkey, free_port
from bihuan_shared.errors import Unavailable
from bihuan_shared.redis import is_alive, open_redis, store_errors


async def test_commands_scripts_and_pipelines_pass(any_redis_url: str) -> None:
    client = await open_redis(any_redis_url)
    await client.set("a", b"\xff")
    assert await client.get("a") == b"\xff"
    pipeline = client.pipeline(transaction=False)
    for number in range(100):
        pipeline.set(f"id:{{{number}}}", number)
        pipeline.get(f"id:{{{number}}}")
    answers = await pipeline.execute()
    assert answers[1::2] == [str(number).encode() for number in range(100)]
    script = client.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    assert await script(keys=["n"], args=[5]) == 5
    assert await is_alive(client)
    await client.aclose()


async def test_kind_of_client_follows_the_url(redis_url: str, redis_cluster_url: str) -> None:
    named = redis_cluster_url.replace("redis+cluster", "redis") + "?cluster=true"
    for url, kind in ((redis_url, Redis), (redis_cluster_url, RedisCluster), (named, RedisCluster)):
        client = await open_redis(url)
        assert isinstance(client, kind)
        await client.aclose()


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
async def test_absent_store_is_unavailable(scheme: str) -> None:
    with pytest.raises(Unavailable) as caught:
        await open_redis(f"{scheme}://127.0.0.1:{free_port()}")
    assert caught.value.reason == "STORE_UNAVAILABLE"


@pytest.mark.parametrize("url", ["http://host", "redis+sentinel://host", "host:6379"])
async def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="Redis URL"):
        await open_redis(url)


async def test_store_that_dies_and_returns_is_unavailable_in_between(tmp_path: Path) -> None:
    server = EmbeddedValkey.start(tmp_path)
    client = await open_redis(server.url)
    await client.set("a", "1")
    server.stop()
    assert not await is_alive(client)
    with pytest.raises(Unavailable), store_errors():
        await client.get("a")
    again = EmbeddedValkey.start(tmp_path, server.port)
    try:
        assert await is_alive(client)
        assert await client.get("a") == b"1"
    finally:
        await client.aclose()
        again.stop()


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ConnectionError(),
        exceptions.TimeoutError(),
        exceptions.BusyLoadingError(),
        exceptions.ClusterDownError("CLUSTERDOWN down"),
        exceptions.OutOfMemoryError(),
        exceptions.ResponseError("MISCONF errors writing to disk"),
        exceptions.RedisClusterException("no slots"),
        TimeoutError(),
        ConnectionResetError(),
        RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed"),
    ],
)
def test_lost_or_overloaded_store_is_unavailable(error: Exception) -> None:
    with pytest.raises(Unavailable), store_errors():
        raise error


def test_a_fault_of_the_program_is_not_taken_for_a_lost_store() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"), store_errors():
        raise RuntimeError("no running event loop")


def test_wrong_use_of_the_store_passes_unchanged() -> None:
    with pytest.raises(exceptions.ResponseError, match="WRONGTYPE"), store_errors():
        raise exceptions.ResponseError("WRONGTYPE Operation against a key")
