"""The profile service on a real socket, over a real Valkey."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceStub
from bihuan_profile.app import build
from bihuan_profile.settings import Settings
from bihuan_shared.callers import Credential, Role, secret_sha256
from bihuan_shared.clock import FixedClock
from bihuan_shared.rpc.client import open_channel
from bihuan_shared.rpc.server import start_server

SECRETS = {Role.INTERNAL: "internal-secret", Role.PARTNER: "partner-secret"}

Start = Callable[..., Awaitable[ProfileServiceStub]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts a server over the engine at a URL and gives a stub of it for a role; all end with the test."""
    async with AsyncExitStack() as stack:

        async def start_one(redis_url: str, role: Role = Role.INTERNAL) -> ProfileServiceStub:
            callers = tuple(Credential(role.value, role, secret_sha256(secret)) for role, secret in SECRETS.items())
            settings = Settings(redis_url=redis_url, callers=callers, clock="system", state_dir=tmp_path)
            server = await start_server(await build(settings), settings, FixedClock(0))
            stack.push_async_callback(server.stop, 1.0)
            channel = open_channel(f"127.0.0.1:{server.port}", secret=SECRETS[role], service="profile")
            stack.push_async_callback(channel.close)
            return ProfileServiceStub(channel)

        yield start_one
