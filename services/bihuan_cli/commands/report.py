"""`bihuan report` and `bihuan attribution`: figures and models of a stack that runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from bihuan_cli.api import GatewayClient
from bihuan_cli.commands.data import running_client
from bihuan_cli.commands.tables import AsShape, Output, Row, write_rows
from bihuan_cli.commands.terminal import STATE, AsJson, State, console, run
from bihuan_gateway.control.reports import METRICS
from bihuan_gateway.routes.report_files import Column

PAGE_SIZE = "10000"
FIGURES = "impressions,clicks,landings,orders,order_value_micros,spend_nanos,overrun_nanos,roas"
MODEL_COLUMNS = (
    *(Column(name, "text") for name in ("campaign", "model", "currency")),
    Column("credited_orders", "decimal", 6),
    Column("credited_value_micros", "integer"),
)
Params = list[tuple[str, str]]
Since = Annotated[str, typer.Option("--from", help="Begin, an RFC 3339 instant on the hour.")]
Until = Annotated[str, typer.Option("--to", help="End, itself not in it.")]


class ReportPage(msgspec.Struct):
    """A page of `GET /v1/reports`."""

    rows: list[Row]
    next_page_token: str


class Comparison(msgspec.Struct):
    """The answer of `GET /v1/reports/models`."""

    rows: list[Row]
    order_count: int
    unattributed_count: int
    weights_time: str | None


class Difference(msgspec.Struct):
    """A figure that is not what a recomputation makes of it."""

    dimensions: dict[str, str]
    figure: str
    held: int
    recomputed: int


class Verification(msgspec.Struct):
    """The answer of `GET /v1/reports/verification`."""

    row_count: int
    position: int
    differences: list[Difference]


class ReportGroup(TyperGroup):
    """`bihuan report campaign,day` is short for `bihuan report show campaign,day`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # its own context
        """Put `show` before what names no command."""
        named = bool(args) and (args[0] in self.commands or args[0] == "--help")
        return super().parse_args(ctx, args if named else ["show", *args])


report = typer.Typer(help="Figures by dimension, and the proof that they are right.", cls=ReportGroup)
attribution = typer.Typer(help="How orders came about.", no_args_is_help=True)


@report.command("show")
def show(
    dimensions: Annotated[str, typer.Argument(help="Comma-separated: advertiser, campaign, day, …")] = "campaign",
    state: State = STATE,
    metrics: Annotated[str, typer.Option(help="Comma-separated: clicks, ctr, reach, …")] = FIGURES,
    since: Since = "",
    until: Until = "",
    as_of: Annotated[str, typer.Option(help="Only what was booked before this instant, on the hour.")] = "",
    shape: AsShape = "table",
    output: Output = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show counts, orders and spend by dimension."""
    times = (("start_time", since), ("end_time", until), ("as_of_time", as_of))
    names, figures = dimensions.split(","), metrics.split(",")
    params = [("dimensions", name) for name in names] + [("metrics", name) for name in figures]
    params += [(name, text) for name, text in times if text]
    rows = run(_rows(state, params))
    write_rows(_columns(names, figures), rows, "json" if as_json else shape, output, console)


@report.command("verify")
def verify(state: State = STATE) -> None:
    """Recompute every figure from touches, orders and the ledger; ends with 1 where one differs."""
    found = run(_verification(state))
    console.print(f"{found.row_count:,} rows up to event {found.position:,}: {len(found.differences)} differences")
    if found.differences:
        _print_differences(found.differences, console)
        raise typer.Exit(1)


@attribution.command("compare")
def compare(
    advertiser: str,
    since: Since,
    until: Until,
    state: State = STATE,
    models: Annotated[str, typer.Option(help="Comma-separated; all by default.")] = "",
    shape: AsShape = "table",
    output: Output = None,
) -> None:
    """Share an advertiser's orders by several models, side by side."""
    params = [("advertiser_id", advertiser), ("start_time", since), ("end_time", until)]
    params += [("models", name) for name in models.split(",") if name]
    found = run(_comparison(state, params))
    write_rows(MODEL_COLUMNS, found.rows, shape, output, console)
    if shape == "table":
        console.print(f"{found.order_count:,} orders with a touch, {found.unattributed_count:,} without one")


async def _rows(state: Path, params: Params) -> list[Row]:
    client, _ = running_client(state)
    rows: list[Row] = []
    async with client:
        token = ""
        while True:
            page = await _page(client, [*params, ("page_size", PAGE_SIZE)], token)
            rows += page.rows
            token = page.next_page_token
            if not token:
                return rows


async def _page(client: GatewayClient, params: Params, token: str) -> ReportPage:
    return await client.get("/v1/reports", ReportPage, params=[*params, ("page_token", token)] if token else params)


async def _verification(state: Path) -> Verification:
    client, _ = running_client(state)
    async with client:
        return await client.get("/v1/reports/verification", Verification)


async def _comparison(state: Path, params: Params) -> Comparison:
    client, _ = running_client(state)
    async with client:
        return await client.get("/v1/reports/models", Comparison, params=params)


def _columns(dimensions: Sequence[str], metrics: Sequence[str]) -> list[Column]:
    places = {str(name): metric.places for name, metric in METRICS.items()}
    held = [Column(name, "text") for name in (*dimensions, "currency")]
    return held + [Column(name, "decimal" if places[name] else "integer", places[name]) for name in metrics]


def _print_differences(differences: Sequence[Difference], to: Console) -> None:
    table = Table("row", "figure", "held", "recomputed")
    for one in differences:
        row = ", ".join(f"{name} {value}" for name, value in sorted(one.dimensions.items()))
        table.add_row(row, one.figure, f"{one.held:,}", f"{one.recomputed:,}")
    to.print(table)
