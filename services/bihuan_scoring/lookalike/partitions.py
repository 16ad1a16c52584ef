"""The pieces of a snapshot that work is cut into: row groups of its Parquet files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bihuan_scoring.lookalike.snapshot import DICTIONARY_COLUMNS, SCHEMA
from bihuan_shared.errors import FailedPrecondition

BATCH_ROWS = 32_768
"""Rows that are turned into features at once."""


@dataclass(frozen=True, slots=True)
class Partition:
    """One row group; `number` counts over all files of the snapshot."""

    number: int
    path: str
    row_group: int
    rows: int


def partitions_of(paths: Sequence[Path]) -> list[Partition]:
    """Every row group of the files, in order; FailedPrecondition where a file is no snapshot. Blocks."""
    found: list[Partition] = []
    for path in paths:
        try:
            with pq.ParquetFile(path) as file:
                missing = sorted(set(SCHEMA.names) - set(file.schema_arrow.names))
                rows = [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)]
        except (OSError, pa.ArrowInvalid) as error:
            raise FailedPrecondition(f"the snapshot {path.name} cannot be read") from error
        if missing:
            raise FailedPrecondition(f"the snapshot {path.name} lacks the column {missing[0]}")
        found.extend(Partition(len(found) + k, str(path), k, count) for k, count in enumerate(rows) if count)
    return [Partition(number, each.path, each.row_group, each.rows) for number, each in enumerate(found)]


def batches_of(partition: Partition) -> Iterator[pa.RecordBatch]:
    """The rows of a partition in order, texts as dictionaries. Blocks."""
    with pq.ParquetFile(partition.path, read_dictionary=DICTIONARY_COLUMNS, pre_buffer=False) as file:
        table = file.read_row_group(partition.row_group, columns=SCHEMA.names, use_threads=False)
    yield from table.select(SCHEMA.names).to_batches(max_chunksize=BATCH_ROWS)
