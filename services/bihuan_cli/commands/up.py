"""`bihuan up`: everything on this machine until Ctrl-C."""

import asyncio
import signal
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bihuan_cli.stack.local import LocalStack, local_stack


async def run_until_stopped(state: Path, clock: str, port: int | None, console: Console) -> None:
    """Bring the stack up, tell where it is, wait for SIGINT or SIGTERM, and take it down."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    console.print("starting …")
    async with local_stack(state, clock=clock, gateway_port=port, say=console.print) as stack:
        console.print(_addresses(stack))
        console.print("Ctrl-C stops everything; the state stays.")
        await stopped.wait()
        console.print("stopping …")


def _addresses(stack: LocalStack) -> Table:
    table = Table("what", "where", title="Bihuan is up", show_lines=False)
    table.add_row("gateway", stack.running.gateway_url)
    table.add_row("API docs", f"{stack.running.gateway_url}/docs")
    for name, target in stack.running.targets.items():
        table.add_row(f"{name} (gRPC)", target)
    table.add_row("development key", stack.secrets.admin_key)
    table.add_row("state and logs", str(stack.folder.root))
    return table
