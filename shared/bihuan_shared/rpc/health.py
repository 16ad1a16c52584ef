"""Health as `grpc.health.v1` wants it: NOT_SERVING when a store is lost, and before a drain."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bihuan_shared import metrics

POLL_INTERVAL_S = 1.0
POLL_TIMEOUT_S = 1.0

_log = structlog.get_logger("bihuan.health")
_Context = grpc.aio.ServicerContext[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse]
_Status = health_pb2.HealthCheckResponse


class HealthService(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # the library is not typed
    """
    Standard health that follows `ready`, for the server ("") and for each of its services by name.

    The library's own servicer never ends a watch, and every open one would hold a drain up for its whole grace.
    """

    def __init__(self, name: str, service_names: Sequence[str], ready: Callable[[], Awaitable[bool]]) -> None:
        self._name = name
        self._service_names = frozenset(("", *service_names))
        self._ready = ready
        self._serving: bool | None = None
        self._draining = False
        self._changed = asyncio.Event()

    async def Check(self, request: health_pb2.HealthCheckRequest, context: _Context) -> health_pb2.HealthCheckResponse:  # noqa: N802  # the contract's name
        """The state now; NOT_FOUND for a service that is not here."""
        if request.service not in self._service_names:
            await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such service here")
        return _Status(status=self._status(request.service))

    async def Watch(  # noqa: N802  # the contract's name
        self, request: health_pb2.HealthCheckRequest, _context: _Context
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """The state now and whenever it changes, until the client leaves or the server drains."""
        told = None
        while True:
            changed, status = self._changed, self._status(request.service)
            if status != told:
                yield _Status(status=status)
                told = status
            if self._draining:
                return
            await changed.wait()

    async def poll(self) -> None:
        """Asks `ready` once, within a second, and tells what it said; an error counts as no."""
        try:
            async with asyncio.timeout(POLL_TIMEOUT_S):
                serving = await self._ready()
        except Exception as error:  # noqa: BLE001  # whatever fails here, the service is not ready
            serving = False
            _log.warning("readiness check failed", error=type(error).__name__)
        if not self._draining:
            self._tell(serving=serving)

    async def follow(self) -> None:
        """Polls about once a second, for ever."""
        while True:
            await asyncio.sleep(POLL_INTERVAL_S)
            await self.poll()

    def drain(self) -> None:
        """NOT_SERVING for good; watchers are told and let go."""
        self._draining = True
        self._tell(serving=False)
        self._wake()

    def _status(self, service: str) -> "health_pb2.HealthCheckResponse.ServingStatus":
        if service not in self._service_names:
            return _Status.SERVICE_UNKNOWN
        return _Status.SERVING if self._serving else _Status.NOT_SERVING

    def _tell(self, *, serving: bool) -> None:
        if serving is self._serving:
            return
        self._serving = serving
        metrics.READY.labels(self._name).set(int(serving))
        _log.info("health changed", serving=serving)
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
