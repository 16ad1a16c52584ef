"""Tables of a report as JSON, CSV and Parquet."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from fastapi.responses import JSONResponse, Response
from pydantic import JsonValue

Format = Literal["json", "csv", "parquet"]
CSV_TYPE: Final = "text/csv"
PARQUET_TYPE: Final = "application/vnd.apache.parquet"
FILES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "content": {
            CSV_TYPE: {"schema": {"type": "string"}},
            PARQUET_TYPE: {"schema": {"type": "string", "format": "binary"}},
        }
    }
}
"""What a route answers beside JSON, for its description."""
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_DECIMAL_DIGITS: Final = 38
Cell = int | str | None
Body = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: text, or 64-bit integers, or decimal texts with `places`."""

    name: str
    kind: Literal["text", "integer", "decimal"]
    places: int = 0


def chosen_format(form: Format | None, accept: str) -> Format:
    """The format that was asked for: by name, else by the first type that is accepted."""
    first = accept.split(",", maxsplit=1)[0].split(";", maxsplit=1)[0].strip()
    return form or ("csv" if first == CSV_TYPE else "parquet" if first == PARQUET_TYPE else "json")


def rendered(
    form: Format,
    columns: Sequence[Column],
    rows: Sequence[Mapping[str, Cell]],
    body: Body,
    token: str = "",
) -> Response:
    """
    Answer rows in a format; `body` is what JSON says beside them.

    In the others the token of the next page stands in the header `x-next-page-token`.
    """
    headers = {"x-next-page-token": token} if token else {}
    if form == "csv":
        return Response(as_csv(columns, rows), media_type=f"{CSV_TYPE}; charset=utf-8", headers=headers)
    if form == "parquet":
        return Response(as_parquet(columns, rows), media_type=PARQUET_TYPE, headers=headers)
    return JSONResponse({**body, "rows": [dict(row) for row in rows]})


def as_csv(columns: Sequence[Column], rows: Sequence[Mapping[str, Cell]]) -> str:
    """Write CSV (RFC 4180). A text that a spreadsheet would take for a formula begins with an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([column.name for column in columns])
    writer.writerows([_harmless(column, row[column.name]) for column in columns] for row in rows)
    return text.getvalue()


def _harmless(column: Column, cell: Cell) -> Cell:
    return f"'{cell}" if column.kind == "text" and isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def as_parquet(columns: Sequence[Column], rows: Sequence[Mapping[str, Cell]]) -> bytes:
    """Write Parquet: texts, 64-bit integers, and decimals of 38 digits; nothing is rounded."""
    arrays = [pa.array([_typed(column, row[column.name]) for row in rows], _type(column)) for column in columns]
    sink = io.BytesIO()
    pq.write_table(pa.table(arrays, names=[column.name for column in columns]), sink)
    return sink.getvalue()


def _typed(column: Column, cell: Cell) -> int | str | Decimal | None:
    return Decimal(cell) if column.kind == "decimal" and isinstance(cell, str) else cell


def _type(column: Column) -> pa.DataType:
    if column.kind == "decimal":
        return pa.decimal128(_DECIMAL_DIGITS, column.places)
    return pa.string() if column.kind == "text" else pa.int64()
