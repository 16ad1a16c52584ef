"""The lake's dataset `decisions`: what was decided on what knowledge, for training. Billing never needs it."""

import asyncio
from collections.abc import Sequence
from itertools import accumulate
from operator import attrgetter

import pyarrow as pa
import structlog

from bihuan_gateway.data import metrics
from bihuan_gateway.data.ports import DecisionRecord
from bihuan_shared.lake import Lake

DATASET = "decisions"
MAX_QUEUE = 20_000
FLUSH_ROWS = 500
FLUSH_S = 1.0
_CANDIDATE = pa.struct(
    [
        ("creative_id", pa.string()),
        ("campaign_id", pa.string()),
        ("advertiser_id", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("pctr", pa.float64()),
        ("pcvr", pa.float64()),
        ("ecpm_micros", pa.int64()),
    ]
)
CANDIDATES = pa.field("candidates", pa.list_(_CANDIDATE))
SCHEMA = pa.schema(
    [
        ("decision_id", pa.string()),
        ("request_time_us", pa.int64()),
        ("person_id", pa.int64()),
        ("profile", pa.binary()),
        ("placement_id", pa.string()),
        ("channel", pa.string()),
        ("traffic_source", pa.string()),
        ("keywords", pa.list_(pa.string())),
        CANDIDATES,
        ("winner_creative_id", pa.string()),
        ("propensity", pa.float64()),
        ("model_version", pa.string()),
    ]
)
_log = structlog.stdlib.get_logger(__name__)


class LakeDecisionRecords:
    """
    Implements the port `DecisionRecords`.

    Files are named by their first decision, so that a batch that is written again replaces itself. A decision that is
    decided again after a crash may stand in two files: readers keep one row a decision_id.
    """

    def __init__(self, lake: Lake, *, flush_s: float = FLUSH_S) -> None:
        self._lake = lake
        self._flush_s = flush_s
        self._queue: list[DecisionRecord] = []
        self._full = asyncio.Event()
        self._writing = asyncio.Lock()

    def add(self, record: DecisionRecord) -> None:
        """Take a record; never waits, and counts what it has no room for."""
        if len(self._queue) >= MAX_QUEUE:
            metrics.DECISION_RECORDS_DROPPED.labels("queue_full").inc()
            return
        self._queue.append(record)
        if len(self._queue) >= FLUSH_ROWS:
            self._full.set()

    async def run(self) -> None:
        """Write batches for ever, of FLUSH_ROWS or of what came in about a second."""
        while True:
            try:
                async with asyncio.timeout(self._flush_s):
                    await self._full.wait()
            except TimeoutError:
                pass
            await self.flush()

    async def flush(self) -> None:
        """Write what is queued, one file a batch."""
        async with self._writing:
            while self._queue:
                batch, self._queue = self._queue[:FLUSH_ROWS], self._queue[FLUSH_ROWS:]
                if len(self._queue) < FLUSH_ROWS:
                    self._full.clear()
                await self._write(batch)

    async def _write(self, batch: list[DecisionRecord]) -> None:
        landed_us = max(record.request_time_us for record in batch)
        try:
            await self._lake.write(DATASET, batch[0].decision_id, table(batch), time_us=landed_us)
        except OSError:
            metrics.DECISION_RECORDS_DROPPED.labels("disk").inc(len(batch))
            _log.exception("decision records are lost", rows=len(batch))


def table(records: Sequence[DecisionRecord]) -> pa.Table:
    """Form one table of records; the columns are those of SCHEMA."""
    # Column by column: a dict a candidate, or dataclasses.asdict, costs as much as the rest of a decision.
    columns = {field.name: _column(records, field) for field in SCHEMA if field.name != CANDIDATES.name}
    candidates = [candidate for record in records for candidate in record.candidates]
    structs = pa.StructArray.from_arrays([_column(candidates, field) for field in _CANDIDATE], fields=list(_CANDIDATE))
    ends = accumulate((len(record.candidates) for record in records), initial=0)
    columns[CANDIDATES.name] = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), structs)
    return pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def _column(rows: Sequence[object], field: pa.Field) -> pa.Array:
    return pa.array(map(attrgetter(field.name), rows), field.type, size=len(rows))
