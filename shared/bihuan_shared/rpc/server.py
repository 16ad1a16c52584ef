"""The one server assembly: what turns a service's servicers into a process that serves, reports health and drains."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
import structlog
import uvloop
from google.protobuf import descriptor_pool
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from bihuan_shared import logging, metrics, telemetry
from bihuan_shared.callers import CallerRegistry
from bihuan_shared.clock import Clock, clock_from
from bihuan_shared.memory import settle_memory
from bihuan_shared.person_tokens import PersonTokens
from bihuan_shared.rpc.health import HealthService
from bihuan_shared.rpc.identity_tokens import IdentityTokens
from bihuan_shared.rpc.pipeline import Runtime, wrap
from bihuan_shared.settings import ServerSettings

MAX_MESSAGE_BYTES = 32 * 1024 * 1024
_HEALTH_NAME = "grpc.health.v1.Health"
_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),  # two servers on one port are a mistake, and must fail
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
)

_log = structlog.get_logger("bihuan.server")

Registration = tuple[object, Callable[..., None], str]
"""A servicer, its `add_XServicer_to_server` (which takes the servicer and a server), and the service's full name."""


async def _nothing() -> None:
    """What a service without resources closes."""


@dataclass(frozen=True, slots=True)
class ServiceApp:
    """
    A service, wired and ready to be served.

    `ready` is polled about once a second within a second's time; False makes health NOT_SERVING. `background` tasks
    run as long as the server; one that fails ends the process. `close` runs after the drain. `tokens` translates for
    partners; a service that leaves it out asks identity, where settings say where that is.
    """

    name: str
    servicers: Sequence[Registration]
    ready: Callable[[], Awaitable[bool]]
    background: Sequence[tuple[str, Callable[[], Awaitable[None]]]] = ()
    close: Callable[[], Awaitable[None]] = _nothing
    tokens: PersonTokens | None = None


class _Registrar:
    """Stands in for the server while servicers register, and wraps each of their handlers once."""

    def __init__(self, server: grpc.aio.Server, runtime: Runtime) -> None:
        self._server = server
        self._runtime = runtime

    def add_generic_rpc_handlers(self, _handlers: object) -> None:
        """Generated code registers everything twice; the second form, by name, is the one that is served."""

    def add_registered_method_handlers(
        self, service_name: str, handlers: "Mapping[str, grpc.RpcMethodHandler[Message, Message]]"
    ) -> None:
        """Called by the generated `add_XServicer_to_server`."""
        service = descriptor_pool.Default().FindServiceByName(service_name)
        wrapped = {
            name: wrap(handler, service.methods_by_name[name], self._runtime) for name, handler in handlers.items()
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service_name, wrapped),))


class RunningServer:
    """A server that answers calls on `port`."""

    def __init__(
        self,
        app: ServiceApp,
        server: grpc.aio.Server,
        health: HealthService,
        port: int,
        remote_tokens: IdentityTokens | None = None,
    ) -> None:
        self.port = port
        self._remote_tokens = remote_tokens
        self._app = app
        self._server = server
        self._health = health
        self._tasks: list[asyncio.Task[None]] = []
        self._stopped = False
        self.failure: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        """Done once a background task has failed, with its exception."""

    def start_background(self) -> None:
        """Starts the polling of `ready` and the tasks of the service."""
        for name, run_task in (("health", self._health.follow), *self._app.background):
            task = asyncio.create_task(_as_coroutine(run_task), name=f"{self._app.name}:{name}")
            task.add_done_callback(self._note_end)
            self._tasks.append(task)

    async def stop(self, grace_s: float = 5.0) -> None:
        """NOT_SERVING, then no new calls and `grace_s` for those in flight, then background tasks, then `close`."""
        if self._stopped:
            return
        self._stopped = True
        self._health.drain()
        await self._server.stop(grace_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._remote_tokens is not None:
            await self._remote_tokens.close()
        await self._app.close()

    def _note_end(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not self.failure.done():
            _log.error("background task failed", task=task.get_name(), exc_info=error)
            self.failure.set_result(error)


def _as_coroutine(run_task: Callable[[], Awaitable[None]]) -> Coroutine[None, None, None]:
    async def await_it() -> None:
        await run_task()

    return await_it()


def server_credentials(_settings: ServerSettings) -> grpc.ServerCredentials | None:
    """How the listening port is secured; None means plain text, for loopback and meshes that encrypt themselves."""
    return None


async def start_server(app: ServiceApp, settings: ServerSettings, clock: Clock) -> RunningServer:
    """
    Binds, starts and answers calls; `settings.listen` with port 0 binds a free one.

    `clock` decides whether callers may state a replay time. Raises OSError where the address cannot be bound.
    """
    server = grpc.aio.server(options=_OPTIONS)
    remote_tokens = _remote_tokens(app, settings)
    tokens = app.tokens or remote_tokens
    runtime = Runtime(CallerRegistry(settings.callers), clock, settings.max_concurrent_calls, tokens)
    registrar = _Registrar(server, runtime)
    names = tuple(name for _, _, name in app.servicers)
    for servicer, add, _ in app.servicers:
        add(servicer, registrar)
    health = HealthService(app.name, names, app.ready)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    reflection.enable_server_reflection((*names, _HEALTH_NAME, reflection.SERVICE_NAME), server)
    port = _bind(server, settings)
    await health.poll()
    await server.start()
    running = RunningServer(app, server, health, port, remote_tokens)
    running.start_background()
    _log.info("serving", service=app.name, port=port)
    return running


def _remote_tokens(app: ServiceApp, settings: ServerSettings) -> IdentityTokens | None:
    if app.tokens is not None or not settings.identity_target:
        return None
    return IdentityTokens.connect(settings.identity_target, settings.caller_secret.get_secret_value())


def _bind(server: grpc.aio.Server, settings: ServerSettings) -> int:
    credentials = server_credentials(settings)
    try:
        if credentials is None:
            port = server.add_insecure_port(settings.listen)
        else:
            port = server.add_secure_port(settings.listen, credentials)
    except RuntimeError as error:
        raise OSError(f"cannot listen on {settings.listen}") from error
    if port == 0:
        raise OSError(f"cannot listen on {settings.listen}")
    return port


def run(build: Callable[[], Awaitable[ServiceApp]], settings: ServerSettings) -> None:
    """
    Serves until SIGTERM or SIGINT, then drains for up to `settings.drain_s`; a process's whole life.

    Exits with 1 where starting or a background task fails.
    """
    logging.configure(settings.log_level, service=settings.service_name())
    telemetry.configure(f"bihuan-{settings.service_name()}")
    try:
        failed = uvloop.run(_serve(build, settings))
    except Exception as error:  # noqa: BLE001  # the last place that can say why
        _log.error("the service could not start or stop", exc_info=error)
        failed = True
    finally:
        telemetry.shutdown()
    if failed:
        sys.exit(1)


async def _serve(build: Callable[[], Awaitable[ServiceApp]], settings: ServerSettings) -> bool:
    """Whether a background task failed."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    app = await build()
    if settings.metrics_port is not None:
        metrics.start_metrics_server(settings.metrics_port, settings.listen.rpartition(":")[0].strip("[]"))
    running = await start_server(app, settings, clock_from(settings.clock))
    if settings.port_file is not None:
        write_port_file(settings.port_file, running.port)
    settle_memory()
    signalled = asyncio.create_task(stop.wait())
    await asyncio.wait((signalled, running.failure), return_when=asyncio.FIRST_COMPLETED)
    signalled.cancel()
    _log.info("draining", service=app.name, grace_s=settings.drain_s)
    await running.stop(settings.drain_s)
    return running.failure.done()


def write_port_file(path: Path, port: int) -> None:
    """Writes the port so that a reader sees either the whole number or no file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(f"{port}\n")
    partial.replace(path)
