import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from pydantic import SecretStr

from bihuan.identity.v1.identity_pb2_grpc import IdentityServiceStub
from bihuan_identity.app import build
from bihuan_identity.settings import PartnerDeclaration, Settings
from bihuan_shared.callers import Credential, Role, secret_sha256
from bihuan_shared.clock import SystemClock
from bihuan_shared.rpc.client import open_channel
from bihuan_shared.rpc.server import start_server

if TYPE_CHECKING:
    from bihuan.identity.v1.identity_pb2_grpc import IdentityServiceAsyncStub

PEPPERS = f"1:{base64.b64encode(bytes(range(32))).decode()}"
PSEUDONYM_KEYS = f"1@1970-01-01T00:00:00Z:{base64.b64encode(bytes(range(32, 64))).decode()}"
RECEIPT_KEYS = f"1:{base64.b64encode(bytes(range(64, 96))).decode()}"
SECRET = "secret of the gateway"
PARTNER_SECRET = "secret of a partner"
CALLERS = (
    Credential("gateway", Role.INTERNAL, secret_sha256(SECRET)),
    Credential("acme", Role.PARTNER, secret_sha256(PARTNER_SECRET)),
)
START_S = 30.0
# Generous, so that a busy machine does not look like a lost index.
INDEX_TIMEOUT_MS = 5_000


class Client:
    """What callers of a running identity server hold."""

    def __init__(self) -> None:
        self._channels: list[grpc.aio.Channel] = []
        self.stub: IdentityServiceAsyncStub
        self.partner_stub: IdentityServiceAsyncStub

    def connect(self, port: int) -> None:
        """Make the stubs of an internal caller and of a partner."""
        self.stub, self.partner_stub = (self._stub(f"127.0.0.1:{port}", secret) for secret in (SECRET, PARTNER_SECRET))

    async def disconnect(self) -> None:
        """Close the channels."""
        for channel in self._channels:
            await channel.close()
        self._channels.clear()

    def _stub(self, target: str, secret: str) -> "IdentityServiceAsyncStub":
        channel = open_channel(target, secret=secret, service="identity")
        self._channels.append(channel)
        return IdentityServiceStub(channel)


class IdentityProcess(Client):
    """`python -m bihuan_identity` on a real Valkey and SQLite, as operators run it."""

    def __init__(self, state_dir: Path, redis_url: str) -> None:
        super().__init__()
        self._state_dir = state_dir
        self._redis_url = redis_url
        self._process: subprocess.Popen[bytes] | None = None
        self.log = state_dir / "identity.log"

    async def start(self) -> None:
        """Start and wait until it serves."""
        port_file = self._state_dir / "identity.port"
        port_file.unlink(missing_ok=True)
        self._spawn(port_file)
        deadline = time.monotonic() + START_S
        while not port_file.exists():
            assert self._process is not None
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            await asyncio.sleep(0.02)
        self.connect(int(port_file.read_text()))

    async def kill(self) -> None:
        """End it without a chance to tidy up."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        return await self._end(signal.SIGTERM)

    def _spawn(self, port_file: Path) -> None:
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bihuan_identity"], env=self._environment(port_file), stderr=output
            )

    async def _end(self, number: signal.Signals) -> int:
        await self.disconnect()
        if self._process is None:
            return 0
        process, self._process = self._process, None
        process.send_signal(number)
        return await asyncio.to_thread(process.wait, START_S)

    def _environment(self, port_file: Path) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("BIHUAN_")}
        return inherited | {
            "BIHUAN_STATE_DIR": str(self._state_dir),
            "BIHUAN_REDIS_URL": self._redis_url,
            "BIHUAN_CALLERS": json.dumps([asdict(caller) for caller in CALLERS]),
            "BIHUAN_IDENTITY_PEPPERS": PEPPERS,
            "BIHUAN_IDENTITY_PSEUDONYM_KEYS": PSEUDONYM_KEYS,
            "BIHUAN_IDENTITY_RECEIPT_KEYS": RECEIPT_KEYS,
            "BIHUAN_IDENTITY_PORT_FILE": str(port_file),
            "BIHUAN_IDENTITY_INDEX_TIMEOUT_MS": str(INDEX_TIMEOUT_MS),
        }


@asynccontextmanager
async def serving(
    state_dir: Path, redis_url: str | None, *, partners: tuple[PartnerDeclaration, ...] = ()
) -> AsyncIterator[Client]:
    """Serve in this process, called over a socket."""
    settings = Settings(
        peppers=SecretStr(PEPPERS),
        pseudonym_keys=SecretStr(PSEUDONYM_KEYS),
        receipt_keys=SecretStr(RECEIPT_KEYS),
        partners=partners,
        state_dir=state_dir,
        redis_url=redis_url,
        callers=CALLERS,
        index_timeout_ms=INDEX_TIMEOUT_MS,
    )
    running = await start_server(await build(settings), settings, SystemClock())
    client = Client()
    client.connect(running.port)
    try:
        yield client
    finally:
        await client.disconnect()
        await running.stop()


@pytest.fixture
async def server(tmp_path: Path, redis_url: str) -> AsyncIterator[Client]:
    """A server with a real index."""
    async with serving(tmp_path, redis_url) as client:
        yield client


@pytest.fixture(params=["redis://127.0.0.1:1", None])
async def server_without_index(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Client]:
    """A server whose index cannot be reached, and one that was given none."""
    async with serving(tmp_path, request.param) as client:
        yield client


@pytest.fixture
async def process(tmp_path: Path, redis_url: str) -> AsyncIterator[IdentityProcess]:
    """An identity server in a process of its own."""
    server = IdentityProcess(tmp_path, redis_url)
    await server.start()
    yield server
    await server.kill()
