"""
Reads the files of a linkage, checks them, and prepares what is compared as Parquet.

Each record gets a number that depends on its id and on nothing else, so that neither the order of a file nor what an
id looks like can tell the linkage anything. Messages name columns and rows, never a value.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from bihuan_identity.linkage.spec import ColumnKind, ComparedColumn
from bihuan_shared.errors import InvalidArgument

ID = "unique_id"
"""The column of numbers in what is prepared."""

NO_ID = "has no record id"
NOTHING_TO_COMPARE = "has nothing in any column that is compared"
_SEPARATORS: Final = (",", ";", "\t", "|")
_LONGEST_HEADER_BYTES: Final = 1 << 20
_LINE: Final = re.compile(r"Line: (\d+)")


@dataclass(frozen=True, slots=True)
class InputFile:
    """A CSV (UTF-8, with a header) or Parquet file, and its column of record ids."""

    path: Path
    id_column: str
    truth_column: str | None = None


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that takes no part; rows are counted from 1, without the header."""

    file: str
    row: int
    reason: str


@dataclass(frozen=True, slots=True)
class Records:
    """The records that take part, by number: their ids, files (0 or 1), rows and, where known, true entities."""

    ids: tuple[str, ...]
    sources: tuple[int, ...]
    rows: tuple[int, ...]
    truth: tuple[str | None, ...]
    prepared: tuple[Path, ...]
    rejected: tuple[RejectedRow, ...]


class RecordReader:
    """The files of one linkage, open for reading."""

    def __init__(self, files: Sequence[InputFile]) -> None:
        self._files = tuple(files)
        self._connection = duckdb.connect()
        try:
            for at, file in enumerate(self._files):
                self._open(at, file)
            self.columns = self._shared_columns()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Forget everything that was read."""
        self._connection.close()

    def prepare(self, columns: Sequence[ComparedColumn], folder: Path) -> Records:
        """
        Normalise the compared columns into one Parquet file a source, in `folder`.

        Raises InvalidArgument where a record id occurs twice or no record is left.
        """
        for at, file in enumerate(self._files):
            self._normalise(at, file, columns)
        self._refuse_repeated_ids()
        rejected = self._reject()
        self._number()
        paths = tuple(self._write(at, columns, folder / f"records-{at}.parquet") for at in range(len(self._files)))
        rows = self._all("select id, source, row, truth from numbered order by unique_id")
        if not rows:
            raise InvalidArgument.of("file", "holds no records")
        ids, sources, numbers, truth = zip(*rows, strict=True)
        return Records(ids, sources, numbers, truth, paths, rejected)

    def _open(self, at: int, file: InputFile) -> None:
        if not file.path.is_file():
            raise InvalidArgument.of("file", f"{file.path} is not a file")
        if file.path.stat().st_size == 0:
            raise InvalidArgument.of("file", f"{file.path} is empty")
        with _readable(file.path):
            if file.path.suffix.lower() in {".parquet", ".pq"}:
                relation = self._connection.read_parquet(str(file.path))
            else:
                relation = self._connection.read_csv(
                    str(file.path), header=True, all_varchar=True, sep=_separator(file.path), quotechar='"', skiprows=0
                )
            relation.to_table(f"file_{at}")
        names = self._names(at)
        wanted = {"id_column": file.id_column, "truth_column": file.truth_column}
        for field, name in wanted.items():
            if name is not None and name not in names:
                raise InvalidArgument.of(field, f"{name!r} is not a column of {file.path.name}")

    def _names(self, at: int) -> dict[str, str]:
        """The file's columns by their trimmed names."""
        return {name.strip(): name for name, *_ in self._all(f"describe file_{at}")}

    def _shared_columns(self) -> tuple[str, ...]:
        """Columns that every file has and that are neither id nor truth, in the order of the first."""
        kept = self._names(0).keys()
        taken = {name for file in self._files for name in (file.id_column, file.truth_column)}
        others = [self._names(at).keys() for at in range(1, len(self._files))]
        return tuple(name for name in kept if name not in taken and all(name in names for names in others))

    def _normalise(self, at: int, file: InputFile, columns: Sequence[ComparedColumn]) -> None:
        names = self._names(at)
        truth = "null" if file.truth_column is None else _trimmed(names[file.truth_column])
        compared = ", ".join(f"{_normal(names[column.source], column.kind)} as {column.name}" for column in columns)
        self._connection.execute(
            f"create table source_{at} as select cast(row_number() over () as bigint) as row, "  # noqa: S608  # quoted names
            f"{_trimmed(names[file.id_column])} as id, {truth} as truth, {compared} from file_{at}"
        )
        self._connection.execute(f"drop table file_{at}")
        nothing = " and ".join(f"{column.name} is null" for column in columns)
        self._connection.execute(f"alter table source_{at} add column fault varchar")
        self._connection.execute(
            f"update source_{at} set fault = case when id is null then '{NO_ID}' "  # noqa: S608  # as above
            f"when {nothing} then '{NOTHING_TO_COMPARE}' end"
        )

    def _refuse_repeated_ids(self) -> None:
        for at, file in enumerate(self._files):
            repeated = self._all(
                f"select count(*), min(row) from (select max(row) as row from source_{at} where id is not null "  # noqa: S608
                "group by id having count(*) > 1)"
            )[0]
            if repeated[0]:
                again = f"one of them again in row {repeated[1]}"
                raise InvalidArgument.of("id_column", f"{repeated[0]} ids of {file.path.name} occur twice, {again}")

    def _reject(self) -> tuple[RejectedRow, ...]:
        rejected = []
        for at, file in enumerate(self._files):
            rows = self._all(f"select row, fault from source_{at} where fault is not null order by row")  # noqa: S608
            rejected += [RejectedRow(file.path.name, row, fault) for row, fault in rows]
        return tuple(rejected)

    def _number(self) -> None:
        every = " union all ".join(
            f"select {at} as source, id, row, truth from source_{at} where fault is null"  # noqa: S608
            for at in range(len(self._files))
        )
        self._connection.execute(
            "create table numbered as select row_number() over (order by md5(id), id, source) - 1 as unique_id, * "  # noqa: S608
            f"from ({every})"
        )

    def _write(self, at: int, columns: Sequence[ComparedColumn], path: Path) -> Path:
        names = ", ".join(column.name for column in columns)
        self._connection.sql(
            f"select unique_id, {names} from source_{at} join (select id, unique_id from numbered where source = {at}) "  # noqa: S608
            "using (id) order by unique_id"
        ).write_parquet(str(path))
        return path

    def _all(self, query: str) -> list[Any]:
        """Rows of a query; their types are the query's."""
        return list(self._connection.execute(query).fetchall())


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what the reader says of a broken file, which quotes the file, into an error that does not."""
    try:
        yield
    except duckdb.Error as error:
        text = str(error)
        found = _LINE.search(text)
        place = f" (line {found[1]})" if found else ""
        fault = "is not UTF-8" if "unicode" in text.lower() else "is not well-formed"
        raise InvalidArgument.of("file", f"{path.name} {fault}{place}") from None


def _separator(path: Path) -> str:
    """What the header is separated by. A guess from the whole file would read one broken row as another dialect."""
    with path.open("rb") as file:
        header = file.readline(_LONGEST_HEADER_BYTES)
    return max(_SEPARATORS, key=lambda separator: header.count(separator.encode()))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _trimmed(name: str) -> str:
    return f"nullif(trim(cast({_quoted(name)} as varchar)), '')"


def _normal(name: str, kind: ColumnKind) -> str:
    """Lower case, no accents, single spaces; dates and codes without punctuation and spaces."""
    text = f"strip_accents(lower(trim(cast({_quoted(name)} as varchar))))"
    if kind in {ColumnKind.DATE, ColumnKind.CODE}:
        return f"nullif(regexp_replace({text}, '[\\s./-]', '', 'g'), '')"
    return f"nullif(regexp_replace({text}, '\\s+', ' ', 'g'), '')"
