"""The journal of what moves money and is no event: written with its entries, and read back for credits of findings."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.bulk import insert_rows
from bihuan_attribution.event_log_store import chunks

FoundCredit = tuple[str, int]
"""The cause of the charge that was credited, and when the finding was made."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the journal; `body` is what JSON can say, `time_us` when it holds from."""

    kind: str
    operation_id: str
    time_us: int
    body: object


def note_operations(connection: sa.Connection, operations: Iterable[Operation]) -> None:
    """Add to the journal, in order; the caller holds the ledger's head."""
    table = schema.operations
    last = connection.execute(sa.select(sa.func.max(table.c.seq))).scalar() or 0
    rows = [
        {
            "seq": seq,
            "kind": one.kind,
            "operation_id": one.operation_id,
            "time_us": one.time_us,
            "body": json.dumps(one.body),
        }
        for seq, one in enumerate(operations, last + 1)
    ]
    insert_rows(connection, table, rows)


def credits_found(connection: sa.Connection, times_us: Iterable[int]) -> dict[FoundCredit, int]:
    """
    What findings gave back, in nanos, of all findings that were made at some instants.

    An entry of a finding bears the cause of the charge that it credits, and the time of the finding.
    """
    table = schema.operations
    found: dict[FoundCredit, int] = {}
    for chunk in chunks(set(times_us)):
        query = sa.select(table.c.time_us, table.c.body).where(table.c.kind == "finding", table.c.time_us.in_(chunk))
        for row in connection.execute(query):
            for cause_id, nanos in _credits(row.body):
                found[cause_id, row.time_us] = nanos
    return found


def _credits(body: str) -> Iterable[tuple[str, int]]:
    """(cause, nanos) of each credit; none where the body is not what was written."""
    try:
        listed = json.loads(body)["done"]["credits"]
        return [(str(one[0]), int(one[-1])) for one in listed]
    except (ValueError, TypeError, KeyError, IndexError):
        return []
