"""A file into profiles: a few batches in flight, their results noted in the order of the file."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from bihuan_cli.bulk.checkpoint import Checkpoint
from bihuan_cli.bulk.reading import Row, Source, rows
from bihuan_cli.bulk.rows import LoadRow, Rejection, RowReader
from bihuan_cli.bulk.sending import Sender, Taken

BATCH_ROWS: Final = 1_000
BATCHES_IN_FLIGHT: Final = 4


@dataclass(slots=True)
class _Batch:
    """Rows that are next to each other, up to row `last`, which ends at `end` of the file."""

    rows: list[LoadRow] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)
    last: int = 0
    end: int = 0

    def __len__(self) -> int:
        return len(self.rows) + len(self.rejected)


async def load(
    source: Source, reader: RowReader, sender: Sender, checkpoint: Checkpoint, on_progress: Callable[[int], None]
) -> None:
    """
    Load what the checkpoint does not cover yet; it is moved batch by batch, in the order of the file.

    Rows are read no faster than batches are taken in. Interrupted at any point, or by what `Sender.send` raises, the
    next load goes on at the checkpoint, and what it sends twice counts once.
    """
    flying: deque[tuple[_Batch, asyncio.Task[Taken]]] = deque()
    try:
        for batch in _batches(rows(source, checkpoint.progress.row), reader):
            flying.append((batch, asyncio.create_task(sender.send(batch.rows))))
            if len(flying) == BATCHES_IN_FLIGHT:
                await _land(flying, checkpoint, on_progress)
        while flying:
            await _land(flying, checkpoint, on_progress)
    finally:
        for _, task in flying:
            task.cancel()
        for _, task in flying:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task


async def _land(
    flying: "deque[tuple[_Batch, asyncio.Task[Taken]]]", checkpoint: Checkpoint, on_progress: Callable[[int], None]
) -> None:
    """Wait for the batch that took off first, and note what became of it."""
    batch, task = flying[0]
    taken = await task
    flying.popleft()
    progress = checkpoint.progress
    progress.row = batch.last
    progress.accepted += taken.accepted
    progress.duplicates += taken.duplicates
    progress.attributes += taken.attributes
    progress.changed_attributes += taken.changed_attributes
    checkpoint.note(sorted([*batch.rejected, *taken.rejected], key=lambda one: one.row))
    on_progress(batch.end)


def _batches(found: Iterator[tuple[int, Row]], reader: RowReader) -> Iterator[_Batch]:
    batch = _Batch()
    for end, row in found:
        read = row if isinstance(row, Rejection) else reader.read(*row)
        batch.last, batch.end = read.row, end
        if isinstance(read, Rejection):
            batch.rejected.append(read)
        else:
            batch.rows.append(read)
        if len(batch) == BATCH_ROWS:
            yield batch
            batch = _Batch()
    if batch:
        yield batch
