"""Redis or Valkey, one node or a cluster: opening it, and its failures as typed errors."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from bihuan_shared.errors import Unavailable

RedisClient = Redis | RedisCluster

CONNECT_TIMEOUT_S: Final = 2.0
SOCKET_TIMEOUT_S: Final = 5.0
"""How long one answer may take; a blocking read must ask for less."""
MAX_CONNECTIONS: Final = 64
MAX_NODE_CONNECTIONS: Final = 512
"""Of a cluster's client to each node; it refuses what is beyond, where that of one node waits."""
_POOL_WAIT_S: Final = 2.0

_LOST: Final = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ClusterDownError,
    exceptions.MasterDownError,
    exceptions.TryAgainError,
    exceptions.ReadOnlyError,
    exceptions.OutOfMemoryError,
    OSError,
    asyncio.TimeoutError,
)
_CLOSED_TRANSPORT: Final = "the handler is closed"
_LOST_PREFIXES: Final = ("MISCONF", "OOM", "CLUSTERDOWN", "TRYAGAIN", "MASTERDOWN", "NOREPLICAS", "LOADING", "READONLY")


def is_cancelled() -> bool:
    """Whether this task was told to end: the driver can swallow a cancellation, so loops over it have to ask."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def open_redis(url: str) -> RedisClient:
    """
    A client of the store at `url`, connected.

    `redis://host:port/db`, `rediss://…` or `unix://…` is one node; `redis+cluster://host:port`, `rediss+cluster://…` or
    `?cluster=true` is a cluster, of which any one node is named. Answers are bytes. A command is never sent twice:
    the driver's own retries are off, since a script that timed out may have run. Raises Unavailable where the store
    does not answer, ValueError for another kind of URL.
    """
    address, is_cluster = _split_cluster(url)
    client: RedisClient = _cluster(address) if is_cluster else _single(address)
    try:
        with store_errors():
            await client.initialize()
            await client.ping()
    except BaseException:
        await client.aclose()
        raise
    return client


@contextmanager
def store_errors() -> Iterator[None]:
    """Turns what the driver raises for a lost or overloaded store into Unavailable; other errors pass unchanged."""
    try:
        yield
    except _LOST as error:
        raise Unavailable("the store does not answer") from error
    except exceptions.ResponseError as error:
        if str(error).startswith(_LOST_PREFIXES):
            raise Unavailable("the store cannot serve this now") from error
        raise
    except exceptions.RedisClusterException as error:
        raise Unavailable("the cluster does not answer") from error
    except RuntimeError as error:
        # What uvloop says of a connection that was lost between being opened and being written to.
        if _CLOSED_TRANSPORT not in str(error):
            raise
        raise Unavailable("the store does not answer") from error


async def is_alive(client: RedisClient) -> bool:
    """Whether the store answers; for readiness."""
    try:
        with store_errors():
            await client.ping()
    except Unavailable:
        return False
    return True


def _single(url: str) -> Redis:
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=MAX_CONNECTIONS,
        timeout=_POOL_WAIT_S,
        protocol=2,
        decode_responses=False,
        socket_timeout=SOCKET_TIMEOUT_S,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
    return Redis.from_pool(pool)


def _cluster(url: str) -> RedisCluster:
    return RedisCluster.from_url(
        url,
        max_connections=MAX_NODE_CONNECTIONS,
        protocol=2,
        decode_responses=False,
        socket_timeout=SOCKET_TIMEOUT_S,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )


def _split_cluster(url: str) -> tuple[str, bool]:
    """The URL as the driver reads it, and whether it names a cluster."""
    parts = urlsplit(url)
    scheme, _, kind = parts.scheme.partition("+")
    if scheme not in {"redis", "rediss", "unix"} or kind not in {"", "cluster"}:
        raise ValueError("a Redis URL begins with redis://, rediss://, unix:// or redis+cluster://")
    options = parse_qsl(parts.query, keep_blank_values=True)
    is_cluster = kind == "cluster" or ("cluster", "true") in options
    query = urlencode([(name, value) for name, value in options if name != "cluster"])
    # urlunsplit drops the slashes of an empty authority for schemes it does not know.
    if scheme == "unix":
        return f"unix://{parts.netloc}{parts.path}" + (f"?{query}" if query else ""), is_cluster
    return urlunsplit((scheme, parts.netloc, parts.path, query, "")), is_cluster
