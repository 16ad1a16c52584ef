"""Whether what entries name as their causes exists."""

import json
from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.booking_store import day_of_row
from bihuan_attribution.domain.booking import BookingDay
from bihuan_attribution.domain.proof import CausingEvent, Fault, StoredEntry, day_fault, event_faults, operation_fault
from bihuan_attribution.event_log_store import chunks
from bihuan_attribution.journal_store import credits_found

_Operations = dict[tuple[str, str], Mapping[str, object]]


def cause_faults(connection: sa.Connection, rows: Sequence[StoredEntry]) -> Iterable[Fault]:
    """What is wrong with the causes of some entries: events of the log, booked days, operations of the journal."""
    events = _read_events(connection, {row.position for row in rows if row.position})
    operations = _read_operations(
        connection, {row.cause_id for row in rows if row.cause_type not in ("event", "booking")}
    )
    days = _read_days(connection, {row.cause_id for row in rows if row.cause_type == "booking"})
    given_back = credits_found(connection, {row.entry_time_us for row in rows if _is_found(row)})
    for row in rows:
        if _is_found(row):
            if given_back.get((row.cause_id, row.entry_time_us)) != -row.charged_nanos:
                yield Fault("cause", row.entry_id, f"no finding gave back {-row.charged_nanos} of {row.cause_id}")
        elif row.cause_type == "event":
            yield from event_faults(row, events.get(row.position))
        elif row.cause_type == "booking":
            wrong = day_fault(row, days.get(row.cause_id))
            if wrong is not None:
                yield wrong
        else:
            fault = operation_fault(row, operations.get((row.cause_type, row.cause_id)))
            if fault is not None:
                yield fault


def _is_found(row: StoredEntry) -> bool:
    """Whether it is the credit of a late finding, which bears the cause of the charge and no position."""
    return row.kind == "ivt_credit" and row.cause_type == "event" and not row.position


def _read_events(connection: sa.Connection, positions: set[int]) -> dict[int, CausingEvent]:
    table = schema.events
    columns = [table.c[name] for name in ("event_type", "event_id", "advertiser_id", "receive_time_us")]
    columns += [table.c.pricing_model, table.c.price_micros]
    found: dict[int, CausingEvent] = {}
    for chunk in chunks(positions):
        query = sa.select(table.c.position, *columns).where(table.c.position.in_(chunk))
        found |= {row[0]: CausingEvent(*row[1:]) for row in connection.execute(query)}
    return found


def _read_operations(connection: sa.Connection, names: set[str]) -> _Operations:
    table = schema.operations
    found: _Operations = {}
    for chunk in chunks(names):
        for row in connection.execute(sa.select(table).where(table.c.operation_id.in_(chunk))):
            found[row.kind, row.operation_id] = _content(row.body)
    return found


def _content(body: str) -> Mapping[str, object]:
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    return content if isinstance(content, dict) else {}


def _read_days(connection: sa.Connection, causes: set[str]) -> dict[str, BookingDay]:
    table = schema.booking_days
    found: dict[str, BookingDay] = {}
    for chunk in chunks({cause.rpartition("/")[0] for cause in causes}):
        query = sa.select(table).where(table.c.booking_id.in_(chunk))
        found |= {one.cause_id: one for one in map(day_of_row, connection.execute(query))}
    return found
