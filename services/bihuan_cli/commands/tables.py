"""Rows of an answer as a table, JSON, CSV or Parquet, on the screen or in a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from bihuan_cli.commands.terminal import fail
from bihuan_gateway.routes.report_files import Cell, Column, as_csv, as_parquet
from bihuan_shared.errors import InvalidArgument

Shape = Literal["table", "csv", "parquet", "json"]
AsShape = Annotated[Shape, typer.Option("--format", help="Parquet needs --output.")]
Output = Annotated[Path | None, typer.Option(help="File to write; the screen by default.")]
Row = dict[str, Cell]


def write_rows(columns: Sequence[Column], rows: Sequence[Row], shape: Shape, output: Path | None, to: Console) -> None:
    """Write rows; Parquet without a file, a table with one, and a file that cannot be written end with 1."""
    if shape == "table" and output is None:
        to.print(_table(columns, rows))
        return
    if shape == "table":
        fail(InvalidArgument.of("--output", "a table is for the screen; choose csv, json or parquet"))
    if shape == "parquet" and output is None:
        fail(InvalidArgument.of("--format", "Parquet needs --output"))
    content = _content(columns, rows, shape)
    if output is not None:
        try:
            output.write_bytes(content)
        except OSError as error:
            fail(error)
        to.print(f"{len(rows):,} rows in {output}")
    else:
        typer.echo(content.decode(), nl=shape == "json")


def _content(columns: Sequence[Column], rows: Sequence[Row], shape: Shape) -> bytes:
    if shape == "csv":
        return as_csv(columns, rows).encode()
    return as_parquet(columns, rows) if shape == "parquet" else msgspec.json.encode(rows)


def _table(columns: Sequence[Column], rows: Sequence[Row]) -> Table:
    table = Table()
    for column in columns:
        table.add_column(column.name, justify="left" if column.kind == "text" else "right")
    for row in rows:
        cells = (row[column.name] for column in columns)
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else cell or "" for cell in cells))
    return table
