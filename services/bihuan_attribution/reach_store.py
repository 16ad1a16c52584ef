"""Sketches of who was reached, in SQL: written behind billing by a consumer of their own, united for reports."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.account_store import read_placements
from bihuan_attribution.domain.event import DAY_US, EventType
from bihuan_attribution.domain.reach import Sketch, hash_person, told
from bihuan_attribution.domain.report import Dimension
from bihuan_attribution.event_log_store import chunks, consumer_position
from bihuan_attribution.use_cases.report_ports import ReportQuery
from bihuan_shared.errors import InvalidArgument
from bihuan_shared.sql import Database, insert_ignore, upsert

REACH: Final = "reach"
REACH_BATCH: Final = 5_000
MAX_SKETCHES: Final = 50_000
"""Most sketches that one page of a report may unite: about a second."""
_BILLING: Final = "billing"
_KEY_NAME: Final = "person"
_KEYS_AT_ONCE: Final = 100
_table = schema.reach_sketches
_KEY = tuple(column.name for column in _table.primary_key.columns)
_COLUMNS: "dict[Dimension, sa.ColumnElement[object]]" = {
    Dimension.ADVERTISER: _table.c.advertiser_id,
    Dimension.CAMPAIGN: _table.c.campaign_id,
    Dimension.CREATIVE: _table.c.creative_id,
    Dimension.PLACEMENT: _table.c.placement_id,
    Dimension.TRAFFIC_SOURCE: _table.c.traffic_source,
    Dimension.DAY: _table.c.day_us,
}
_Key = tuple[object, ...]


async def prepare_reach(database: Database, secret: bytes) -> bytes:
    """The key of hashes in sketches: `secret` for a new database, else the one that it has."""
    keys = schema.reach_keys
    new = insert_ignore(database.dialect, keys)
    await database.write(lambda c: c.execute(new, [{"name": _KEY_NAME, "secret": secret}]))
    query = sa.select(keys.c.secret).where(keys.c.name == _KEY_NAME)
    return bytes(await database.read(lambda c: c.execute(query).scalar_one()))


@dataclass(frozen=True, slots=True)
class _Batch:
    """New persons by sketch, up to a position of the log."""

    start: int
    end: int
    persons: dict[_Key, set[int]]


class SqlReach:
    """
    The consumer `reach`: takes counted impressions of known persons into the sketches of their day.

    The position is committed with the sketches; a range that is taken twice changes nothing.
    """

    def __init__(self, database: Database, key: bytes) -> None:
        self._database = database
        self._key = key

    async def step(self, batch: int = REACH_BATCH) -> int:
        """Take in what was billed of up to `batch` events; the answer is how many there were."""
        found = await self._database.read(lambda c: _read_batch(c, batch))
        if found.end > found.start:
            await self._database.write(lambda c: self._take(c, found))
        return found.end - found.start

    def _take(self, connection: sa.Connection, batch: _Batch) -> None:
        held = _read_sketches(connection, sorted(batch.persons, key=str))
        rows: list[dict[str, object]] = []
        for key, persons in batch.persons.items():
            sketch = Sketch.of_bytes(held[key]) if key in held else Sketch()
            sketch.add(hash_person(one, self._key) for one in sorted(persons))
            content = sketch.to_bytes()
            if content != held.get(key):
                rows.append({**dict(zip(_KEY, key, strict=True)), "sketch": content})
        if rows:
            connection.execute(upsert(self._database.dialect, _table, key=_KEY, update=["sketch"]), rows)
        _advance(connection, self._database.dialect, batch.end)


def _advance(connection: sa.Connection, dialect: str, position: int) -> None:
    """Note the position without reading it: on PostgreSQL a reader would conflict with billing."""
    table = schema.consumers
    connection.execute(insert_ignore(dialect, table), [{"consumer": REACH, "position": 0}])
    where = (table.c.consumer == REACH) & (table.c.position < position)
    connection.execute(table.update().where(where).values(position=position))


def _read_batch(connection: sa.Connection, batch: int) -> _Batch:
    start = consumer_position(connection, REACH)
    end = min(consumer_position(connection, _BILLING), start + batch)
    touches = schema.touches
    query = sa.select(
        touches.c.advertiser_id, touches.c.campaign_id, touches.c.creative_id, touches.c.placement_id,
        touches.c.currency, touches.c.bill_time_us, touches.c.person_id,
    ).where(
        touches.c.position > start, touches.c.position <= end, touches.c.event_type == int(EventType.IMPRESSION),
        touches.c.invalid == "", touches.c.person_id > 0,
    )  # fmt: skip
    rows = connection.execute(query).all()
    placements = read_placements(connection, {row.placement_id for row in rows})
    persons: dict[_Key, set[int]] = defaultdict(set)
    for advertiser_id, campaign_id, creative_id, placement_id, currency, bill_us, person_id in rows:
        source = placements.traffic_source(placement_id, bill_us)
        day_us = bill_us - bill_us % DAY_US
        persons[advertiser_id, campaign_id, creative_id, placement_id, source, currency, day_us].add(person_id)
    return _Batch(start, end, persons)


def _read_sketches(connection: sa.Connection, keys: Sequence[_Key]) -> dict[_Key, bytes]:
    found: dict[_Key, bytes] = {}
    columns = [_table.c[name] for name in _KEY]
    for chunk in chunks(keys, _KEYS_AT_ONCE):
        for row in connection.execute(sa.select(*columns, _table.c.sketch).where(sa.tuple_(*columns).in_(chunk))):
            found[tuple(row[:-1])] = bytes(row.sketch)
    return found


def read_reach(connection: sa.Connection, query: ReportQuery, keys: Sequence[_Key]) -> list[int | None]:
    """
    The reach of rows of a report, each named by the values of its dimensions as they are stored, and its currency.

    Raises InvalidArgument where more than `MAX_SKETCHES` would have to be united.
    """
    if not keys:
        return []
    columns = [*(_COLUMNS[one] for one in query.dimensions), _table.c.currency]
    row = sa.tuple_(*columns)
    where = [row >= sa.tuple_(*map(sa.literal, keys[0])), row <= sa.tuple_(*map(sa.literal, keys[-1]))]
    if query.start_us is not None:
        where.append(_table.c.day_us >= query.start_us)
    if query.end_us is not None:
        where.append(_table.c.day_us < query.end_us)
    if query.advertiser_ids:
        where.append(_table.c.advertiser_id.in_(query.advertiser_ids))
    if query.campaign_ids:
        where.append(_table.c.campaign_id.in_(query.campaign_ids))
    found = connection.execute(sa.select(*columns, _table.c.sketch).where(*where).limit(MAX_SKETCHES + 1)).all()
    if len(found) > MAX_SKETCHES:
        raise InvalidArgument.of("with_reach", "covers too much; narrow the interval, or ask for smaller pages")
    sketches: dict[_Key, list[Sketch]] = defaultdict(list)
    for one in found:
        sketches[tuple(one[:-1])].append(Sketch.of_bytes(bytes(one.sketch)))
    return [told(Sketch.united(sketches[key]).estimate) if key in sketches else None for key in keys]
