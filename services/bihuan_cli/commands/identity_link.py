"""`bihuan identity link-records`: find records of the same person, and tell identity."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from bihuan.identity.v1.identity_pb2_grpc import IdentityServiceStub
from bihuan_cli.commands.terminal import STATE, AsJson, State, console, fail, run
from bihuan_cli.linking.evidence import Finding, Refusal, Telling, findings, tell
from bihuan_cli.linking.perform import EngineName, perform
from bihuan_cli.linking.report import show, show_rejected, summarise
from bihuan_cli.stack.channel import service_channel
from bihuan_cli.stack.layout import RunningStack, StateFolder
from bihuan_cli.stack.secrets import load_or_create
from bihuan_identity.domain.namespaces import find_namespace
from bihuan_identity.linkage.order import LinkageOrder
from bihuan_identity.linkage.records import InputFile
from bihuan_shared.errors import BihuanError, FailedPrecondition, InvalidArgument

if TYPE_CHECKING:
    from bihuan_identity.linkage.job import Linkage
    from bihuan_identity.linkage.verdict import Verdict

First = Annotated[Path, typer.Argument(help="CSV (UTF-8, with a header) or Parquet.", show_default=False)]
Second = Annotated[Path | None, typer.Argument(help="Another file, to find persons of FILE in.", show_default=False)]
Namespace = Annotated[str, typer.Option(help="What kind of identifier a record id is, such as partner.crm.")]
OtherNamespace = Annotated[str | None, typer.Option(help="The same for OTHER; as for FILE by default.")]
IdColumn = Annotated[str, typer.Option(help="The column of record ids.")]
OtherIdColumn = Annotated[str | None, typer.Option(help="The same for OTHER; as for FILE by default.")]
Truth = Annotated[str | None, typer.Option(help="A column that tells the true person; the result is judged by it.")]
Exclude = Annotated[list[str] | None, typer.Option(help="A column to leave out; may be repeated.")]
Spec = Annotated[Path | None, typer.Option(help="JSON: which columns to compare, how, and what to block on.")]
EngineChoice = Annotated[EngineName, typer.Option(help="Where the comparisons run.")]
OneToOne = Annotated[bool, typer.Option("--one-to-one", help="Nobody occurs twice in either of the two files.")]
MinConfidence = Annotated[
    float | None, typer.Option(help="Link from this confidence on; by default chosen for 99 % expected precision.")
]
WorkDir = Annotated[Path | None, typer.Option(help="For prepared records, deleted in the end; shared, with Spark.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Find and report, and tell identity nothing.")]


def link_records(
    file: First,
    other: Second = None,
    *,
    namespace: Namespace,
    id_column: IdColumn,
    other_namespace: OtherNamespace = None,
    other_id_column: OtherIdColumn = None,
    truth_column: Truth = None,
    exclude: Exclude = None,
    spec: Spec = None,
    engine: EngineChoice = "duckdb",
    one_to_one: OneToOne = False,
    min_confidence: MinConfidence = None,
    seed: int = 1,
    work_dir: WorkDir = None,
    dry_run: DryRun = False,
    print_json: AsJson = False,
    state: State = STATE,
) -> None:
    """Find records of the same person in FILE, or across FILE and OTHER, and send the links to identity as evidence."""
    files = [InputFile(file, id_column, truth_column)]
    if other is not None:
        files.append(InputFile(other, other_id_column or id_column, truth_column))
    order = LinkageOrder(
        files=tuple(files),
        spec_path=spec,
        excluded=frozenset(exclude or ()),
        one_to_one=one_to_one,
        seed=seed,
        min_confidence=min_confidence,
        work_dir=work_dir,
    )
    namespaces = (namespace, other_namespace or namespace)
    _link(order, namespaces, engine, None if dry_run else state, print_json=print_json)


def _link(
    order: LinkageOrder, namespaces: tuple[str, str], engine: EngineName, state: Path | None, *, print_json: bool
) -> None:
    """Link, tell identity of the stack on `state` where one is given, and report."""
    try:
        _check_namespaces(namespaces)
        if state is not None:
            _check_stack(state)
        with _progress() as progress:
            stage = progress.add_task("starting", total=None)
            linkage, verdict = perform(order, engine, lambda text: progress.update(stage, description=text))
    except BihuanError as error:
        fail(error)
    key = b"dry run" if state is None else load_or_create(StateFolder(state).secrets).cli_secret.encode()
    told, refused = findings(linkage, [file.path.name for file in order.files], namespaces, key)
    telling = None if state is None else run(_send(state, told))
    _report(linkage, verdict, refused, telling, print_json=print_json)


def _report(
    linkage: "Linkage", verdict: "Verdict | None", refused: list[Refusal], telling: Telling | None, *, print_json: bool
) -> None:
    if print_json:
        typer.echo(json.dumps(summarise(linkage, verdict, refused, telling)))
        return
    show(console, linkage, verdict, telling)
    show_rejected(console, linkage, [*refused, *(telling.refused if telling else ())])


def _check_namespaces(names: Sequence[str]) -> None:
    for field, name in zip(("namespace", "other_namespace"), names, strict=True):
        if find_namespace(name) is None:
            raise InvalidArgument.of(field, f"{name!r} is not a declared namespace")


def _check_stack(state: Path) -> None:
    """Before an hour of work rather than after it."""
    if RunningStack.read(StateFolder(state.resolve()).stack) is None:
        raise FailedPrecondition(f"no stack runs on {state}; start one with `bihuan up`, or try --dry-run")


async def _send(state: Path, told: Sequence[Finding]) -> Telling:
    async with service_channel(state, "identity") as channel:
        with _progress() as progress:
            task = progress.add_task("telling identity", total=len(told))
            return await tell(IdentityServiceStub(channel), told, lambda: progress.advance(task))


def _progress() -> Progress:
    """On the error stream, so that what is printed stays clean."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=Console(stderr=True))
