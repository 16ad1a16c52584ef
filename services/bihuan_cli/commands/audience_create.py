"""`bihuan audience create` and `expand`: a package, and one like it, with the progress of their building."""

import asyncio
import csv
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from bihuan_cli.api import GatewayClient
from bihuan_cli.commands.audience_answers import Audience, evidence_tables
from bihuan_cli.commands.data import running_client
from bihuan_cli.commands.terminal import STATE, AsJson, State, console, fail, run
from bihuan_shared.errors import FailedPrecondition, InvalidArgument

FIRST_WAIT_S: Final = 0.1
LAST_WAIT_S: Final = 2.0
MAX_MEMBERS: Final = 100_000
LIST_TIMEOUT_S: Final = 120.0
INTERRUPTED: Final = 130
_COLUMNS: Final = ("namespace", "value")

Name = Annotated[str, typer.Argument(metavar="ID", help="The audience's id.", show_default=False)]
Seed = Annotated[str, typer.Argument(metavar="SEED", help="The audience to resemble.", show_default=False)]
Owner = Annotated[str, typer.Option("--advertiser", help="Whose it is.")]
Title = Annotated[str, typer.Option("--name", help="A name for people; the id by default.")]
Text = Annotated[str, typer.Option("--expression", help="A targeting expression.")]
File = Annotated[Path | None, typer.Option("--members", help="CSV with the columns namespace and value.")]
Size = Annotated[int, typer.Option("--size", min=0, help="How many persons, none of them seeds.")]
Precision = Annotated[float, typer.Option("--precision", min=0, max=1, help="As many as keep this precision.")]
CutOff = Annotated[str, typer.Option("--cut-off", help="When the seed had been drawn, RFC 3339.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is built.")]


def create(
    audience_id: Name,
    advertiser: Owner,
    expression: Text = "",
    members: File = None,
    name: Title = "",
    state: State = STATE,
    *,
    wait: Wait = True,
    as_json: AsJson = False,
) -> None:
    """Create an audience from an expression or a list of members; the same command again goes on waiting for it."""
    body: dict[str, object] = {"id": audience_id, "advertiser_id": advertiser, "display_name": name or audience_id}
    if bool(expression) == (members is not None):
        fail(InvalidArgument("exactly one of --expression and --members is needed"))
    try:
        made_of = {"members": read_members(members)} if members is not None else {"expression": expression}
    except InvalidArgument as error:
        fail(error)
    _show(_run(_create(state, body | made_of, wait=wait)), as_json=as_json)


def expand(
    seed: Seed,
    audience_id: Name,
    size: Size = 0,
    precision: Precision = 0.0,
    cut_off: CutOff = "",
    name: Title = "",
    state: State = STATE,
    *,
    wait: Wait = True,
    as_json: AsJson = False,
) -> None:
    """Create an audience of persons like those of SEED, and show the evidence; again, it goes on waiting for it."""
    if (size > 0) == (precision > 0):
        fail(InvalidArgument("exactly one of --size and --precision is needed"))
    asked: dict[str, object] = {"seed_audience_id": seed}
    asked |= {"target_size": size} if size else {"least_precision": precision}
    asked |= {"seed_cut_off_time": cut_off} if cut_off else {}
    body: dict[str, object] = {"id": audience_id, "display_name": name or audience_id, "look_alike": asked}
    _show(_run(_create(state, body, wait=wait)), as_json=as_json)


def read_members(file: Path) -> list[dict[str, str]]:
    """
    The identifiers of a list, one a row.

    Raises InvalidArgument for a file that cannot be read, lacks a column or is longer than the gateway takes.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.DictReader(opened)
            if missing := [column for column in _COLUMNS if column not in (reader.fieldnames or ())]:
                raise InvalidArgument(f"{file} has no column {missing[0]}")
            rows = [{column: row[column] or "" for column in _COLUMNS} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidArgument(f"{file} cannot be read: {error}") from error
    if not 0 < len(rows) <= MAX_MEMBERS:
        raise InvalidArgument(f"{file} has {len(rows):,} rows; 1 to {MAX_MEMBERS:,} are taken")
    return rows


def _run(work: Coroutine[object, object, Audience]) -> Audience:
    try:
        return run(work)
    except KeyboardInterrupt:
        typer.echo("interrupted; the audience is built on, and the same command waits for it again", err=True)
        raise typer.Exit(INTERRUPTED) from None


async def _create(state: Path, body: dict[str, object], *, wait: bool) -> Audience:
    client, _ = running_client(state, timeout_s=LIST_TIMEOUT_S)
    async with client:
        look_alike = body.get("look_alike")
        if isinstance(look_alike, dict):
            seed = await client.get(f"/v1/audiences/{look_alike['seed_audience_id']}", Audience)
            body = body | {"advertiser_id": seed.advertiser_id}
        made = await client.post("/v1/audiences", body, Audience, key=f"audience-{body['id']}")
        return await _built(client, made) if wait else made


async def _built(client: GatewayClient, audience: Audience) -> Audience:
    """Wait for it. Raises FailedPrecondition where it could not be built."""
    wait_s = FIRST_WAIT_S
    with _progress() as display:
        task = display.add_task(f"building {audience.id}", total=1.0)
        while audience.state == "building":
            display.update(task, completed=audience.progress)
            await asyncio.sleep(wait_s)
            wait_s = min(LAST_WAIT_S, wait_s * 1.5)
            audience = await client.get(f"/v1/audiences/{audience.id}", Audience)
        display.update(task, completed=1.0)
    if audience.state == "failed":
        raise FailedPrecondition(f"{audience.id} could not be built: {audience.failure}")
    # What is created is answered under its key as it was; what speaks for it is told by its own address.
    return await client.get(f"/v1/audiences/{audience.id}", Audience)


def _show(audience: Audience, *, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.encode(audience).decode())
        return
    told = audience.told_size if audience.state == "ready" else audience.state
    console.print(f"{audience.id}: {told}", highlight=False)
    for table in evidence_tables(audience.look_alike_evidence) if audience.look_alike_evidence else ():
        console.print(table)


def _progress() -> Progress:
    """On the error stream, so that what is printed stays clean."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
