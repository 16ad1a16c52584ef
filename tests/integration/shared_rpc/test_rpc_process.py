"""Health, reflection, and the life of a process from its port file to its drain."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from bihuan.common.v1 import common_pb2
from bihuan.identity.v1 import identity_pb2, identity_pb2_grpc
from bihuan_shared.rpc import health
from bihuan_shared.rpc.client import open_channel
from bihuan_shared.rpc.server import Registration, RunningServer

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
NAME = "bihuan.identity.v1.IdentityService"


class Servers(Protocol):
    """What these tests need of the stage."""

    async def serve(
        self, *registrations: Registration, ready: Callable[[], Awaitable[bool]] = ..., listen: str = ...
    ) -> RunningServer: ...
    def plain_channel(self, server: RunningServer) -> grpc.aio.Channel: ...


@asynccontextmanager
async def process(port_file: Path, mode: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The service of `serving_process.py`."""
    script = Path(__file__).with_name("serving_process.py")
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        str(script),
        str(port_file),
        mode,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.communicate()


async def port_of(port_file: Path) -> int:
    """The port, once the process serves."""
    async with asyncio.timeout(30):
        while not port_file.exists():  # a file cannot be waited for
            await asyncio.sleep(0.01)
    return int(port_file.read_text())


async def statuses(channel: grpc.aio.Channel, service: str = "") -> AsyncIterator[int]:
    """What a watch tells, until the server lets go."""
    watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=service))
    try:
        async for answer in watch:
            yield answer.status
    except grpc.aio.AioRpcError:
        return


async def test_call_in_flight_finishes_after_sigterm(tmp_path: Path) -> None:
    port_file = tmp_path / "deep" / "port"
    async with process(port_file, "serve") as service:
        assert service.stdout is not None
        assert service.stdin is not None
        target = f"127.0.0.1:{await port_of(port_file)}"
        async with (
            open_channel(target, secret="internal-secret", service="identity") as channel,
            grpc.aio.insecure_channel(target) as plain,
        ):
            watch = statuses(plain)
            assert await anext(watch) == SERVING
            item = identity_pb2.ResolveItem(identifiers=[common_pb2.Identifier(namespace="cookie", value="c")])
            stub = identity_pb2_grpc.IdentityServiceStub(channel)
            call = asyncio.ensure_future(stub.Resolve(identity_pb2.ResolveRequest(item=item)))
            assert await service.stdout.readline() == b"entered\n"
            service.send_signal(signal.SIGTERM)
            assert await anext(watch) == NOT_SERVING
            assert [status async for status in watch] == []
            service.stdin.write(b"go\n")
            await service.stdin.drain()
            assert (await call).result.person_id == 7
        assert await service.stdout.readline() == b"closed\n"
        assert await asyncio.wait_for(service.wait(), 10) == 0


async def test_process_ends_with_an_error_when_a_background_task_fails(tmp_path: Path) -> None:
    async with process(tmp_path / "port", "fail") as service:
        out, err = await asyncio.wait_for(service.communicate(), 30)
        assert service.returncode == 1
        assert out == b"closed\n"
        assert b"the consumer broke" in err


async def test_health_follows_the_store(
    stage: Servers, unbuilt_services: list[Registration], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "POLL_INTERVAL_S", 0.01)
    answers: list[bool | Exception] = [True]

    async def ready() -> bool:
        answer = answers[-1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    server = await stage.serve(*unbuilt_services, ready=ready)
    watch = statuses(stage.plain_channel(server), NAME)
    for answer, status in ((True, SERVING), (False, NOT_SERVING), (True, SERVING), (OSError(), NOT_SERVING)):
        answers.append(answer)
        assert await asyncio.wait_for(anext(watch), 5) == status
    await watch.aclose()  # type: ignore[attr-defined]  # a generator


async def test_store_that_does_not_answer_is_not_ready(
    stage: Servers, unbuilt_services: list[Registration], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "POLL_TIMEOUT_S", 0.01)

    async def ready() -> bool:
        await asyncio.Event().wait()
        return True

    server = await stage.serve(*unbuilt_services, ready=ready)
    stub = health_pb2_grpc.HealthStub(stage.plain_channel(server))
    assert (await stub.Check(health_pb2.HealthCheckRequest())).status == NOT_SERVING


async def test_reflection_lists_the_services(stage: Servers, unbuilt_services: list[Registration]) -> None:
    server = await stage.serve(*unbuilt_services)
    stub = reflection_pb2_grpc.ServerReflectionStub(stage.plain_channel(server))

    async def ask() -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")

    answers = [answer async for answer in stub.ServerReflectionInfo(ask())]
    names = {service.name for service in answers[0].list_services_response.service}
    assert {NAME, "grpc.health.v1.Health"} <= names


async def test_port_in_use_is_an_error(stage: Servers, unbuilt_services: list[Registration]) -> None:
    server = await stage.serve(*unbuilt_services)
    with pytest.raises(OSError, match="cannot listen"):
        await stage.serve(*unbuilt_services, listen=f"127.0.0.1:{server.port}")
