"""
The event lake: Parquet files under `<root>/<dataset>/date=YYYY-MM-DD/<name>.parquet`.

A file appears whole or not at all, and one that is written again under its name replaces the first, so a writer that
is not sure repeats itself.
"""

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

MAX_ROWS: Final = 1_000_000
"""Most rows of one file; a writer cuts its batches smaller."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class LakeStore(Protocol):
    """Where a lake's files are kept: a folder today, an object store later."""

    def put(self, path: str, content: pa.Buffer) -> None:
        """Store a file under a relative path, whole or not at all, durably on return; blocks."""
        ...


class LocalLakeStore:
    """Files in a folder of this machine."""

    __slots__ = ("root",)

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, path: str, content: pa.Buffer) -> None:
        """Write beside, sync, rename, sync the folder; blocks."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        # Not named .parquet, so that no reader ever takes the draft for a file of the dataset.
        draft = target.with_name(f".{target.name}.{uuid4().hex}.draft")
        try:
            with draft.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(target)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class LakeWriter:
    """Writes batches of rows as Parquet files."""

    __slots__ = ("_store",)

    def __init__(self, root: str | LakeStore) -> None:
        """Take a folder, a `file://` URL, or a store; ValueError for the URL of anything that is not local."""
        self._store = LocalLakeStore(local_root(root)) if isinstance(root, str) else root

    async def write(
        self, dataset: str, name: str, rows: pa.Table | Mapping[str, Sequence[object]], *, time_us: int
    ) -> str:
        """
        Write one file, durable on return, into the folder of the UTC day of `time_us`; its relative path.

        `rows` is a table, or columns of equal length by name (types are inferred; pass a table to fix them). The
        caller's `name` makes repetition harmless. ValueError for a dataset or a name that is not plain, and for more
        than `MAX_ROWS` rows; OSError where the disk refuses.
        """
        if _NAME.fullmatch(dataset) is None or _NAME.fullmatch(name) is None:
            raise ValueError("a dataset or file is named in letters, digits, '_', '.' and '-'")
        table = rows if isinstance(rows, pa.Table) else pa.table(dict(rows))
        if table.num_rows > MAX_ROWS:
            raise ValueError(f"at most {MAX_ROWS} rows in one file")
        path = f"{dataset}/date={utc_date(time_us).isoformat()}/{name}.parquet"
        await asyncio.to_thread(self._encode_and_put, path, table)
        return path

    def _encode_and_put(self, path: str, table: pa.Table) -> None:
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        self._store.put(path, sink.getvalue())


def utc_date(time_us: int) -> date:
    """The day of an instant (microseconds since the epoch) in UTC, which names its partition."""
    return (_EPOCH + timedelta(microseconds=time_us)).date()


def local_root(url: str) -> Path:
    """The folder that a lake URL names; ValueError for what is not on this machine, which is not supported yet."""
    if "://" not in url:
        return Path(url)
    parts = urlsplit(url)
    if parts.scheme != "file" or parts.netloc not in {"", "localhost"}:
        raise ValueError(f"a lake must be a local folder or file:// URL; {parts.scheme}:// is not supported yet")
    return Path(unquote(parts.path))


def dataset_glob(root: str, dataset: str) -> str:
    """The pattern that matches every file of a dataset, for DuckDB's `read_parquet(…, hive_partitioning=true)`."""
    return str(local_root(root) / dataset / "date=*" / "*.parquet")


def dataset_files(root: str, dataset: str) -> list[Path]:
    """Every file of a dataset, by day and name; empty where there is none (DuckDB refuses a pattern without match)."""
    return sorted((local_root(root) / dataset).glob("date=*/*.parquet"))
