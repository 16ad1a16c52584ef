"""What every command shares: the console, common options, and how an error of the platform ends a command."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import typer
from rich.console import Console

from bihuan_shared.errors import BihuanError

_T = TypeVar("_T")

State = Annotated[Path, typer.Option(help="Folder that everything is kept in.", envvar="BIHUAN_STATE_DIR")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
STATE = Path(".bihuan")
console = Console()


def run(work: Coroutine[object, object, _T]) -> _T:
    """Run to the end; an error of the platform is printed and ends with 1, without a trace."""
    try:
        return asyncio.run(work)
    except BaseExceptionGroup as group:
        known = group.subgroup(BihuanError)
        if known is None:
            raise
        error: BaseException = known
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        fail(error)
    except (BihuanError, TimeoutError) as error:
        fail(error)


def fail(error: BaseException) -> NoReturn:
    """Print what went wrong and end with 1."""
    console.print(f"[red]error:[/] {error}", highlight=False)
    raise typer.Exit(1)
