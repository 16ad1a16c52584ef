"""How far a load has come, and the rows that it rejected: both on disk before the next batch counts."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Self

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from bihuan_cli.bulk.rows import Rejection
from bihuan_shared.errors import FailedPrecondition

HEADER: Final = ("row", "field", "reason", "detail")
_SCHEMA: Final = pa.schema([("row", pa.int64()), *((name, pa.string()) for name in HEADER[1:])])
_PAGE_ROWS: Final = 10_000


class Progress(msgspec.Struct):
    """
    What is done of one file, by the content of the file.

    Everything up to row `row` is in, or stands in the first `rejected_bytes` of the file of rejected rows.
    """

    fingerprint: str
    row: int = 0
    accepted: int = 0
    duplicates: int = 0
    attributes: int = 0
    changed_attributes: int = 0
    rejected: int = 0
    rejected_bytes: int = 0
    finished: bool = False


class Checkpoint:
    """The files `<file>.checkpoint.json` and `<file>.rejected.csv` beside a file."""

    def __init__(self, source: Path, progress: Progress) -> None:
        self.progress = progress
        self.rejected_path = beside(source, ".rejected.csv")
        self._path = beside(source, ".checkpoint.json")

    @classmethod
    def open(cls, source: Path, fingerprint: str, *, from_start: bool) -> Self:
        """
        Where an interrupted load of the same content was, else the beginning.

        Raises FailedPrecondition where the file has changed since, unless it is loaded from the start.
        """
        path = beside(source, ".checkpoint.json")
        known = Progress(fingerprint)
        if path.exists() and not from_start:
            try:
                known = msgspec.json.decode(path.read_bytes(), type=Progress)
            except msgspec.MsgspecError:
                raise FailedPrecondition(f"{path} is damaged; delete it or use --from-start") from None
            if known.fingerprint != fingerprint:
                raise FailedPrecondition(f"{source.name} has changed since it was loaded in part; use --from-start")
        if known.finished:
            known = Progress(fingerprint)
        checkpoint = cls(source, known)
        checkpoint._cut()
        return checkpoint

    def note(self, rejections: Sequence[Rejection]) -> None:
        """Write rejected rows and then the progress, so that none is lost or told twice."""
        if rejections:
            with self.rejected_path.open("a", newline="") as file:
                csv.writer(file).writerows((one.row, one.field, one.reason, one.detail) for one in rejections)
                file.flush()
                self.progress.rejected_bytes = file.tell()
            self.progress.rejected += len(rejections)
        draft = self._path.with_suffix(".new")
        draft.write_bytes(msgspec.json.encode(self.progress))
        draft.replace(self._path)

    def finish(self, *, as_parquet: bool) -> Path | None:
        """Note that the file is done; the path of the rejected rows, None where there are none."""
        self.progress.finished = True
        self.note(())
        if not self.progress.rejected:
            self.rejected_path.unlink(missing_ok=True)
            return None
        if not as_parquet:
            return self.rejected_path
        target = self.rejected_path.with_suffix(".parquet")
        with pq.ParquetWriter(target, _SCHEMA) as writer:
            for page in _pages(read_rejected(self.rejected_path)):
                columns = [[getattr(one, name) for one in page] for name in HEADER]
                writer.write_table(pa.table(columns, schema=_SCHEMA))
        self.rejected_path.unlink()
        return target

    def _cut(self) -> None:
        """Drop what was written of rejected rows after the last checkpoint."""
        if self.progress.rejected_bytes and self.rejected_path.exists():
            with self.rejected_path.open("r+") as file:
                file.truncate(self.progress.rejected_bytes)
            return
        self.rejected_path.with_suffix(".parquet").unlink(missing_ok=True)
        with self.rejected_path.open("w", newline="") as file:
            csv.writer(file).writerow(HEADER)
        self.progress.rejected_bytes = self.rejected_path.stat().st_size


def beside(source: Path, ending: str) -> Path:
    """A file beside `source`, named after it."""
    return source.with_name(source.name + ending)


def read_rejected(path: Path) -> Iterator[Rejection]:
    """The rows of a file of rejected rows in CSV."""
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            yield Rejection(int(row["row"]), row["field"], row["reason"], row["detail"])


def _pages(rejections: Iterable[Rejection]) -> Iterator[list[Rejection]]:
    page: list[Rejection] = []
    for one in rejections:
        page.append(one)
        if len(page) == _PAGE_ROWS:
            yield page
            page = []
    if page:
        yield page
