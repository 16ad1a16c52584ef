"""The probe that containers ask for health."""

import asyncio
from typing import Protocol

import pytest

from bihuan_shared.embedded import free_port
from bihuan_shared.rpc import probe
from bihuan_shared.rpc.server import Registration, RunningServer


class Servers(Protocol):
    """What the fixture `stage` offers here."""

    async def serve(self, *registrations: Registration) -> RunningServer: ...


async def test_a_server_that_serves_passes(stage: Servers, unbuilt_services: list[Registration]) -> None:
    server = await stage.serve(*unbuilt_services)
    assert await asyncio.to_thread(probe.main, [f"127.0.0.1:{server.port}"]) == 0


def test_nobody_listening_fails() -> None:
    assert probe.main([f"127.0.0.1:{free_port()}"]) == 1


def test_a_missing_target_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert probe.main([]) == 2
    assert "usage" in capsys.readouterr().err
