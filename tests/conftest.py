"""
Real engines for every test: Valkey, a three-master Valkey cluster, SQLite, PostgreSQL and an object store.

Each is started by the first test that asks for it, once a worker process, and is ended with it. An engine that does
not start fails the tests that need it; none is ever skipped.
"""

import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import psycopg
import pytest
from hypothesis import settings
from local_postgres import LocalPostgres
from pyarrow.fs import S3FileSystem

from bihuan_shared.clock import forget_replay_time
from bihuan_shared.embedded import EmbeddedCluster, EmbeddedValkey, free_port, tied_to_parent

OBJECT_STORE_START_S = 30.0

# How long one example takes says more about the machine's other work than about the code.
settings.register_profile("bihuan", deadline=None)
settings.load_profile("bihuan")


@pytest.fixture(autouse=True)
def _own_replay_time() -> Iterator[None]:
    """No test sees the replay time of another."""
    yield
    forget_replay_time()


@pytest.fixture(scope="session")
def _valkey() -> Iterator[EmbeddedValkey]:
    folder = Path(mkdtemp(prefix="bihuan-valkey-"))
    # Flushing is much cheaper without an append-only file; the embedded server's own tests keep it on.
    server = EmbeddedValkey.start(folder, options=("--appendonly", "no"))
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture
def redis_url(_valkey: EmbeddedValkey) -> str:
    """An empty Valkey."""
    assert _valkey.command("FLUSHALL") == b"+OK\r\n"
    return _valkey.url


@pytest.fixture(scope="session")
def _valkey_cluster() -> Iterator[EmbeddedCluster]:
    folder = Path(mkdtemp(prefix="bihuan-cluster-"))
    cluster = EmbeddedCluster.start(folder)
    yield cluster
    cluster.stop()
    shutil.rmtree(folder)


@pytest.fixture
def redis_cluster_url(_valkey_cluster: EmbeddedCluster) -> str:
    """An empty Valkey cluster of three masters."""
    for node in _valkey_cluster.nodes:
        assert node.command("FLUSHALL") == b"+OK\r\n"
    return _valkey_cluster.url


@pytest.fixture(params=["single", "cluster"])
def any_redis_url(request: pytest.FixtureRequest) -> str:
    """An empty Valkey: one node, then a cluster."""
    url = request.getfixturevalue("redis_url" if request.param == "single" else "redis_cluster_url")
    assert isinstance(url, str)
    return url


@pytest.fixture(scope="session")
def _postgres() -> Iterator[LocalPostgres]:
    folder = Path(mkdtemp(prefix="bihuan-postgres-"))
    # No test pulls a plug on this one.
    fast = ("fsync=off", "full_page_writes=off", "max_connections=200", "shared_buffers=32MB", "max_wal_size=128MB")
    server = LocalPostgres.create(folder, fast)
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture
def postgres_url(_postgres: LocalPostgres) -> Iterator[str]:
    """A fresh database of a real PostgreSQL, as SQLAlchemy names it."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(host="127.0.0.1", port=_postgres.port, user="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} STRATEGY file_copy".encode())
        yield _postgres.url_of(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database: SQLite, then PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    url = request.getfixturevalue("postgres_url")
    assert isinstance(url, str)
    return url


@pytest.fixture(scope="session")
def _object_store() -> Iterator[str]:
    """`host:port` of a server on loopback that speaks S3."""
    for _ in range(5):
        endpoint = f"127.0.0.1:{free_port()}"
        host, port = endpoint.split(":")
        server = subprocess.Popen(
            tied_to_parent([sys.executable, "-m", "moto.server", "-H", host, "-p", port]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if _accepts(server, host, int(port)):
            yield endpoint
            server.terminate()
            server.wait(30)
            return
    raise AssertionError("the object store did not start")


@pytest.fixture
def bucket_url(_object_store: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A lake in an empty bucket of a real server; its credentials are in the environment, as they are outside."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id-of-the-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "what-nobody-may-see")
    bucket = f"lake-{uuid.uuid4().hex}"
    store = S3FileSystem(region="us-east-1", scheme="http", endpoint_override=_object_store, allow_bucket_creation=True)
    store.create_dir(bucket)
    return f"s3://{bucket}/some/prefix?region=us-east-1&scheme=http&endpoint_override={_object_store}"


def _accepts(server: subprocess.Popen[bytes], host: str, port: int) -> bool:
    deadline = time.monotonic() + OBJECT_STORE_START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with socket.create_connection((host, port), timeout=1):
                return True
        except OSError:
            time.sleep(0.02)
    server.kill()
    server.wait()
    return False
