"""Attribution as a server on a real socket."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from pydantic import SecretStr

from bihuan.attribution.v1 import attribution_pb2_grpc
from bihuan_attribution.app import build
from bihuan_attribution.settings import AttributionSettings
from bihuan_shared.callers import Credential, Role, secret_sha256
from bihuan_shared.clock import clock_from
from bihuan_shared.rpc.client import open_channel
from bihuan_shared.rpc.server import RunningServer, start_server
from bihuan_shared.tokens import KeyRing

KEY = "k1:" + "A" * 43


@dataclass
class Served:
    """A running server and a stub of an internal caller."""

    server: RunningServer
    channel: grpc.aio.Channel
    stub: "attribution_pb2_grpc.AttributionServiceAsyncStub"
    keys: KeyRing
    lake: Path


@pytest.fixture
async def serve(redis_url: str, tmp_path: Path) -> AsyncIterator[Callable[[], Awaitable[Served]]]:
    """Starts a server on the same state each time."""
    running: list[Served] = []

    async def start() -> Served:
        settings = AttributionSettings(
            # Everything happens at once here, which no human does.
            min_click_delay_ms=0,
            clicks_per_creative_hour=0,
            clicks_per_person_hour=0,
            redis_url=redis_url,
            state_dir=tmp_path,
            token_keys=SecretStr(KEY),
            callers=(
                Credential("gateway", Role.INTERNAL, secret_sha256("s")),
                Credential("dsp", Role.PARTNER, secret_sha256("partner")),
            ),
        )
        server = await start_server(await build(settings), settings, clock_from("system"))
        channel = open_channel(f"127.0.0.1:{server.port}", secret="s", service="attribution")
        stub = attribution_pb2_grpc.AttributionServiceStub(channel)
        served = Served(server, channel, stub, KeyRing.parse(KEY), tmp_path / "lake")
        running.append(served)
        return served

    yield start
    for one in running:
        await one.channel.close()
        await one.server.stop(0)


@pytest.fixture
async def served(serve: Callable[[], Awaitable[Served]]) -> Served:
    return await serve()
