"""A real server as a process that starts in a tenth of a second and may die at any moment."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Generic, Self, TypeVar

import grpc

from bihuan_shared.callers import Credential, Role, secret_sha256
from bihuan_shared.embedded import tied_to_parent
from bihuan_shared.failpoints import VARIABLE as FAILPOINT
from bihuan_shared.rpc.client import open_channel

T = TypeVar("T")
S = TypeVar("S")

SECRET = "secret of the load"  # noqa: S105 - of a server that lives as long as this script
START_TIMEOUT_S = 30.0
DYING_S = 0.05
POLL_S = 0.005


class DiedError(Exception):
    """The server is dead; what was asked may have been done or not."""


def load_caller() -> str:
    """The setting that lets this script call."""
    return json.dumps([asdict(Credential("load", Role.INTERNAL, secret_sha256(SECRET)))])


class ServiceForks:
    """Where servers are forked from; one import for all of them."""

    def __init__(self, service: str) -> None:
        self.service = service
        script = str(Path(__file__).with_name("service_life.py"))
        self._process = subprocess.Popen(  # noqa: S603 - our own script
            tied_to_parent([sys.executable, script, service]), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def fork(self, environment: Mapping[str, str], log: Path) -> int:
        """Fork a server with these settings and return its pid."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"environment": dict(environment), "log": str(log)}) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End, and every server with it."""
        self._process.communicate()


class ServiceProcess(Generic[S]):
    """One life of the server, and a stub to call it by."""

    stub_type: Callable[[grpc.aio.Channel], S]

    def __init__(self, pid: int, service: str) -> None:
        self.pid = pid
        self.stub: S
        self._service = service
        self._channel: grpc.aio.Channel | None = None
        self._death: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            self._pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            self._pidfd = -1
            self._death.set_result(None)
        else:
            asyncio.get_running_loop().add_reader(self._pidfd, self._note_death)

    @classmethod
    async def start(
        cls, forks: ServiceForks, environment: Mapping[str, str], log: Path, failpoint: str | None = None
    ) -> Self:
        """Start one and wait until it serves, or is dead already. With `failpoint` it dies there."""
        port_file = log.with_suffix(".port")
        port_file.unlink(missing_ok=True)
        own = {**environment, f"BIHUAN_{forks.service.upper()}_PORT_FILE": str(port_file)}
        if failpoint is not None:
            own[FAILPOINT] = failpoint
        server = cls(forks.fork(own, log), forks.service)
        async with asyncio.timeout(START_TIMEOUT_S):
            while not port_file.exists() and not server.is_dead:
                await asyncio.sleep(POLL_S)
        server._connect(int(port_file.read_text()) if port_file.exists() else 1)
        return server

    @property
    def is_dead(self) -> bool:
        """Whether the process has ended."""
        return self._death.done()

    async def call(self, method: Callable[..., Awaitable[T]], request: object, timeout_s: float = 30.0) -> T:
        """Call an RPC of the stub. Raises DiedError where the process ends first, else what the call raises."""
        task = asyncio.ensure_future(_finish(method(request, timeout=timeout_s)))
        await asyncio.wait((task, self._death), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))
            raise DiedError
        if task.exception() is not None:
            # A dying process breaks its connections a moment before it can be seen to be dead.
            await asyncio.wait((self._death,), timeout=DYING_S)
            if self.is_dead:
                raise DiedError
        return task.result()

    async def end(self) -> None:
        """End it at whatever it is doing."""
        if not self.is_dead:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            await asyncio.wait((self._death,))

    async def stop(self) -> None:
        """End it, however it is, and drop the connection."""
        await self.end()
        if self._pidfd >= 0:
            os.close(self._pidfd)
        if self._channel is not None:
            await self._channel.close()

    def _connect(self, port: int) -> None:
        self._channel = open_channel(f"127.0.0.1:{port}", secret=SECRET, service=self._service)
        self.stub = type(self).stub_type(self._channel)

    def _note_death(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        self._death.set_result(None)


async def _finish(call: Awaitable[T]) -> T:
    return await call
