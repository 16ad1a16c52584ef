"""The event log in SQL: appended to in groups, read by position."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any, TypeAlias, TypeVar, cast

import sqlalchemy as sa

from bihuan.attribution.v1 import event_pb2
from bihuan_attribution import schema
from bihuan_attribution.bulk import insert_rows
from bihuan_attribution.domain.event import (
    ACTION_EVENTS,
    NO_SIGNALS,
    ORDER_EVENTS,
    AdFacts,
    EventType,
    LoggedEvent,
    Outcome,
    PreparedEvent,
    Result,
    Signals,
)
from bihuan_attribution.wire import action_report, order_report
from bihuan_shared.failpoints import failpoint
from bihuan_shared.sql import Database, insert_ignore, upsert

AD_NAMES = tuple(one.name for one in fields(AdFacts))
# dataclasses.astuple copies deeply, which costs more than the insert.
_ad_tuple = attrgetter(*AD_NAMES)
LOG_HEAD = "log"
LEDGER_HEAD = "ledger"
TERMS_HEAD = "terms"
AWARDED_HEAD = "awarded"
"""The last date whose booked days were awarded, as an ordinal."""
BILLING_HEAD = "billing"
"""Moved with every batch, so that of two who bill one batch the second begins anew."""
_CHUNK = 500
_BOT, _PREFETCH, _DATA_CENTRE = 1, 2, 4
T = TypeVar("T")
_TYPES = {int(one): one for one in EventType}
_LogRow: TypeAlias = tuple[int, int, str, bytes, bytes, int, int, int, *tuple[Any, ...]]
assert [column.name for column in schema.events.columns][8:-4] == list(AD_NAMES)
_READ = sa.select(schema.events).order_by(schema.events.c.position)


async def prepare_heads(database: Database) -> None:
    """Create the counters of a new database; existing ones stay."""
    names = (LOG_HEAD, LEDGER_HEAD, TERMS_HEAD, AWARDED_HEAD, BILLING_HEAD)
    rows = [{"name": name, "position": 0} for name in names]
    await database.write(lambda c: c.execute(insert_ignore(database.dialect, schema.heads), rows))


def lock_head(connection: sa.Connection, name: str) -> int:
    """The last number of a sequence. Nobody else gets numbers of it until the transaction ends."""
    heads = schema.heads
    found = connection.execute(sa.select(heads.c.position).where(heads.c.name == name).with_for_update())
    return int(found.scalar_one())


def move_head(connection: sa.Connection, name: str, position: int) -> None:
    """Note the last number given out."""
    connection.execute(schema.heads.update().where(schema.heads.c.name == name).values(position=position))


def ad_values(ad: AdFacts | None) -> dict[str, object]:
    """Columns of a token's facts."""
    return dict(zip(AD_NAMES, _ad_tuple(ad), strict=True)) if ad is not None else dict(_NO_AD)


_NO_AD: dict[str, object] = {name: 0 if name in ("terms_version", "price_micros") else "" for name in AD_NAMES}


def ad_facts_of(row: sa.Row[tuple[object, ...]]) -> AdFacts:
    """A token's facts from a row with its columns."""
    return AdFacts(*_ad_tuple(row))


def logged_event(row: sa.Row[tuple[object, ...]]) -> LoggedEvent:
    """An event from a row of the log, all columns in their order."""
    # Reading by name takes longer than all the rest: four consumers read every event.
    position, number, event_id, digest, body, receive_us, event_us, person_id, *ad, _, sighting, address, flags = cast(
        "_LogRow", row
    )
    event_type = _TYPES[number]
    is_order, is_action = event_type in ORDER_EVENTS, event_type in ACTION_EVENTS
    return LoggedEvent(
        position=position,
        event_type=event_type,
        event_id=event_id,
        receive_time_us=receive_us,
        event_time_us=event_us,
        person_id=person_id,
        ad=None if is_order or is_action else AdFacts(*ad),
        order=order_report(event_pb2.Event.FromString(body)) if is_order else None,
        body=body,
        sighting_id=unsigned(sighting),
        action=action_report(event_pb2.Event.FromString(body), event_us) if is_action else None,
        signals=_signals(unsigned(address), flags) if address or flags else NO_SIGNALS,
        body_hash=bytes(digest),
    )


def _signals(address_hash: int, flags: int) -> Signals:
    return Signals(address_hash, bool(flags & _BOT), bool(flags & _PREFETCH), bool(flags & _DATA_CENTRE))


def _flags(signals: Signals) -> int:
    return _BOT * signals.known_bot | _PREFETCH * signals.prefetch | _DATA_CENTRE * signals.data_centre


def signed(sighting_id: int) -> int:
    """A handle of 64 bits as SQL keeps it."""
    return sighting_id - 2**64 if sighting_id >= 2**63 else sighting_id


def unsigned(sighting_id: int) -> int:
    """A handle of 64 bits as SQL kept it."""
    return sighting_id % 2**64


class SqlEventLog:
    """The log of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, events: Sequence[PreparedEvent]) -> Sequence[Result]:
        """Commit what is new in one transaction and tell what became of each event, in order."""
        return await self._database.write(lambda c: self.append_in(c, events))

    def append_in(self, connection: sa.Connection, events: Sequence[PreparedEvent]) -> list[Result]:
        """As `append`, in a transaction of the caller."""
        head = lock_head(connection, LOG_HEAD)
        held = _hashes(connection, {event.event_id for event in events})
        results: list[Result] = []
        rows: list[dict[str, object]] = []
        conflicts: list[dict[str, object]] = []
        for event in events:
            key = (int(event.event_type), event.event_id)
            known = held.get(key)
            if known is None:
                held[key] = event.body_hash
                rows.append(_row(event, head + len(rows) + 1))
                results.append(Result(event.event_id, Outcome.ACCEPTED))
            elif known == event.body_hash:
                results.append(Result(event.event_id, Outcome.DUPLICATE))
            else:
                conflicts.append(_conflict(event))
                results.append(Result(event.event_id, Outcome.CONFLICT, "CONTENT_CONFLICT", "event_id"))
        if rows:
            insert_rows(connection, schema.events, rows)
            move_head(connection, LOG_HEAD, head + len(rows))
        failpoint("logged")
        if conflicts:
            connection.execute(insert_ignore(self._database.dialect, schema.conflicts), conflicts)
        return results

    async def count_rejections(self, counts: dict[tuple[str, str], int]) -> None:
        """Add to how many events were rejected, by (reason, day)."""
        table = schema.rejections
        rows = [{"reason": reason, "day": day, "count": count} for (reason, day), count in counts.items()]
        statement = insert_ignore(self._database.dialect, table)
        change = table.update().where(table.c.reason == sa.bindparam("r"), table.c.day == sa.bindparam("d"))
        add = change.values(count=table.c["count"] + sa.bindparam("n"))

        def write(connection: sa.Connection) -> None:
            connection.execute(statement, [row | {"count": 0} for row in rows])
            connection.execute(add, [{"r": row["reason"], "d": row["day"], "n": row["count"]} for row in rows])

        await self._database.write(write)

    async def read(self, after: int, limit: int) -> list[LoggedEvent]:
        """Up to `limit` events above a position, oldest first."""
        return await self._database.read(lambda c: read_log(c, after, limit))

    async def head(self) -> int:
        """The last position."""
        heads = schema.heads
        query = sa.select(heads.c.position).where(heads.c.name == LOG_HEAD)
        return await self._database.read(lambda c: int(c.execute(query).scalar_one()))

    async def position(self, consumer: str) -> int:
        """The last position that a consumer has dealt with."""
        return await self._database.read(lambda c: consumer_position(c, consumer))

    async def advance(self, consumer: str, position: int) -> None:
        """Note how far a consumer is, after its effect."""
        await self._database.write(lambda c: set_position(c, self._database.dialect, consumer, position))


def read_log(connection: sa.Connection, after: int, limit: int) -> list[LoggedEvent]:
    """Up to `limit` events above a position, oldest first."""
    rows = connection.execute(_READ.where(schema.events.c.position > after).limit(limit))
    return [logged_event(row) for row in rows]


def read_positions(connection: sa.Connection, positions: Iterable[int]) -> list[LoggedEvent]:
    """The events at some positions, oldest first."""
    found: list[LoggedEvent] = []
    for chunk in chunks(sorted(positions)):
        rows = connection.execute(_READ.where(schema.events.c.position.in_(chunk)))
        found += [logged_event(row) for row in rows]
    return found


def consumer_position(connection: sa.Connection, consumer: str) -> int:
    """The last position that a consumer has dealt with; 0 for a new one."""
    table = schema.consumers
    found = connection.execute(sa.select(table.c.position).where(table.c.consumer == consumer)).scalar()
    return int(found or 0)


def set_position(connection: sa.Connection, dialect: str, consumer: str, position: int) -> None:
    """Note how far a consumer is."""
    statement = upsert(dialect, schema.consumers, key=["consumer"], update=["position"])
    connection.execute(statement, [{"consumer": consumer, "position": position}])


def chunks(items: Iterable[T], size: int = _CHUNK) -> Iterable[list[T]]:
    """Lists of at most `size` items, so that statements stay bounded."""
    held = list(items)
    for start in range(0, len(held), size):
        yield held[start : start + size]


def _hashes(connection: sa.Connection, event_ids: set[str]) -> dict[tuple[int, str], bytes]:
    table = schema.events
    held: dict[tuple[int, str], bytes] = {}
    for chunk in chunks(event_ids):
        query = sa.select(table.c.event_type, table.c.event_id, table.c.body_hash).where(table.c.event_id.in_(chunk))
        held |= {(row.event_type, row.event_id): bytes(row.body_hash) for row in connection.execute(query)}
    return held


def _row(event: PreparedEvent, position: int) -> dict[str, object]:
    values = ad_values(event.ad)
    report = event.order or event.action
    if report is not None:
        values["advertiser_id"] = report.advertiser_id
    return values | {
        "position": position,
        "event_type": int(event.event_type),
        "event_id": event.event_id,
        "body_hash": event.body_hash,
        "body": event.body,
        "receive_time_us": event.receive_time_us,
        "event_time_us": event.event_time_us,
        "person_id": event.person_id,
        "order_id": event.order.order_id if event.order is not None else "",
        "sighting_id": signed(event.sighting_id),
        "address_hash": signed(event.signals.address_hash),
        "traffic_flags": _flags(event.signals),
    }


def _conflict(event: PreparedEvent) -> dict[str, object]:
    return {
        "event_type": int(event.event_type),
        "event_id": event.event_id,
        "body_hash": event.body_hash,
        "body": event.body,
        "receive_time_us": event.receive_time_us,
    }
