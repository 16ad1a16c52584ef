"""A whole stack on this machine: the embedded engine, the five services, and the file that tells where they are."""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from bihuan_cli.stack.engine import WatchedValkey
from bihuan_cli.stack.health import wait_serving
from bihuan_cli.stack.layout import RunningStack, StateFolder
from bihuan_cli.stack.plan import GRPC_SERVICES, Engines, ProcessPlan, plan_stack
from bihuan_cli.stack.secrets import StackSecrets, load_or_create
from bihuan_cli.stack.supervisor import Supervisor
from bihuan_shared.errors import FailedPrecondition

START_TIMEOUT_S = 90.0


class LocalStack:
    """Addresses and credentials of a stack that runs."""

    def __init__(self, folder: StateFolder, secrets: StackSecrets, running: RunningStack) -> None:
        self.folder = folder
        self.secrets = secrets
        self.running = running


@contextlib.asynccontextmanager
async def local_stack(
    root: Path,
    *,
    clock: str,
    gateway_port: int | None = None,
    overrides: Mapping[str, str] | None = None,
    say: Callable[[str], None],
) -> AsyncIterator[LocalStack]:
    """
    Bring a stack up, yield it when every service serves, and take it down on the way out.

    BIHUAN_REDIS_URL and BIHUAN_DATABASE_URL of the environment replace the embedded engines. Raises
    FailedPrecondition where another stack uses the folder, TimeoutError where a service does not come up.
    """
    folder = StateFolder(root.resolve())
    folder.root.mkdir(parents=True, exist_ok=True)

    def died(name: str, code: int) -> None:
        say(f"{name} ended with {code}; starting it again")

    with _exclusive(folder.lock), _valkey(folder, died) as valkey:
        secrets = load_or_create(folder.secrets)
        engines = _engines(folder, valkey)
        plans = plan_stack(
            folder, secrets, engines, clock=clock, inherited=os.environ, gateway_port=gateway_port, overrides=overrides
        )
        running = _describe(plans, clock, valkey)

        def publish() -> None:
            running.pids.clear()
            running.pids.update(supervisor.pids | ({"valkey": valkey.pid} if valkey is not None else {}))
            running.write(folder.stack)

        supervisor = Supervisor(plans, log_path=folder.log, on_change=publish, on_death=died)
        supervisor.start()
        watch = asyncio.create_task(valkey.watch(publish)) if valkey is not None else None
        try:
            await wait_serving(running.gateway_url, running.targets, timeout_s=START_TIMEOUT_S)
            yield LocalStack(folder, secrets, running)
        finally:
            if watch is not None:
                watch.cancel()
            await asyncio.shield(supervisor.stop())
            folder.stack.unlink(missing_ok=True)


def _describe(plans: Sequence[ProcessPlan], clock: str, valkey: WatchedValkey | None) -> RunningStack:
    ports = {plan.name: plan.port for plan in plans}
    return RunningStack(
        gateway_url=f"http://127.0.0.1:{ports['gateway']}",
        targets={name: f"127.0.0.1:{ports[name]}" for name in GRPC_SERVICES},
        clock=clock,
        supervisor_pid=os.getpid(),
        redis_url=None if valkey is None else valkey.url,
    )


@contextlib.contextmanager
def _valkey(folder: StateFolder, died: Callable[[str, int], None]) -> Iterator[WatchedValkey | None]:
    """The embedded engine, or none where the environment names another; it ends after everything that uses it."""
    if "BIHUAN_REDIS_URL" in os.environ:
        yield None
        return
    valkey = WatchedValkey(folder.valkey, on_death=died)
    try:
        yield valkey
    finally:
        valkey.stop()


def _engines(folder: StateFolder, valkey: WatchedValkey | None) -> Engines:
    return Engines(
        redis_url=valkey.url if valkey is not None else os.environ["BIHUAN_REDIS_URL"],
        database_url=os.environ.get("BIHUAN_DATABASE_URL"),
        lake_url=os.environ.get("BIHUAN_LAKE_URL", str(folder.lake)),
    )


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[TextIO]:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FailedPrecondition(f"another stack runs on {path.parent}") from None
        yield lock
