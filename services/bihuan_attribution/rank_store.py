"""The first clicks of spans in SQL, and what giving one back takes."""

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.domain.books import Rank, SpanKey
from bihuan_attribution.domain.event import EventType, LoggedEvent
from bihuan_attribution.domain.invalid_traffic import TrafficLimits, spans_of
from bihuan_attribution.domain.ledger import Posting
from bihuan_attribution.domain.touch import Touch
from bihuan_attribution.event_log_store import chunks
from bihuan_attribution.touch_store import touch_from

_Ranks = dict[SpanKey, list[Rank]]


def read_ranks(
    connection: sa.Connection,
    events: Sequence[LoggedEvent],
    pending: dict[str, list[LoggedEvent]],
    limits: TrafficLimits,
) -> tuple[_Ranks, dict[str, Touch], dict[str, tuple[Posting, ...]]]:
    """The spans that the clicks of a batch fall into, the clicks that may be put out of them, and their charges."""
    waiting = [event for held in pending.values() for event in held]
    clicks = [one for one in (*events, *waiting) if one.event_type is EventType.CLICK and one.ad is not None]
    earliest: dict[SpanKey, int] = {}
    for click in clicks:
        assert click.ad is not None
        for span in spans_of(click, click.ad, limits):
            earliest[span.key] = min(click.receive_time_us, earliest.get(span.key, click.receive_time_us))
    ranks = _read_spans(connection, earliest)
    late = {token for key, held in ranks.items() for time_us, token in held if time_us >= earliest[key]}
    rivals = _read_clicks(connection, late)
    return ranks, rivals, read_charges(connection, {f"{EventType.CLICK.word}/{token}" for token in rivals})


def _read_spans(connection: sa.Connection, keys: Iterable[SpanKey]) -> _Ranks:
    table = schema.click_ranks
    wanted = set(keys)
    found: _Ranks = {}
    for chunk in chunks({name for _, name in wanted}):
        query = sa.select(table).where(table.c.span.in_(chunk)).order_by(table.c.time_us, table.c.token_id)
        for row in connection.execute(query):
            if (row.rule, row.span) in wanted:
                found.setdefault((row.rule, row.span), []).append((row.time_us, row.token_id))
    return found


def _read_clicks(connection: sa.Connection, tokens: set[str]) -> dict[str, Touch]:
    table = schema.touches
    found: dict[str, Touch] = {}
    for chunk in chunks(tokens):
        query = sa.select(table).where(table.c.token_id.in_(chunk), table.c.event_type == int(EventType.CLICK))
        found |= {row.token_id: touch_from(row) for row in connection.execute(query)}
    return found


def read_charges(connection: sa.Connection, causes: set[str]) -> dict[str, tuple[Posting, ...]]:
    """What events were charged and was not given back, by cause."""
    entries, postings = schema.entries, schema.postings
    found: dict[str, list[Posting]] = {}
    for chunk in chunks(causes):
        rows = connection.execute(
            sa.select(entries.c.cause_id, entries.c.kind, postings.c.account, postings.c.amount_nanos)
            .join(postings, postings.c.entry_id == entries.c.entry_id)
            .where(
                entries.c.cause_id.in_(chunk),
                entries.c.cause_type == "event",
                entries.c.kind.in_(["charge", "ivt_credit"]),
            )
        ).all()
        credited = {row.cause_id for row in rows if row.kind == "ivt_credit"}
        for row in rows:
            if row.cause_id not in credited:
                found.setdefault(row.cause_id, []).append(Posting(row.account, row.amount_nanos))
    return {cause: tuple(sides) for cause, sides in found.items()}
