"""`bihuan profile communities`: find communities in consented relations."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from bihuan_cli.commands.terminal import STATE, AsJson, State, console, run
from bihuan_cli.stack.layout import RunningStack, StateFolder, service_setting
from bihuan_shared.errors import FailedPrecondition

if TYPE_CHECKING:
    from bihuan_profile.communities import Found

Seed = Annotated[int, typer.Option(help="The same relations and seed give the same partition.")]


def communities(state: State = STATE, *, seed: Seed = 0, as_json: AsJson = False) -> None:
    """
    Find communities in consented relations and write each person's into its profile, while servers run.

    Of the stack that runs on the state folder, or of BIHUAN_REDIS_URL and BIHUAN_LAKE_URL.
    """
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("profiles", total=None)
        found = run(_find(state, seed, lambda done, total: progress.update(task, completed=done, total=total)))
    if as_json:
        console.print_json(json.dumps(asdict(found)))
    else:
        console.print(
            f"{found.edges:,} relations of {found.persons:,} persons make {found.communities:,} communities"
            f" (modularity {found.modularity:.2f}); {found.changed:,} profiles changed"
        )


async def _find(state: Path, seed: int, on_progress: Callable[[int, int], None]) -> "Found":
    # The graph library is for this command alone; no other waits for it.
    from bihuan_profile.communities import find_communities  # noqa: PLC0415

    redis_url, lake_url = stores(state)
    now_us = time.time_ns() // 1_000
    return await find_communities(redis_url, lake_url, now_us, seed=seed, on_progress=on_progress)


def stores(state: Path) -> tuple[str, str]:
    """The engine and the lake of profile. Raises FailedPrecondition where nothing names them."""
    folder = StateFolder(state.resolve())
    running = RunningStack.read(folder.stack)
    redis_url = service_setting("profile", "REDIS_URL") or (running.redis_url if running is not None else None)
    lake_url = service_setting("profile", "LAKE_URL") or (str(folder.lake) if running is not None else None)
    if redis_url is None or lake_url is None:
        raise FailedPrecondition(f"no stack runs on {state}, and BIHUAN_REDIS_URL and BIHUAN_LAKE_URL name none")
    return redis_url, lake_url
