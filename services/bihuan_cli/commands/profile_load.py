"""`bihuan profile load`: behaviour and attributes from a file into profiles."""

import json
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from bihuan.identity.v1.identity_pb2_grpc import IdentityServiceStub
from bihuan.profile.v1 import profile_pb2 as pb
from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceStub
from bihuan_cli.bulk.checkpoint import Checkpoint
from bihuan_cli.bulk.loading import load
from bihuan_cli.bulk.reading import Source, open_source
from bihuan_cli.bulk.rows import RowReader, check_columns
from bihuan_cli.bulk.sending import Sender
from bihuan_cli.commands.terminal import STATE, AsJson, State, console, fail, run
from bihuan_cli.stack.channel import service_channel
from bihuan_shared.errors import BihuanError

INTERRUPTED = 130

FileToLoad = Annotated[Path, typer.Argument(metavar="FILE", help="CSV (UTF-8, with a header) or Parquet.")]
Advertiser = Annotated[str, typer.Option(metavar="ID", help="Also private tags of this advertiser.")]
FromStart = Annotated[bool, typer.Option("--from-start", help="Do not go on where an interrupted load was.")]
Patience = Annotated[float, typer.Option(help="Seconds that a service may be away before the load gives up.", min=0)]


def load_from(
    file: FileToLoad,
    state: State = STATE,
    *,
    advertiser: Advertiser = "",
    from_start: FromStart = False,
    patience_s: Patience = 600.0,
    as_json: AsJson = False,
) -> None:
    """
    Load behaviour and attributes from FILE; an interrupted load goes on where it was.

    Rows that are not taken in go to FILE.rejected.csv (or .parquet) with their number, the field and the reason.
    """
    began_s = time.monotonic()
    try:
        source = open_source(file)
        check_columns(source.names)
        checkpoint = Checkpoint.open(file, source.fingerprint, from_start=from_start)
    except BihuanError as error:
        fail(error)
    skipped = checkpoint.progress.row
    if skipped:
        typer.echo(f"going on after row {skipped:,}; --from-start begins anew", err=True)
    try:
        run(_load(state, source, checkpoint, patience_s, advertiser))
    except KeyboardInterrupt:
        typer.echo(f"interrupted after row {checkpoint.progress.row:,}; the same command goes on there", err=True)
        raise typer.Exit(INTERRUPTED) from None
    rejected = checkpoint.finish(as_parquet=source.is_parquet)
    _report(checkpoint, skipped, rejected, time.monotonic() - began_s, as_json=as_json)


async def _load(state: Path, source: Source, checkpoint: Checkpoint, patience_s: float, advertiser: str) -> None:
    async with service_channel(state, "identity") as identity, service_channel(state, "profile") as profiles:
        stub = ProfileServiceStub(profiles)
        tags = (await stub.ListTags(pb.ListTagsRequest(advertiser_id=advertiser))).tags
        reader = RowReader({tag.name: tag.type for tag in tags if tag.type != pb.TAG_TYPE_INTEREST and not tag.derived})
        sender = Sender(IdentityServiceStub(identity), stub, patience_s=patience_s)
        with _progress() as display:
            done = checkpoint.progress
            task = display.add_task("loading", total=source.size, rows=done.row, rejected=done.rejected, rate=0)
            began_s, first = time.monotonic(), done.row

            def on_progress(end: int) -> None:
                rate = (done.row - first) / max(1e-3, time.monotonic() - began_s)
                display.update(task, completed=end, rows=done.row, rejected=done.rejected, rate=rate)

            await load(source, reader, sender, checkpoint, on_progress)


def _report(checkpoint: Checkpoint, skipped: int, rejected: Path | None, took_s: float, *, as_json: bool) -> None:
    done = checkpoint.progress
    per_s = round((done.row - skipped) / took_s) if took_s else 0
    if as_json:
        figures = {
            "rows": done.row,
            "resumed_after_row": skipped,
            "accepted": done.accepted,
            "duplicates": done.duplicates,
            "attributes": done.attributes,
            "changed_attributes": done.changed_attributes,
            "rejected": done.rejected,
            "rejected_file": None if rejected is None else str(rejected),
            "duration_s": round(took_s, 3),
            "rows_per_s": per_s,
        }
        typer.echo(json.dumps(figures))
        return
    console.print(
        f"{done.row:,} rows in {took_s:.1f} s ({per_s:,} a second): {done.accepted:,} events accepted, "
        f"{done.duplicates:,} known before, {done.attributes:,} attributes ({done.changed_attributes:,} changed)"
    )
    if rejected is not None:
        console.print(f"[yellow]{done.rejected:,} rows were not taken in; see {rejected}[/]", highlight=False)


def _progress() -> Progress:
    """On the error stream, so that what is printed stays clean."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rows]:,} rows, {task.fields[rejected]:,} rejected, {task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)
