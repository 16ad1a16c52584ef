"""Rows of a CSV or Parquet file, numbered from 1, from any row on, in bounded memory."""

import csv
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from bihuan_cli.bulk.rows import INVALID_FIELD, Rejection
from bihuan_shared.errors import InvalidArgument

MAX_LINE_BYTES: Final = 64 * 1024
PAGE_ROWS: Final = 1_000
_BOM: Final = b"\xef\xbb\xbf"

Row = tuple[int, Mapping[str, object]] | Rejection
"""A row with its number, or why it cannot be read."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file to load. `size` is what `progress` of its rows runs up to."""

    path: Path
    names: Sequence[str]
    fingerprint: str
    is_parquet: bool
    size: int


def open_source(path: Path) -> Source:
    """Look at a file. Raises InvalidArgument where there is none, or it is neither CSV in UTF-8 nor Parquet."""
    if not path.is_file():
        raise InvalidArgument.of("file", f"{path} is no file")
    with path.open("rb") as file:
        fingerprint = hashlib.file_digest(file, "sha256").hexdigest()
    if path.suffix.lower() in (".parquet", ".pq"):
        try:
            with pq.ParquetFile(path) as parquet:
                names, rows = parquet.schema_arrow.names, parquet.metadata.num_rows
        except (pa.ArrowException, OSError):
            raise InvalidArgument.of("file", f"{path} is not Parquet") from None
        return Source(path, names, fingerprint, is_parquet=True, size=rows)
    with path.open("rb") as file:
        return Source(path, _header(file, path), fingerprint, is_parquet=False, size=path.stat().st_size)


def rows(source: Source, skip: int) -> Iterator[tuple[int, Row]]:
    """Every row after the first `skip`, with how far into the file (of `Source.size`) it ends."""
    return _parquet_rows(source, skip) if source.is_parquet else _csv_rows(source, skip)


def _header(file: BinaryIO, path: Path) -> list[str]:
    line = file.readline(MAX_LINE_BYTES).removeprefix(_BOM)
    try:
        names = next(csv.reader([line.decode()], strict=True), [])
    except (UnicodeDecodeError, csv.Error):
        raise InvalidArgument.of("file", f"the first line of {path} is no CSV header in UTF-8") from None
    if not names:
        raise InvalidArgument.of("file", f"{path} has no header")
    return [name.strip() for name in names]


def _csv_rows(source: Source, skip: int) -> Iterator[tuple[int, Row]]:
    """A line is a row, empty ones too: so a row can be found again, and a damaged one spoils no other."""
    with source.path.open("rb") as file:
        _header(file, source.path)
        number = 0
        while line := file.readline(MAX_LINE_BYTES):
            number += 1
            too_long = not line.endswith(b"\n") and len(line) == MAX_LINE_BYTES
            while too_long and (rest := file.readline(MAX_LINE_BYTES)):
                if rest.endswith(b"\n"):
                    break
            if number > skip and (too_long or line.strip()):
                row = (
                    _unreadable(number, f"takes more than {MAX_LINE_BYTES} bytes")
                    if too_long
                    else _parsed(number, line, source.names)
                )
                yield file.tell(), row


def _parsed(number: int, line: bytes, names: Sequence[str]) -> Row:
    try:
        cells = next(csv.reader([line.decode().rstrip("\r\n")], strict=True), [])
    except UnicodeDecodeError:
        return _unreadable(number, "is not UTF-8")
    except csv.Error:
        return _unreadable(number, "is no line of CSV; a field must not contain a line break")
    if len(cells) != len(names):
        return _unreadable(number, f"has {len(cells)} fields instead of {len(names)}")
    return number, dict(zip(names, cells, strict=True))


def _parquet_rows(source: Source, skip: int) -> Iterator[tuple[int, Row]]:
    with pq.ParquetFile(source.path) as parquet:
        sizes = [parquet.metadata.row_group(group).num_rows for group in range(parquet.metadata.num_row_groups)]
        first, number = 0, 0
        while first < len(sizes) and number + sizes[first] <= skip:
            number += sizes[first]
            first += 1
        for batch in parquet.iter_batches(PAGE_ROWS, row_groups=range(first, len(sizes))):
            if number + batch.num_rows <= skip:
                number += batch.num_rows
                continue
            for cells in batch.to_pylist():
                number += 1
                if number > skip:
                    yield number, (number, cells)


def _unreadable(number: int, detail: str) -> Rejection:
    return Rejection(number, "row", INVALID_FIELD, detail)
