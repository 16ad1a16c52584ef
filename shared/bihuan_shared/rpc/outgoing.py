"""What happens around every outgoing call: what it carries, how often it is tried, and what its failure becomes."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Generator
from dataclasses import dataclass, field
from typing import Protocol

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import MethodOptions

from bihuan_shared import metrics, telemetry
from bihuan_shared.clock import REPLAY_TIME_KEY, format_rfc3339, replay_time_us
from bihuan_shared.errors import BihuanError, Unavailable
from bihuan_shared.rpc.deadline import next_hop_timeout_s
from bihuan_shared.rpc.retry import MAX_RETRIES, RetryBudget, backoff_s
from bihuan_shared.rpc.status import from_rpc_error, grpc_code

_REPEATABLE = (MethodOptions.NO_SIDE_EFFECTS, MethodOptions.IDEMPOTENT)


class Pending(Protocol):
    """A call under way, as the library gives it: awaited or iterated, by its kind."""

    def __await__(self) -> Generator[object, None, object]:
        """The one answer."""
        ...

    def __aiter__(self) -> AsyncIterator[object]:
        """The answers as they come."""
        ...

    def cancel(self) -> bool:
        """Ends the call, if it has not ended."""
        ...


class Starter(Protocol):
    """Starts a call of one method on the wire."""

    def __call__(self, request: object, *, timeout: float, metadata: tuple[tuple[str, str], ...]) -> Pending:
        """The call under way."""
        ...


@dataclass(slots=True)
class Peer:
    """The called service, and what its calls share."""

    service: str
    secret: str = field(repr=False)
    randomness: random.Random
    budget: RetryBudget = field(default_factory=RetryBudget)


class Link:
    """One method of a peer."""

    def __init__(self, path: str, start: Starter, peer: Peer) -> None:
        name = path.removeprefix("/")
        service, _, method = name.rpartition("/")
        self._name = name
        self._start = start
        self._peer = peer
        self._authorization = ("authorization", f"Bearer {peer.secret}")
        self._may_repeat = _may_repeat(service, method)
        self._duration = metrics.RPC_CLIENT_DURATION.labels(name)
        self._counts = {code: metrics.RPC_CLIENT_REQUESTS.labels(name, code.name) for code in grpc.StatusCode}
        self._retries = metrics.RPC_CLIENT_RETRIES.labels(peer.service)
        self._attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}

    async def ask(
        self,
        request: object,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  # the name that stubs are called with
        metadata: tuple[tuple[str, str], ...] = (),
    ) -> object:
        """One message there, one back. Raises BihuanError."""
        return await self._measured(request, timeout, metadata, may_repeat=self._may_repeat)

    async def send_stream(
        self,
        request: object,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  # the name that stubs are called with
        metadata: tuple[tuple[str, str], ...] = (),
    ) -> object:
        """Many messages there, one back; never repeated, because the messages are gone. Raises BihuanError."""
        return await self._measured(request, timeout, metadata, may_repeat=False)

    async def receive_stream(
        self,
        request: object,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  # the name that stubs are called with
        metadata: tuple[tuple[str, str], ...] = (),
    ) -> AsyncIterator[object]:
        """Many messages back; never repeated, because some have been seen. Raises BihuanError."""
        started = time.perf_counter()
        code = grpc.StatusCode.CANCELLED
        pending: Pending | None = None
        try:
            with telemetry.client_span(self._name, self._attributes):
                carried = self._carried(metadata)
            pending = self._start(request, timeout=next_hop_timeout_s(timeout), metadata=carried)
            async for message in pending:
                yield message
            code = grpc.StatusCode.OK
        except (grpc.aio.AioRpcError, asyncio.CancelledError) as failure:
            error = _translated(failure)
            code = grpc_code(error)
            raise error from failure
        finally:
            if pending is not None:
                pending.cancel()
            self._note(code, started)

    async def _measured(
        self, request: object, timeout_s: float | None, metadata: tuple[tuple[str, str], ...], *, may_repeat: bool
    ) -> object:
        started = time.perf_counter()
        code = grpc.StatusCode.CANCELLED
        self._peer.budget.earn()
        try:
            if telemetry.tracer() is None:
                answer = await self._tried(request, timeout_s, metadata, may_repeat=may_repeat)
            else:
                with telemetry.client_span(self._name, self._attributes):
                    answer = await self._tried(request, timeout_s, metadata, may_repeat=may_repeat)
            code = grpc.StatusCode.OK
        except BihuanError as error:
            code = grpc_code(error)
            raise
        finally:
            self._note(code, started)
        return answer

    async def _tried(
        self, request: object, timeout_s: float | None, metadata: tuple[tuple[str, str], ...], *, may_repeat: bool
    ) -> object:
        carried = self._carried(metadata)
        end = time.monotonic() + next_hop_timeout_s(timeout_s)
        attempt = 0
        while True:
            try:
                return await self._start(request, timeout=max(0.0, end - time.monotonic()), metadata=carried)
            except (grpc.aio.AioRpcError, asyncio.CancelledError) as failure:
                error = _translated(failure)
                if not may_repeat or attempt >= MAX_RETRIES or not isinstance(error, Unavailable):
                    raise error from failure
                pause_s = backoff_s(attempt, self._peer.randomness)
                if end - time.monotonic() <= pause_s or not self._peer.budget.spend():
                    raise error from failure
            attempt += 1
            self._retries.inc()
            await asyncio.sleep(pause_s)

    def _carried(self, metadata: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        carried = (*metadata, self._authorization, (telemetry.TRACEPARENT, telemetry.current_traceparent()))
        time_us = replay_time_us()
        return carried if time_us is None else (*carried, (REPLAY_TIME_KEY, format_rfc3339(time_us)))

    def _note(self, code: grpc.StatusCode, started: float) -> None:
        self._counts[code].inc()
        self._duration.observe(time.perf_counter() - started)


def _translated(failure: grpc.aio.AioRpcError | asyncio.CancelledError) -> BihuanError:
    if isinstance(failure, grpc.aio.AioRpcError):
        return from_rpc_error(failure)
    task = asyncio.current_task()
    if task is None or task.cancelling():
        raise failure
    # The library raises the cancellation of a call by its server as if this task had been cancelled.
    return Unavailable("the service ended the call")


def _may_repeat(service: str, method: str) -> bool:
    try:
        descriptor = descriptor_pool.Default().FindServiceByName(service)
    except KeyError:
        return False
    found = descriptor.methods_by_name.get(method)
    return found is not None and found.GetOptions().idempotency_level in _REPEATABLE
