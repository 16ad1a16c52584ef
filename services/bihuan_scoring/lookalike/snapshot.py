"""
Profiles as columns: what a look-alike job reads, one row a person.

| column | Parquet type | meaning |
|---|---|---|
| `person_id` | int64 | unique in a snapshot |
| `activity_<behaviour>_long`, `_instant`, `_total` | float | counts as profiles tell them; null: not known |
| `order_time_us` | int64 | of the last order; null: none, or not told |
| `order_count`, `order_paid`, `order_paid_decayed` | float | orders, and amounts in units of the currency |
| `tags`, `tag_long`, `tag_instant` | list | interests and their weights; a segment is the tag `segment:<name>` |
| `attribute_names`, `_texts`, `_numbers`, `_times_us` | list | attributes: a text or a number (a flag is 0 or 1), \
and when it was learnt (0: not known) |
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from bihuan_scoring.domain.facts import PersonFacts
from bihuan_scoring.domain.features import BEHAVIOURS

SEGMENT_PREFIX: Final = "segment:"
DECAYS: Final = ("long", "instant", "total")
ACTIVITY_COLUMNS: Final = tuple(f"activity_{name}_{decay}" for decay in DECAYS for name in BEHAVIOURS)
ORDER_COLUMNS: Final = ("order_count", "order_paid", "order_paid_decayed")
DICTIONARY_COLUMNS: Final = ("tags.list.element", "attribute_names.list.element", "attribute_texts.list.element")
"""Parquet columns that are read as dictionaries: each text is looked up once a row group, not once a person."""
ROW_GROUP_ROWS: Final = 100_000
"""Rows of a row group that this code writes; a row group is the piece that a job works on."""

SCHEMA: Final = pa.schema(
    [("person_id", pa.int64())]
    + [(name, pa.float32()) for name in ACTIVITY_COLUMNS]
    + [("order_time_us", pa.int64())]
    + [(name, pa.float32()) for name in ORDER_COLUMNS]
    + [("tags", pa.list_(pa.string())), ("tag_long", pa.list_(pa.float32())), ("tag_instant", pa.list_(pa.float32()))]
    + [("attribute_names", pa.list_(pa.string())), ("attribute_texts", pa.list_(pa.string()))]
    + [("attribute_numbers", pa.list_(pa.float32())), ("attribute_times_us", pa.list_(pa.int64()))]
)

_MICROS = 1_000_000
_UNKNOWN = (None, None, None)
_NEVER = (0.0, 0.0, 0)


def snapshot_rows(persons: Sequence[PersonFacts]) -> pa.RecordBatch:
    """The rows of these persons, in order."""
    columns: list[object] = [[person.person_id for person in persons]]
    activities = [_activities(person) for person in persons]
    columns.extend([row[k] for row in activities] for k in range(len(ACTIVITY_COLUMNS)))
    orders = [person.orders for person in persons]
    columns.append([None if order is None else order.last_order_time_us for order in orders])
    columns.append([None if order is None else float(order.frequency) for order in orders])
    columns.append([None if order is None else order.monetary_micros / _MICROS for order in orders])
    columns.append([None if order is None else order.monetary_decayed_micros / _MICROS for order in orders])
    interests = [
        [*person.interests, *((SEGMENT_PREFIX + name, 1.0, 0.0) for name in sorted(person.segments))]
        for person in persons
    ]
    columns.extend([[each[k] for each in row] for row in interests] for k in range(3))
    attributes = [sorted(person.attributes.items()) for person in persons]
    columns.append([[name for name, _ in row] for row in attributes])
    columns.append([[value if isinstance(value, str) else None for _, value in row] for row in attributes])
    columns.append([[None if isinstance(value, str) else float(value) for _, value in row] for row in attributes])
    columns.append(
        [
            [person.attribute_times_us.get(name, 0) for name, _ in row]
            for person, row in zip(persons, attributes, strict=True)
        ]
    )
    arrays = [pa.array(column, type=field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def write_snapshot(path: Path, batches: Iterable[pa.RecordBatch]) -> int:
    """Write a snapshot, whole or not at all; how many rows it has. Blocks."""
    writer = SnapshotWriter(path)
    try:
        for batch in batches:
            writer.write(batch)
        return writer.finish()
    finally:
        writer.abandon()


class SnapshotWriter:
    """Gathers rows into row groups of a file that appears when it is finished. Methods block."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._draft = path.with_name(f".{path.name}.{uuid4().hex}")
        self._writer = pq.ParquetWriter(self._draft, SCHEMA, compression="zstd", compression_level=1)
        self._waiting: list[pa.RecordBatch] = []
        self._rows = 0
        self._written = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Take in rows."""
        self._waiting.append(batch)
        self._rows += batch.num_rows
        if self._rows >= ROW_GROUP_ROWS:
            self._flush()

    def finish(self) -> int:
        """Let the file appear; how many rows it has."""
        self._flush()
        self._writer.close()
        self._draft.replace(self._path)
        return self._written

    def abandon(self) -> None:
        """Leave nothing behind where it was not finished."""
        self._writer.close()
        self._draft.unlink(missing_ok=True)

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_batches(self._waiting), row_group_size=ROW_GROUP_ROWS)
            self._written += self._rows
            self._waiting, self._rows = [], 0


def _activities(person: PersonFacts) -> list[float | int | None]:
    hidden = person.withheld and not person.activities
    found = [_UNKNOWN if hidden else person.activities.get(name, _NEVER) for name in BEHAVIOURS]
    return [values[k] for k in range(len(DECAYS)) for values in found]
