"""`bihuan identity rebuild`: fill identity's index anew from its database."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from bihuan_cli.commands.terminal import STATE, AsJson, State, console, run
from bihuan_cli.stack.layout import RunningStack, StateFolder, service_setting
from bihuan_identity.index_store import DEFAULT_BUCKETS
from bihuan_identity.rebuild import Rebuilt, rebuild_index
from bihuan_shared.errors import FailedPrecondition

POSITION = "rebuild.position"
"""Where in identity's folder an interrupted rebuild left off."""
_KEY_SPACE = 1 << 64
_BUCKETS = "BIHUAN_IDENTITY_INDEX_BUCKETS"

Clear = Annotated[bool, typer.Option("--clear", help="Forget what is indexed first; for another number of buckets.")]
FromStart = Annotated[bool, typer.Option("--from-start", help="Do not go on where an interrupted rebuild was.")]
Buckets = Annotated[int, typer.Option(help="Buckets a tag, as the servers have them.", envvar=_BUCKETS, min=1)]


def rebuild(
    state: State = STATE,
    *,
    clear: Clear = False,
    from_start: FromStart = False,
    buckets: Buckets = DEFAULT_BUCKETS,
    as_json: AsJson = False,
) -> None:
    """
    Fill the index of identifiers from identity's database, while servers run or not.

    Of the stack that runs on the state folder, or of BIHUAN_DATABASE_URL and BIHUAN_REDIS_URL.
    """
    position = StateFolder(state.resolve()).service("identity") / POSITION
    began_s = time.monotonic()
    after_key = b"" if from_start or clear or not position.exists() else bytes.fromhex(position.read_text())
    position.parent.mkdir(parents=True, exist_ok=True)
    if after_key:
        typer.echo("going on where an interrupted rebuild was; --from-start begins anew", err=True)
    with _progress() as progress:
        task = progress.add_task("indexing", total=_KEY_SPACE, count=0)

        def on_page(done: Rebuilt) -> None:
            draft = position.with_suffix(".new")
            draft.write_text(done.position.hex())
            draft.replace(position)
            # Keys are hashes, so how far into their space it is tells how much is done.
            progress.update(task, completed=int.from_bytes(done.position[:8], "big"), count=f"{done.read_count:,}")

        done = run(_fill(state, buckets=buckets, clear=clear, after_key=after_key, on_page=on_page))
        progress.update(task, completed=_KEY_SPACE)
    position.unlink(missing_ok=True)
    _report(done, time.monotonic() - began_s, as_json=as_json)


async def _fill(
    state: Path, *, buckets: int, clear: bool, after_key: bytes, on_page: Callable[[Rebuilt], None]
) -> Rebuilt:
    database_url, redis_url = _stores(state)
    return await rebuild_index(
        database_url, redis_url, buckets=buckets, clear=clear, after_key=after_key, on_page=on_page
    )


def _report(done: Rebuilt, took_s: float, *, as_json: bool) -> None:
    per_s = round(done.read_count / took_s) if took_s else 0
    if as_json:
        figures = {"identifiers": done.read_count, "added": done.added_count, "per_s": per_s, "duration_s": took_s}
        console.print_json(json.dumps(figures))
    else:
        console.print(
            f"{done.read_count:,} identifiers read, {done.added_count:,} added in {took_s:.1f} s: {per_s:,} a second"
        )


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}"), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _stores(state: Path) -> tuple[str, str]:
    """The database of identity and the engine of its index. Raises FailedPrecondition where nothing names them."""
    folder = StateFolder(state.resolve())
    running = RunningStack.read(folder.stack)
    database = folder.service("identity") / "identity.db"
    database_url = service_setting("identity", "DATABASE_URL") or (
        f"sqlite:///{database}" if database.exists() else None
    )
    redis_url = service_setting("identity", "REDIS_URL") or (running.redis_url if running is not None else None)
    if database_url is None or redis_url is None:
        raise FailedPrecondition(f"no stack runs on {state}, and BIHUAN_DATABASE_URL and BIHUAN_REDIS_URL name none")
    return database_url, redis_url
