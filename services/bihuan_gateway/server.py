"""The HTTP server process: bind, serve, drain."""

import asyncio
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import uvicorn
import uvloop
from fastapi import FastAPI

from bihuan_gateway.app import build
from bihuan_gateway.settings import Settings
from bihuan_shared import logging, metrics, telemetry
from bihuan_shared.memory import settle_memory
from bihuan_shared.rpc.server import write_port_file

_log = structlog.stdlib.get_logger(__name__)
_BACKLOG = 2048
_KEEP_ALIVE_S = 75


class _Server(uvicorn.Server):
    """Uvicorn whose end is decided here: it would raise the signal again after draining."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bind(listen: str) -> socket.socket:
    """Bind `host:port`; port 0 lets the system choose (OSError where it is taken)."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((host, int(port)))
    return bound


def with_public_url(settings: Settings, bound: socket.socket) -> Settings:
    """Fill the public URL from the bound address where the settings have none."""
    if settings.public_url:
        return settings
    host, port = bound.getsockname()[:2]
    name = f"[{host}]" if ":" in host else host
    return settings.model_copy(update={"public_url": f"http://{name}:{port}"})


async def serve(settings: Settings, stop: asyncio.Event) -> bool:
    """Serve until `stop` is set or something fails; return whether it failed."""
    bound = bind(settings.listen)
    try:
        app = build(with_public_url(settings, bound))
        config = uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=int(settings.drain_s),
        )
        return await _until_stopped(app, _Server(config), bound, settings, stop)
    finally:
        bound.close()


async def _until_stopped(
    app: FastAPI, server: _Server, bound: socket.socket, settings: Settings, stop: asyncio.Event
) -> bool:
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    if serving.done():
        serving.exception()
        return True
    settle_memory()
    if settings.port_file is not None:
        write_port_file(settings.port_file, bound.getsockname()[1])
    waits = [asyncio.create_task(stop.wait()), asyncio.create_task(app.state.failed.wait()), serving]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    failed = app.state.failed.is_set() or serving.done()
    for wait in waits[:2]:
        wait.cancel()
    _log.info("draining", grace_s=settings.drain_s)
    server.should_exit = True
    await serving
    return failed


async def _serve_until_signal(settings: Settings) -> bool:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return await serve(settings, stop)


def run(settings: Settings) -> None:
    """Run a gateway process; exits with 1 where starting or a background task fails."""
    logging.configure(settings.log_level, service="gateway")
    telemetry.configure("bihuan-gateway")
    if settings.metrics_port is not None:
        metrics.start_metrics_server(settings.metrics_port)
    try:
        failed = uvloop.run(_serve_until_signal(settings))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the last place that can say why
        _log.error("the gateway could not start or stop", exc_info=error)
        failed = True
    finally:
        telemetry.shutdown()
    if failed:
        sys.exit(1)
