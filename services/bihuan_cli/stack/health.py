"""Waits until services answer that they serve."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping

import grpc
import grpc.aio
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc


async def wait_serving(gateway_url: str, targets: Mapping[str, str], *, timeout_s: float) -> None:
    """
    Return when every gRPC service is SERVING and the gateway is ready.

    Raises TimeoutError, naming who is late.
    """
    late = {*targets, "gateway"}

    async def grpc_ready(name: str, target: str) -> None:
        await _until(lambda: _grpc_serves(target))
        late.discard(name)

    async def http_ready() -> None:
        await _until(lambda: _gateway_ready(gateway_url))
        late.discard("gateway")

    waits = [grpc_ready(name, target) for name, target in targets.items()]
    try:
        async with asyncio.timeout(timeout_s):
            await asyncio.gather(http_ready(), *waits)
    except TimeoutError:
        raise TimeoutError(f"not ready after {timeout_s:.0f} s: {', '.join(sorted(late))}") from None


async def _until(probe: Callable[[], Awaitable[bool]]) -> None:
    while not await probe():
        await asyncio.sleep(0.1)


async def _grpc_serves(target: str) -> bool:
    async with grpc.aio.insecure_channel(target) as channel:
        with contextlib.suppress(grpc.aio.AioRpcError):
            answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=1.0)
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
    return False


async def _gateway_ready(url: str) -> bool:
    async with httpx.AsyncClient() as client:
        with contextlib.suppress(httpx.HTTPError):
            return (await client.get(f"{url}/readyz", timeout=1.0)).status_code == httpx.codes.OK
    return False
