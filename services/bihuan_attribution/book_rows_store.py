"""
Rows that the books rest on beside events, from SQL to the lake, so that the books can be recomputed from it alone.

| dataset          | a row                                                       | numbered by                  |
|------------------|-------------------------------------------------------------|------------------------------|
| `terms`          | one version of a campaign's terms, rates as JSON            | `seq` of all terms           |
| `accounts`       | one version of an advertiser's account                      | `seq` of all terms           |
| `placements`     | one version of a placement                                  | `seq` of all terms           |
| `operations`     | what moved money and is no event; `body` is JSON            | `seq` of the journal         |
| `persons`        | one change of who is who; `content` is JSON                 | `change_id`                  |
| `refusals`       | an event that ran over a budget or a balance                | `noted_position` in the log  |
| `traffic_limits` | limits of invalid traffic from a position on; JSON          | `seq` of the limits          |
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.event_log_store import TERMS_HEAD, consumer_position, set_position
from bihuan_shared.errors import Unavailable
from bihuan_shared.lake import Lake
from bihuan_shared.sql import Database

MAX_NUMBERS: Final = 20_000
"""Most numbers of one file."""
PREFIX: Final = "lake:"
_BILLING: Final = "billing"
_ARROW: Final = {sa.Text: pa.string(), sa.Boolean: pa.bool_(), sa.SmallInteger: pa.int64()}


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a dataset's rows are; `time` is the column of their time, empty where they name a position instead."""

    table: sa.Table
    number: str
    head: Callable[[sa.Connection], int]
    time: str = ""
    position: str = ""
    where: sa.ColumnElement[bool] | None = None


def _terms_head(connection: sa.Connection) -> int:
    heads = schema.heads
    return int(connection.execute(sa.select(heads.c.position).where(heads.c.name == TERMS_HEAD)).scalar() or 0)


def _billed(connection: sa.Connection) -> int:
    return consumer_position(connection, _BILLING)


def _last(column: "sa.ColumnElement[int]") -> Callable[[sa.Connection], int]:
    return lambda connection: int(connection.execute(sa.select(sa.func.max(column))).scalar() or 0)


_SOURCES: Final = {
    "terms": _Source(schema.terms, "seq", _terms_head, time="effective_time_us"),
    "accounts": _Source(schema.advertiser_terms, "seq", _terms_head, time="effective_time_us"),
    "placements": _Source(schema.placement_terms, "seq", _terms_head, time="effective_time_us"),
    "operations": _Source(schema.operations, "seq", _last(schema.operations.c.seq), time="time_us"),
    "persons": _Source(
        schema.followed_changes, "change_id", _last(schema.followed_changes.c.change_id), position="position"
    ),
    # All other reasons follow from the events; these two from the order in which budgets and balances were met.
    "refusals": _Source(
        schema.unbilled,
        "noted_position",
        _billed,
        position="noted_position",
        where=schema.unbilled.c.reason.in_(["over_budget", "over_balance"]),
    ),
    "traffic_limits": _Source(schema.traffic_limits, "seq", _last(schema.traffic_limits.c.seq), position="position"),
}


def book_heads(connection: sa.Connection) -> dict[str, int]:
    """The last number of each dataset, by consumer name."""
    return {PREFIX + dataset: source.head(connection) for dataset, source in _SOURCES.items()}


@dataclass(frozen=True, slots=True)
class SqlBookRows:
    """The datasets of one database, and the lake that they go to."""

    database: Database
    lake: Lake

    async def behind(self) -> Sequence[str]:
        """Datasets that hold more than was written."""
        return await self.database.read(_behind)

    async def plan(self, dataset: str) -> tuple[int, int]:
        """The numbers `(after, upto]` to write next: the same ones again until they are done."""
        return await self.database.write(lambda c: self._plan(c, dataset))

    def _plan(self, connection: sa.Connection, dataset: str) -> tuple[int, int]:
        name = PREFIX + dataset
        after, planned = consumer_position(connection, name), consumer_position(connection, f"{name}_planned")
        if planned <= after:
            planned = min(_SOURCES[dataset].head(connection), after + MAX_NUMBERS)
            set_position(connection, self.database.dialect, f"{name}_planned", planned)
        return after, planned

    async def write(self, dataset: str, after: int, upto: int) -> None:
        """Write the rows of these numbers, if there are any, into the hour of the latest of them; Unavailable."""
        table, time_us = await self.database.read(lambda c: _rows(c, _SOURCES[dataset], after, upto))
        if not table.num_rows:
            return
        try:
            await self.lake.write(dataset, f"{after + 1:016d}-{upto:016d}", table, time_us=time_us)
        except OSError as error:
            raise Unavailable("the lake cannot be written") from error

    async def done(self, dataset: str, upto: int) -> None:
        """Note that everything up to a number was written; never goes back."""
        await self.database.write(lambda c: self._done(c, PREFIX + dataset, upto))

    def _done(self, connection: sa.Connection, name: str, upto: int) -> None:
        if consumer_position(connection, name) < upto:
            set_position(connection, self.database.dialect, name, upto)


def _behind(connection: sa.Connection) -> list[str]:
    heads = book_heads(connection)
    return [name.removeprefix(PREFIX) for name, head in heads.items() if consumer_position(connection, name) < head]


def _rows(connection: sa.Connection, source: _Source, after: int, upto: int) -> tuple[pa.Table, int]:
    number = source.table.c[source.number]
    query = sa.select(source.table).where(number > after, number <= upto).order_by(*source.table.primary_key)
    if source.where is not None:
        query = query.where(source.where)
    rows = connection.execute(query).all()
    arrow = pa.schema([(column.name, _ARROW.get(type(column.type), pa.int64())) for column in source.table.columns])
    columns = {name: pa.array([getattr(row, name) for row in rows], arrow.field(name).type) for name in arrow.names}
    return pa.table(columns, schema=arrow), _time_us(connection, source, rows)


def _time_us(connection: sa.Connection, source: _Source, rows: "Sequence[sa.Row[tuple[object, ...]]]") -> int:
    """The latest time of rows: their own, or of the event at their position; it follows from the rows alone."""
    if not rows or source.time:
        return max((0, *(int(getattr(row, source.time)) for row in rows)))
    events = schema.events
    query = sa.select(events.c.receive_time_us).where(
        events.c.position == max(getattr(row, source.position) for row in rows)
    )
    return int(connection.execute(query).scalar() or 0)
