"""
Who is who in SQL: what is kept of identity's changes, and what billing holds of persons brought up to them.

The log keeps persons as they were told. Touches and orders hold the person that each of them is now, so that clicks and
orders of one person meet; both always equal what `_who_is` makes of the logged event.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.domain.event import EventType, LoggedEvent
from bihuan_attribution.event_log_store import (
    BILLING_HEAD,
    chunks,
    consumer_position,
    lock_head,
    signed,
    unsigned,
)
from bihuan_shared.errors import Unavailable
from bihuan_shared.person_change import PersonsChange
from bihuan_shared.sql import Database, insert_ignore, upsert

PAGE: Final = 500
_BILLING: Final = "billing"
_Told = tuple[int, int]
_Recounts = set[tuple[str, int]]


def as_now(connection: sa.Connection, events: Sequence[LoggedEvent]) -> list[LoggedEvent]:
    """Events with the persons that theirs are now."""
    now = _who_is(connection, {(one.person_id, one.sighting_id) for one in events if one.person_id})
    return [
        replace(one, person_id=now[told])
        if (told := (one.person_id, one.sighting_id)) in now and now[told] != one.person_id
        else one
        for one in events
    ]


def followed(connection: sa.Connection) -> int:
    """The last change that was followed; 0 where there was none."""
    return int(connection.execute(sa.select(sa.func.max(schema.followed_changes.c.change_id))).scalar() or 0)


@dataclass(frozen=True, slots=True)
class SqlPersons:
    """The persons of one database."""

    database: Database

    async def position(self) -> int:
        """The last change that was followed; 0 where there was none."""
        return await self.database.read(followed)

    async def as_now(self, events: Sequence[LoggedEvent]) -> list[LoggedEvent]:
        """Events with the persons that theirs are now."""
        return await self.database.read(lambda c: as_now(c, events))

    async def follow(self, change: PersonsChange) -> None:
        """
        Follow the next change in one transaction; nothing happens where it was followed before.

        Raises Unavailable where a change before it is missing.
        """
        await self.database.write(lambda c: self._follow(c, change))

    def _follow(self, connection: sa.Connection, change: PersonsChange) -> None:
        # Billing holds the same lock: an event is billed wholly before a change or wholly after it.
        lock_head(connection, BILLING_HEAD)
        last = followed(connection)
        if change.change_id <= last:
            return
        if change.change_id > last + 1:
            raise Unavailable(f"change {last + 1} of who is who has not come")
        self._note(connection, change)
        recounts = _move_touches(connection, change)
        _move_orders(connection, change)
        self._want_recounts(connection, change, recounts)
        parts = [[part.person_id, sorted(part.sighting_ids)] for part in change.parts]
        row = {
            "change_id": change.change_id,
            "position": consumer_position(connection, _BILLING),
            "content": json.dumps({"before": change.before_ids, "parts": parts}),
        }
        connection.execute(schema.followed_changes.insert(), [row])

    def _note(self, connection: sa.Connection, change: PersonsChange) -> None:
        """Know from now on under which id each person lives."""
        aliases, dialect = schema.person_aliases, self.database.dialect
        gone = change.absorbed_ids or change.erased_ids
        for chunk in chunks(gone):
            rows = [{"person_id": one, "survivor_id": change.survivor_id} for one in chunk]
            connection.execute(upsert(dialect, aliases, key=["person_id"], update=["survivor_id"]), rows)
        for chunk in chunks(change.part_ids):
            connection.execute(aliases.delete().where(aliases.c.person_id.in_(chunk)))
        sightings = upsert(dialect, schema.moved_sightings, key=["sighting_id"], update=["person_id"])
        for some in chunks(change.owners.items()):
            connection.execute(sightings, [{"sighting_id": signed(one), "person_id": owner} for one, owner in some])

    def _want_recounts(self, connection: sa.Connection, change: PersonsChange, recounts: _Recounts) -> None:
        table = schema.recounts
        losing = set(change.before_ids) - {change.survivor_id}
        rows = [
            {"advertiser_id": advertiser_id, "person_id": person_id, "lost": 0}
            for advertiser_id, person_id in sorted(recounts)
        ]
        lost = [row | {"lost": 1} for row in rows if row["person_id"] in losing]
        if rows:
            connection.execute(insert_ignore(self.database.dialect, table), rows)
        if lost:
            key = ["advertiser_id", "person_id"]
            connection.execute(upsert(self.database.dialect, table, key=key, update=["lost"]), lost)


def _who_is(connection: sa.Connection, told: Iterable[_Told]) -> dict[_Told, int]:
    """The person that each (person, sighting) is now; 0 where it was erased."""
    wanted = list(told)
    sightings, aliases = schema.moved_sightings, schema.person_aliases
    moved: dict[int, int] = {}
    for chunk in chunks({signed(sighting_id) for _, sighting_id in wanted if sighting_id}):
        rows = connection.execute(sa.select(sightings).where(sightings.c.sighting_id.in_(chunk)))
        moved |= {unsigned(row.sighting_id): row.person_id for row in rows}
    then = {one: moved.get(one[1], one[0]) for one in wanted}
    survivors: dict[int, int] = {}
    asked: set[int] = set()
    while wanted_ids := {*then.values(), *survivors.values()} - asked:
        for chunk in chunks(wanted_ids):
            rows = connection.execute(sa.select(aliases).where(aliases.c.person_id.in_(chunk)))
            survivors |= {row.person_id: row.survivor_id for row in rows}
        asked |= wanted_ids
    return {one: _last(survivors, person_id) for one, person_id in then.items()}


def _last(survivors: dict[int, int], person_id: int) -> int:
    while person_id in survivors:
        person_id = survivors[person_id]
    return person_id


def _move_touches(connection: sa.Connection, change: PersonsChange) -> _Recounts:
    """Give touches to the persons that they are of now; whose impressions of which advertiser that concerns."""
    touches, events = schema.touches, schema.events
    concerned: _Recounts = set()
    query = sa.select(
        touches.c.position, touches.c.event_type, touches.c.advertiser_id, touches.c.person_id.label("held"),
        events.c.person_id, events.c.sighting_id,
    ).join(events, events.c.position == touches.c.position)  # fmt: skip
    for page in _pages(connection, query, touches, change.before_ids):
        for row, person_id in _moved(connection, page):
            if row.event_type == int(EventType.IMPRESSION):
                concerned |= {(row.advertiser_id, row.held), (row.advertiser_id, person_id)}
    return {(advertiser_id, person_id) for advertiser_id, person_id in concerned if person_id}


def _move_orders(connection: sa.Connection, change: PersonsChange) -> None:
    orders, events = schema.orders, schema.events
    query = sa.select(
        orders.c.position, orders.c.person_id.label("held"), events.c.person_id, events.c.sighting_id
    ).join(events, events.c.position == orders.c.position)
    for page in _pages(connection, query, orders, change.before_ids):
        _moved(connection, page)


@dataclass(frozen=True, slots=True)
class _Page:
    table: sa.Table
    rows: Sequence["sa.Row[tuple[object, ...]]"]


def _pages(
    connection: sa.Connection, query: "sa.Select[tuple[object, ...]]", table: sa.Table, person_ids: Sequence[int]
) -> Iterable[_Page]:
    """Rows of some persons in pages by position, so that no list grows with how long a person was around."""
    for chunk in chunks(person_ids):
        after = 0
        of_chunk = query.where(table.c.person_id.in_(chunk), table.c.person_id > 0)
        while True:
            rows = connection.execute(of_chunk.where(table.c.position > after).order_by(table.c.position).limit(PAGE))
            page = rows.all()
            if not page:
                break
            yield _Page(table, page)
            after = int(page[-1].position)


def _moved(connection: sa.Connection, page: _Page) -> list[tuple["sa.Row[tuple[object, ...]]", int]]:
    """Bring a page up to date; the rows that went to another person, with that person."""
    now = _who_is(connection, {(row.person_id, unsigned(row.sighting_id)) for row in page.rows})
    new = [(row, now[row.person_id, unsigned(row.sighting_id)]) for row in page.rows]
    moved = [(row, person_id) for row, person_id in new if person_id != row.held]
    for person_id in {person_id for _, person_id in moved}:
        positions = [row.position for row, owner in moved if owner == person_id]
        # Orders are not indexed by position.
        where = page.table.c.person_id.in_({row.held for row, _ in moved}) & page.table.c.position.in_(positions)
        connection.execute(page.table.update().where(where).values(person_id=person_id))
    return moved
