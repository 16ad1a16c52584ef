"""Late findings in SQL: one transaction credits all events of a finding, and notes what it did for its repetitions."""

import json
from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass, replace

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.account_store import read_placements
from bihuan_attribution.billing_store import BILLING, add_figures, write_spendings
from bihuan_attribution.domain.books import Books, Effects
from bihuan_attribution.domain.event import EventType
from bihuan_attribution.domain.findings import Credit, Credited, Finding, Told, cause_of, credit_finding
from bihuan_attribution.domain.touch import Touch
from bihuan_attribution.event_log_store import (
    BILLING_HEAD,
    LEDGER_HEAD,
    chunks,
    consumer_position,
    lock_head,
    read_positions,
    signed,
)
from bihuan_attribution.journal_store import Operation, note_operations
from bihuan_attribution.ledger_store import read_purses, write_entries
from bihuan_attribution.person_history import read_history
from bihuan_attribution.rank_store import read_charges
from bihuan_attribution.terms_store import read_terms
from bihuan_attribution.touch_store import touch_from
from bihuan_shared.errors import AlreadyExists
from bihuan_shared.sql import Database, insert_ignore

FINDING = "finding"
_Body = dict[str, object]


@dataclass(frozen=True, slots=True)
class SqlFindings:
    """The findings of one database."""

    database: Database

    async def credit(self, finding: Finding, now_us: int) -> Credited:
        """
        Give back what the events were charged, in one transaction.

        The same finding again answers what it did; AlreadyExists where its id came with another content.
        """
        return await self.database.write(lambda c: self._credit(c, finding, now_us))

    def _credit(self, connection: sa.Connection, finding: Finding, now_us: int) -> Credited:
        # Billing holds the first lock: an event is billed wholly before a finding or wholly after it.
        lock_head(connection, BILLING_HEAD)
        lock_head(connection, LEDGER_HEAD)
        told = _told_body(finding)
        held = _read_operation(connection, finding.finding_id)
        if held is not None:
            if held["told"] != told:
                raise AlreadyExists(f"finding {finding.finding_id} was made with another content")
            return _credited(held["done"])
        touches = _read_touches(connection, finding.distinct)
        books = _read_books(connection, touches)
        effects, done = credit_finding(finding, touches, books, now_us)
        self._write(connection, books, effects, done, now_us)
        # What was billed by then is what the finding could give back.
        body = {"told": told, "done": _done_body(done), "position": consumer_position(connection, BILLING)}
        note_operations(connection, [Operation(FINDING, finding.finding_id, now_us, body)])
        return done

    def _write(self, connection: sa.Connection, books: Books, effects: Effects, done: Credited, now_us: int) -> None:
        dialect = self.database.dialect
        if not done.credits:
            return
        table = schema.touches
        mark = table.update().where(table.c.position == sa.bindparam("p")).values(invalid=sa.bindparam("x"))
        connection.execute(mark, [{"p": position, "x": reason} for position, reason in done.late.items()])
        write_entries(connection, dialect, effects.entries, book_time_us=now_us, purses=books.purses.values())
        write_spendings(connection, dialect, books.spendings)
        connection.execute(insert_ignore(dialect, schema.unbilled), [asdict(one) for one in effects.unbilled])
        add_figures(connection, dialect, effects, now_us)


def _read_touches(connection: sa.Connection, events: Iterable[Told]) -> dict[Told, Touch]:
    table = schema.touches
    wanted = set(events)
    found: dict[Told, Touch] = {}
    for chunk in chunks({event_id for _, event_id in wanted}):
        for row in connection.execute(sa.select(table).where(table.c.token_id.in_(chunk))):
            told = (EventType(row.event_type), row.token_id)
            if told in wanted:
                found[told] = touch_from(row)
    return _as_counted(connection, found)


def _as_counted(connection: sa.Connection, touches: dict[Told, Touch]) -> dict[Told, Touch]:
    """Touches with the persons that their impressions were counted for, though they were erased since."""
    nobodys = {one.position: told for told, one in touches.items() if not one.person_id}
    told_of = [one for one in read_positions(connection, nobodys) if one.person_id]
    if not told_of:
        return touches
    history = read_history(connection)
    counted = dict(touches)
    for event in told_of:
        if not history.erased((event.person_id, signed(event.sighting_id)), event.position):
            told = nobodys[event.position]
            counted[told] = replace(touches[told], person_id=event.person_id)
    return counted


def _read_books(connection: sa.Connection, touches: dict[Told, Touch]) -> Books:
    """What giving back needs; budgets only get differences, so that what is charged already is not read."""
    ads = [touch.ad for touch in touches.values()]
    return Books(
        terms=read_terms(connection, {ad.campaign_id for ad in ads}),
        placements=read_placements(connection, {ad.placement_id for ad in ads}),
        charged=read_charges(connection, {cause_of(told) for told in touches}),
        purses=read_purses(connection, {ad.advertiser_id for ad in ads}),
    )


def _read_operation(connection: sa.Connection, finding_id: str) -> _Body | None:
    table = schema.operations
    query = sa.select(table.c.body).where(table.c.operation_id == finding_id, table.c.kind == FINDING)
    text = connection.execute(query).scalar()
    if text is None:
        return None
    body: _Body = json.loads(text)
    return body


def _told_body(finding: Finding) -> _Body:
    return {"reason": finding.reason, "events": [cause_of(told) for told in finding.distinct]}


def _done_body(done: Credited) -> _Body:
    return {
        "credits": [list(astuple(one)) for one in done.credits],
        "unchanged_count": done.unchanged_count,
        "unknown_count": done.unknown_count,
        "spendings": done.spendings,
    }


def _credited(body: object) -> Credited:
    assert isinstance(body, dict)
    return Credited(
        credits=[Credit(*one) for one in body["credits"]],
        unchanged_count=body["unchanged_count"],
        unknown_count=body["unknown_count"],
        spendings=[(advertiser_id, (key[0], key[1])) for advertiser_id, key in body["spendings"]],
        late={},
    )
