"""
The event lake: Parquet files under `<root>/<dataset>/date=YYYY-MM-DD/hour=HH/<name>.parquet`, in a folder or a bucket.

A file appears whole or not at all, and one that is written again under its name and time replaces the first, so a
writer that is not sure repeats itself. Files change only where something is taken out of them (`replace`, `remove`): a
scan that meets that fails and is begun again.

The partition of a file is the UTC hour of the latest time in it by the writer's own log: when its rows had landed. It
follows from the rows, never from a clock, so that a retry meets the first attempt. A batch is one file however many
hours its rows span, so rows of earlier hours stand in later partitions: who wants rows of a time filters their time
column, and may skip by partition only what lies before that time. The files themselves have no columns `date` and
`hour`.

Lakes from before the hours (`<dataset>/date=YYYY-MM-DD/<name>.parquet`) are read as well; their `hour` is null. A range
that was written there and is repeated today stands in both places: readers keep one row an id, as after any retry in
other batches.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.parquet as pq

from bihuan_shared.lake.object_store import ObjectLakeStore
from bihuan_shared.lake.stores import LakeStore, LocalLakeStore, is_file_of_dataset
from bihuan_shared.lake_url import FolderPlace, parse_lake_url

if TYPE_CHECKING:
    import pyarrow.dataset as ds

__all__ = ["MAX_ROWS", "Lake", "LakeStore", "LocalLakeStore", "ObjectLakeStore", "landed_date", "open_lake"]

MAX_ROWS: Final = 1_000_000
"""Most rows of one file; a writer cuts its batches smaller."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}", re.ASCII)
_PARTITION_NAMES: Final = frozenset({"date", "hour"})
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Lake:
    """Datasets of Parquet files in a store."""

    __slots__ = ("_store",)

    def __init__(self, store: LakeStore) -> None:
        self._store = store

    async def warm_up(self) -> None:
        """Load what the first file would have to wait for: where pandas is installed, pyarrow imports that first."""
        await asyncio.to_thread(pa.array, ())

    async def write(
        self, dataset: str, name: str, rows: pa.Table | Mapping[str, Sequence[object]], *, time_us: int
    ) -> str:
        """
        Write one file, durable on return, into the partition of the UTC hour of `time_us`; its path in the lake.

        `rows` is a table, or columns of equal length by name (types are inferred; pass a table to fix them). `time_us`
        is the latest time in the rows; together with the caller's `name` it makes repetition harmless. ValueError for
        a dataset or a name that is not plain, for a column that is named like a partition, and for more than
        `MAX_ROWS` rows; OSError where the store refuses.
        """
        _check(dataset, name)
        table = rows if isinstance(rows, pa.Table) else pa.table(dict(rows))
        _check_table(table)
        hour = _EPOCH + timedelta(microseconds=time_us)
        path = f"{dataset}/date={hour:%Y-%m-%d}/hour={hour:%H}/{name}.parquet"
        await asyncio.to_thread(self._encode_and_put, path, table)
        return path

    async def replace(self, path: str, table: pa.Table) -> None:
        """
        Put other rows in the place of a file's, durable on return; where none are left, remove it.

        Only one process may take rows out of a dataset at a time, or what one has taken out comes back with the
        other's. ValueError as `write`, and for a path that is no file of a lake; OSError where the store refuses.
        """
        if not table.num_rows:
            await self.remove(path)
            return
        _check_path(path)
        _check_table(table)
        await asyncio.to_thread(self._encode_and_put, path, table)

    async def remove(self, path: str) -> None:
        """Remove one file of `list`; nothing where it is gone. ValueError for another path; OSError."""
        _check_path(path)
        await asyncio.to_thread(self._store.remove, path)

    def read(self, path: str, *, columns: Sequence[str] | None = None) -> pa.Table:
        """One file as it was written, or some of its columns. FileNotFoundError where it is gone; OSError. Blocks."""
        _check_path(path)
        with self._store.files().open_input_file(path) as file:
            return pq.ParquetFile(file).read(columns=None if columns is None else list(columns))

    def list(self, dataset: str) -> Sequence[str]:
        """Paths in the lake of every file of a dataset, by partition and name; OSError. Blocks."""
        _check(dataset)
        return self._store.list(dataset)

    def dataset(self, dataset: str, schema: pa.Schema, *, paths: Sequence[str] | None = None) -> "ds.Dataset":
        """
        A dataset as it is now, or only its files at some `paths` of `list`, to be scanned by pyarrow, or by DuckDB
        under a registered name; both push down projection and filter.

        It has the columns of `schema`, null in files that lack them, then the partition `date` (date32) and `hour`
        (int8). A dataset that does not exist has no rows, and no `files`. OSError, of a scan too. Blocks.
        """
        # Most processes only write, and next to an installed pandas this import takes a second and 50 MiB.
        from bihuan_shared.lake.reading import open_dataset  # noqa: PLC0415

        return open_dataset(self._store.files(), dataset, self.list(dataset) if paths is None else paths, schema)

    def _encode_and_put(self, path: str, table: pa.Table) -> None:
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        self._store.put(path, sink.getvalue())


def open_lake(url: str) -> Lake:
    """
    The lake of a URL: a path, `file://…`, or `s3://bucket/prefix` (see `parse_lake_url`); nothing is called yet.

    ValueError for any other URL.
    """
    place = parse_lake_url(url)
    return Lake(LocalLakeStore(place.root) if isinstance(place, FolderPlace) else ObjectLakeStore(place))


def landed_date(path: str) -> date:
    """The date in a path of `Lake.list`: no row of the file is of a later one, by its writer's log."""
    return date.fromisoformat(path.split("/date=", 1)[1][:10])


def _check_path(path: str) -> None:
    dataset, _, rest = path.partition("/")
    _check(dataset)
    if not is_file_of_dataset(rest):
        raise ValueError("the path is of no file of a lake")


def _check_table(table: pa.Table) -> None:
    if table.num_rows > MAX_ROWS:
        raise ValueError(f"at most {MAX_ROWS} rows in one file")
    if not _PARTITION_NAMES.isdisjoint(table.column_names):
        raise ValueError("'date' and 'hour' are partitions, and so no columns")


def _check(*names: str) -> None:
    if any(_NAME.fullmatch(name) is None for name in names):
        raise ValueError("a dataset or file is named in letters, digits, '_', '.' and '-'")
