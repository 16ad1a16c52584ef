"""`bihuan profile export`: what may be told of everyone into a file."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import Progress, TextColumn

from bihuan.common.v1 import common_pb2
from bihuan.profile.v1 import profile_pb2 as pb
from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceStub
from bihuan_cli.bulk.exporting import export
from bihuan_cli.commands.terminal import STATE, AsJson, State, console, run
from bihuan_cli.stack.channel import service_channel

INTERRUPTED = 130
SCAN_TIMEOUT_S = 24 * 3_600.0

FileToWrite = Annotated[Path, typer.Argument(metavar="FILE", help="Parquet by its ending, else CSV.")]
Purpose = Annotated[
    Literal["targeting", "personalisation", "measurement", "insight"],
    typer.Option(help="What for; what may not be used for that is left out."),
]
Advertisers = Annotated[
    list[str] | None, typer.Option("--advertiser", metavar="ID", help="Whose private tags are told too; repeatable.")
]


def export_to(
    file: FileToWrite,
    purpose: Purpose,
    state: State = STATE,
    *,
    advertiser: Advertisers = None,
    as_json: AsJson = False,
) -> None:
    """Write everything that may be told of everyone to FILE, one row a fact; the social class is never told."""
    began_s = time.monotonic()
    try:
        persons, lines = run(_export(state, file, purpose, advertiser or []))
    except KeyboardInterrupt:
        typer.echo("interrupted; nothing was written", err=True)
        raise typer.Exit(INTERRUPTED) from None
    took_s = time.monotonic() - began_s
    if as_json:
        typer.echo(json.dumps({"persons": persons, "rows": lines, "duration_s": round(took_s, 3)}))
    else:
        console.print(f"{persons:,} persons, {lines:,} rows in {took_s:.1f} s: {file}", highlight=False)


async def _export(state: Path, file: Path, purpose: str, advertisers: Sequence[str]) -> tuple[int, int]:
    async with service_channel(state, "profile") as channel:
        number = common_pb2.Purpose.Value(f"PURPOSE_{purpose.upper()}")
        answers = ProfileServiceStub(channel).ScanProfiles(
            pb.ScanProfilesRequest(purpose=number, advertiser_ids=advertisers), timeout=SCAN_TIMEOUT_S
        )
        with Progress(TextColumn("exporting: {task.completed:,} persons"), console=Console(stderr=True)) as display:
            task = display.add_task("exporting", total=None)
            return await export(answers, file, lambda persons: display.update(task, completed=persons))
