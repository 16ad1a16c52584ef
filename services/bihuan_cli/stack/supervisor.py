"""Keeps the processes of a stack running: starts, watches, restarts and ends them."""

import asyncio
import contextlib
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from bihuan_cli.stack.plan import ProcessPlan
from bihuan_shared.embedded import tied_to_parent

FIRST_BACKOFF_S = 0.2
LAST_BACKOFF_S = 5.0
STEADY_AFTER_S = 30.0
STOP_GRACE_S = 8.0


class Supervisor:
    """Runs one process a plan, and starts it again when it dies."""

    def __init__(
        self,
        plans: Sequence[ProcessPlan],
        *,
        log_path: Callable[[str], Path],
        on_change: Callable[[], None],
        on_death: Callable[[str, int], None],
    ) -> None:
        self._plans = plans
        self._log_path = log_path
        self._on_change = on_change
        self._on_death = on_death
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._watchers: list[asyncio.Task[None]] = []
        self._stopping = False

    @property
    def pids(self) -> dict[str, int]:
        """Pid by process name, of those that run now."""
        return {name: process.pid for name, process in self._running.items()}

    def start(self) -> None:
        """Start every process and begin to watch it. Call from the main thread, inside the event loop."""
        for plan in self._plans:
            self._spawn(plan)
        self._on_change()
        self._watchers = [asyncio.create_task(self._watch(plan), name=f"watch-{plan.name}") for plan in self._plans]

    async def stop(self) -> None:
        """End every process by pid: first the gateway, then the services behind it, with SIGKILL after the grace."""
        self._stopping = True
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        front = [name for name in self._running if name == "gateway"]
        behind = [name for name in self._running if name != "gateway"]
        for group in (front, behind):
            await asyncio.gather(*(self._end(self._running[name]) for name in group))
        self._running.clear()

    def _spawn(self, plan: ProcessPlan) -> None:
        path = self._log_path(plan.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as log:
            # The command is this interpreter with a module of this project; nothing of it comes from outside.
            self._running[plan.name] = subprocess.Popen(  # noqa: S603
                tied_to_parent(plan.command),
                env=dict(plan.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    async def _watch(self, plan: ProcessPlan) -> None:
        loop = asyncio.get_running_loop()
        backoff_s = FIRST_BACKOFF_S
        while True:
            started_s = loop.time()
            code = await self._exit_code(self._running[plan.name])
            if self._stopping:
                return
            self._on_death(plan.name, code)
            if loop.time() - started_s > STEADY_AFTER_S:
                backoff_s = FIRST_BACKOFF_S
            await asyncio.sleep(backoff_s)
            backoff_s = min(LAST_BACKOFF_S, backoff_s * 2)
            self._spawn(plan)
            self._on_change()

    @staticmethod
    async def _exit_code(process: subprocess.Popen[bytes]) -> int:
        while (code := process.poll()) is None:
            await asyncio.sleep(0.1)
        return code

    async def _end(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is not None:
            return
        process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._exit_code(process), STOP_GRACE_S)
            return
        process.kill()
        await self._exit_code(process)
