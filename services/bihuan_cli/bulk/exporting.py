"""Profiles into a file: one row a thing that is told, in bounded memory."""

import csv
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol, Self

import pyarrow as pa
import pyarrow.parquet as pq

from bihuan.common.v1 import common_pb2
from bihuan.profile.v1 import profile_pb2 as pb
from bihuan_shared.clock import format_rfc3339, to_us

SCHEMA: Final = pa.schema(
    [
        ("person_id", pa.uint64()),
        ("kind", pa.string()),
        ("name", pa.string()),
        ("value", pa.string()),
        ("long_term", pa.float64()),
        ("instant", pa.float64()),
        ("total", pa.int64()),
        ("time", pa.timestamp("us", "UTC")),
    ]
)
Line = tuple[int, str, str, str | None, float | None, float | None, int | None, int | None]
"""The columns of `SCHEMA`; the time in microseconds since the epoch."""


def lines_of(profile: pb.Profile) -> Iterator[Line]:
    """
    What a profile tells, a row each.

    Kinds: `attribute`, `interest`, `activity` (a behaviour), `segment`, `orders` (their number, and the last), `spent`
    (less what was returned, in micros of the currency), `owned` (category, brand and size, joined by `|`), `size`
    (taken most in a category), `relation` (the stage with a brand).
    """
    person = profile.person_id
    for one in profile.attributes:
        time_us = to_us(one.update_time) if one.HasField("update_time") else None
        yield person, "attribute", one.name, _value(one), None, None, None, time_us
    for interest in profile.interests:
        yield person, "interest", interest.tag, None, interest.long_term, interest.instant, None, None
    for done in profile.activities:
        name = common_pb2.Behaviour.Name(done.behaviour).removeprefix("BEHAVIOUR_").lower()
        yield person, "activity", name, None, done.long_term, done.instant, done.total, None
    for segment in profile.segments:
        yield person, "segment", segment, None, None, None, None, None
    yield from _bought(person, profile)
    for relation in profile.relations:
        stage = pb.RelationStage.Name(relation.stage).removeprefix("RELATION_STAGE_").lower()
        since_us = to_us(relation.since_time) if relation.HasField("since_time") else None
        yield person, "relation", relation.brand, stage, None, None, None, since_us


def _bought(person: int, profile: pb.Profile) -> Iterator[Line]:
    if profile.HasField("rfm"):
        rfm = profile.rfm
        last_us = to_us(rfm.last_order_time) if rfm.HasField("last_order_time") else None
        yield person, "orders", "orders", None, None, None, rfm.frequency, last_us
        for money in rfm.monetary:
            yield person, "spent", money.currency, None, None, None, money.micros, None
    for item in profile.owned_items:
        name = f"{item.category}|{item.brand}|{item.size}"
        yield person, "owned", name, None, None, None, item.quantity, to_us(item.last_bought_time)
    for size in profile.preferred_sizes:
        yield person, "size", size.category, size.size, size.share, None, None, None


def _value(one: pb.Attribute) -> str:
    match one.WhichOneof("value"):
        case "flag":
            return "true" if one.flag else "false"
        case "number":
            return repr(one.number)
        case _:
            return one.text


class LineWriter(Protocol):
    """A file that lines go into; it has its name only once it is complete."""

    def __enter__(self) -> Self: ...
    def __exit__(self, kind: object, error: object, trace: object) -> None: ...
    def write(self, lines: Sequence[Line]) -> None:
        """Append lines."""
        ...


class CsvLines:
    """CSV in UTF-8 with a header; times in RFC 3339."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file)
        self._writer.writerow(SCHEMA.names)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._file.close()

    def write(self, lines: Sequence[Line]) -> None:
        """Append lines."""
        self._writer.writerows((*line[:-1], None if line[-1] is None else format_rfc3339(line[-1])) for line in lines)


class ParquetLines:
    """Parquet; a row group a call of `write`."""

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(path, SCHEMA, compression="zstd")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._writer.close()

    def write(self, lines: Sequence[Line]) -> None:
        """Append lines."""
        if lines:
            columns = [
                pa.array(column, field.type) for column, field in zip(zip(*lines, strict=True), SCHEMA, strict=True)
            ]
            self._writer.write_table(pa.table(columns, schema=SCHEMA))


async def export(
    answers: AsyncIterable[pb.ScanProfilesResponse], target: Path, on_progress: Callable[[int], None]
) -> tuple[int, int]:
    """
    Write what a scan tells; how many persons and lines that were.

    The file appears under its name when it is complete. A person who was written meanwhile may come twice. Raises what
    the scan raises.
    """
    draft = target.with_name(target.name + ".part")
    persons = written = 0
    try:
        with _open(target, draft) as writer:
            async for answer in answers:
                lines = list(_lines(answer.profiles))
                writer.write(lines)
                persons += len(answer.profiles)
                written += len(lines)
                on_progress(persons)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return persons, written


def _open(target: Path, draft: Path) -> LineWriter:
    return ParquetLines(draft) if target.suffix.lower() in (".parquet", ".pq") else CsvLines(draft)


def _lines(profiles: Iterable[pb.Profile]) -> Iterator[Line]:
    for profile in profiles:
        yield from lines_of(profile)
