"""Entries with everything that leads to them, in SQL."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import sqlalchemy as sa

from bihuan.attribution.v1 import event_pb2
from bihuan_attribution import schema
from bihuan_attribution.domain.event import TOKEN_EVENTS, EventType, LoggedEvent
from bihuan_attribution.domain.invoice import NOT_INVOICED
from bihuan_attribution.domain.order import OrderState
from bihuan_attribution.domain.touch import Touch, in_window, join_of
from bihuan_attribution.entry_store import booked_entries
from bihuan_attribution.event_log_store import chunks, logged_event, read_positions
from bihuan_attribution.journal_store import credits_found
from bihuan_attribution.order_store import read_orders
from bihuan_attribution.terms_store import read_terms
from bihuan_attribution.touch_store import read_touches
from bihuan_attribution.use_cases.ports import BookedEntry
from bihuan_attribution.use_cases.settlement_ports import EntryFile, StoredEvent
from bihuan_attribution.wire import incoming_event
from bihuan_shared.sql import Database

MAX_RELATED: Final = 200
"""Entries that are shown beside one: orders have a handful, invoices and payouts any number."""
MAX_TOUCHES: Final = 100
_NO_ORDER: Final = ("", "")


@dataclass(frozen=True, slots=True)
class SqlEntryFiles:
    """The entries of one database."""

    database: Database

    async def find(self, entry_id: int) -> EntryFile | None:
        """The entry with what leads to it, on one snapshot; None where there is none."""
        return await self.database.read(lambda c: _find(c, entry_id))


def _find(connection: sa.Connection, entry_id: int) -> EntryFile | None:
    table = schema.entries
    booked = next(iter(booked_entries(connection, sa.select(table).where(table.c.entry_id == entry_id))), None)
    if booked is None:
        return None
    entry = booked.entry
    of_corrected = sa.select(table).where(table.c.entry_id == booked.corrects_entry_id)
    corrected = next(iter(booked_entries(connection, of_corrected)), None) if booked.corrects_entry_id else None
    key = (entry.advertiser_id, entry.order_id) if entry.order_id else _NO_ORDER
    order = read_orders(connection, [key]).get(key) if key != _NO_ORDER else None
    related = _read_related(connection, booked)
    known = [booked, *related, *([corrected] if corrected is not None else [])]
    return EntryFile(
        booked=booked,
        corrected=corrected,
        related=related,
        order=order,
        events=_read_events(connection, known, order),
        is_cause_known=_is_cause_known(connection, booked),
    )


def _read_related(connection: sa.Connection, booked: BookedEntry) -> list[BookedEntry]:
    """Other entries of the same cause, order or correction; of a payout and of a rounding, the entries they sum up."""
    entry, entries, postings = booked.entry, schema.entries, schema.postings
    wanted: sa.ColumnElement[bool]
    if entry.kind == "payout":
        account = next(one.account for one in entry.postings if one.amount_nanos > 0)
        before = sa.select(postings.c.entry_id).where(
            postings.c.account == account, postings.c.entry_id < booked.entry_id, postings.c.amount_nanos < 0
        )
        wanted = entries.c.entry_id.in_(before.order_by(postings.c.entry_id.desc()).limit(MAX_RELATED))
    elif entry.kind == "rounding":
        in_period = (entries.c.period == booked.period) & (entries.c.advertiser_id == entry.advertiser_id)
        wanted = in_period & entries.c.kind.not_in([*NOT_INVOICED, "commission_estimated"])
    else:
        wanted = entries.c.cause_id == entry.cause_id
        if entry.order_id:
            of_advertiser = entries.c.advertiser_id == entry.advertiser_id
            wanted |= of_advertiser & (entries.c.order_id == entry.order_id) & (entries.c.order_id != "")
        if booked.corrects_entry_id:
            wanted |= entries.c.entry_id == booked.corrects_entry_id
    query = sa.select(entries).where(wanted, entries.c.entry_id != booked.entry_id)
    return booked_entries(connection, query.order_by(entries.c.entry_id).limit(MAX_RELATED))


def _is_cause_known(connection: sa.Connection, booked: BookedEntry) -> bool:
    """Whether the operation, the finding or the booked day is there; of events, the log itself tells."""
    entry = booked.entry
    if entry.kind == "ivt_credit" and not entry.position:
        return (entry.cause_id, entry.entry_time_us) in credits_found(connection, [entry.entry_time_us])
    if entry.cause_type == "event":
        return True
    if entry.cause_type == "booking":
        days = schema.booking_days
        booking_id, _, date = entry.cause_id.rpartition("/")
        day = sa.select(days.c.date).where(days.c.date == date, days.c.booking_id == booking_id)
        return connection.execute(day).first() is not None
    table = schema.operations
    query = sa.select(table.c.seq).where(table.c.kind == entry.cause_type, table.c.operation_id == entry.cause_id)
    return connection.execute(query).first() is not None


def _read_events(
    connection: sa.Connection, known: Sequence[BookedEntry], order: OrderState | None
) -> list[StoredEvent]:
    """What was reported of an order, the tokens that everything rests on, and all events of these, oldest first."""
    positions = {one.entry.position for one in known[: MAX_RELATED + 2] if one.entry.cause_type == "event"}
    if order is not None:
        positions.add(order.position)
        history = schema.order_history
        believed = sa.select(history.c.position).where(
            history.c.advertiser_id == order.advertiser_id, history.c.order_id == order.order_id
        )
        positions |= set(connection.execute(believed.limit(MAX_RELATED)).scalars())
    found = {one.position: one for one in read_positions(connection, positions)}
    tokens = {one.ad.token_id for one in found.values() if one.ad is not None}
    for booked in known:
        tokens |= set(_tokens_named(booked))
    if order is not None:
        tokens |= {order.click_id, order.last_click_id, order.last_cps_click_id, order.commission.token_id}
        tokens |= {touch.ad.token_id for touch in _in_windows(connection, order)}
    table = schema.events
    for chunk in chunks(tokens - {""}):
        of_tokens = table.c.event_id.in_(chunk) & table.c.event_type.in_([int(one) for one in TOKEN_EVENTS])
        found |= {row.position: logged_event(row) for row in connection.execute(sa.select(table).where(of_tokens))}
    return [_stored(found[position]) for position in sorted(found)]


def _tokens_named(booked: BookedEntry) -> Iterable[str]:
    """Tokens that a cause names: of a charge or a credit, and of the click that an order was moved from or to."""
    entry = booked.entry
    moved = entry.cause_id.removesuffix(f"/{entry.order_id}") if entry.order_id else ""
    if moved != entry.cause_id and "@" in moved:
        yield moved.rpartition("@")[2]
    elif not entry.order_id and entry.cause_type == "event":
        yield entry.cause_id.partition("/")[2]


def _in_windows(connection: sa.Connection, order: OrderState) -> list[Touch]:
    """The latest touches that could have led to an order."""
    touches = read_touches(connection, [order], [EventType.IMPRESSION, EventType.CLICK])
    terms = read_terms(connection, {touch.ad.campaign_id for touch in touches})
    buyer = order.buyer
    met = [one for one in touches if join_of(one, buyer) and in_window(one, order.order_time_us, terms)]
    return sorted(met, key=lambda touch: touch.rank)[-MAX_TOUCHES:]


def _stored(event: LoggedEvent) -> StoredEvent:
    message = event_pb2.Event.FromString(event.body)
    if event.ad is not None:
        return StoredEvent(event, message.token, is_intact=True)
    digest = blake2b(incoming_event(message).content, digest_size=len(event.body_hash)).digest()
    return StoredEvent(event, "", is_intact=digest == event.body_hash)
