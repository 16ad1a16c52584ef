"""
A service's own SQL database: SQLite in one file, or a schema of its own in PostgreSQL.

Statements run in worker threads, so the event loop never waits for a disk. Functions that are given to `write` see
one serializable transaction on either engine, and must not do anything but talk to the connection they get: on
PostgreSQL they run again when they lose a conflict.
"""

import asyncio
import random
import re
import sqlite3
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Self, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.pool import ConnectionPoolEntry

from bihuan_shared.errors import ResourceExhausted, Unavailable

T = TypeVar("T")

READERS: Final = 4
POSTGRES_WRITERS: Final = 4
MAX_PENDING: Final = 1_000
"""Calls that may wait or run at once; more are refused."""

_BUSY_TIMEOUT_MS: Final = 5_000
_STATEMENT_TIMEOUT_MS: Final = 30_000
_CONNECT_TIMEOUT_S: Final = 5
_CONFLICT_ATTEMPTS: Final = 10
_CONFLICT_BACKOFF_S: Final = 0.01
_WAL_ATTEMPTS: Final = 200
# serialization_failure, deadlock_detected
_CONFLICTS: Final = frozenset({"40001", "40P01"})
# Of sqlite3's OperationalErrors these are a wrong statement and a write in `read`, not a lost store.
_SQLITE_MISTAKES: Final = frozenset({1, 8})
_SQLITE_PRIMARY_CODE: Final = 0xFF

_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}", re.ASCII)

BigId: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""A 64-bit integer that can also be SQLite's self-numbering primary key."""


@dataclass(frozen=True, slots=True, eq=False)
class _Lane:
    """An engine, and the threads that may use it; as many connections as threads."""

    engine: sa.Engine
    threads: ThreadPoolExecutor

    def close(self) -> None:
        self.threads.shutdown(wait=True)
        self.engine.dispose()


class Database:
    """One service's own database, open."""

    __slots__ = ("_closed", "_pending", "_reading", "_writing", "dialect")

    def __init__(self, dialect: str, writing: _Lane, reading: _Lane) -> None:
        """Use `Database.open`."""
        self.dialect = dialect
        self._writing = writing
        self._reading = reading
        self._pending = 0
        self._closed = False

    @classmethod
    async def open(cls, url: str, metadata: sa.MetaData, *, schema: str) -> Self:
        """
        Open the database and create the tables of `metadata` that it lacks.

        `url` is `sqlite:///path` (the folder is made) or `postgresql+psycopg://…`, where everything lives in `schema`.
        Several processes may open one database at the same moment. Raises ValueError for another kind of URL and
        Unavailable where the database does not answer.
        """
        if _SCHEMA.fullmatch(schema) is None:
            raise ValueError("a schema is named in lower-case letters, digits and '_'")
        parsed = sa.make_url(url)
        if parsed.drivername in {"postgresql", "postgresql+psycopg"}:
            build = partial(_build_postgres, parsed.set(drivername="postgresql+psycopg"), metadata, schema)
        elif parsed.drivername in {"sqlite", "sqlite+pysqlite"} and parsed.database not in {None, "", ":memory:"}:
            build = partial(_build_sqlite, parsed, metadata)
        else:
            raise ValueError("a database URL is sqlite:///<path> or postgresql+psycopg://<host>/<database>")
        dialect, writing, reading = await asyncio.to_thread(build)
        return cls(dialect, writing, reading)

    async def write(self, fn: Callable[[sa.Connection], T]) -> T:
        """
        The result of `fn`, run in one transaction that is committed on return and rolled back when `fn` raises.

        Raises what `fn` raised; Unavailable where the database is lost, stays locked, or conflicts did not end; and
        ResourceExhausted where too many calls wait. After Unavailable the commit may have happened: repeat with the
        same ids. A cancelled call that waits does nothing; one that runs, runs to its end.
        """
        return await self._run(self._writing, fn)

    async def read(self, fn: Callable[[sa.Connection], T]) -> T:
        """The result of `fn` on one consistent snapshot, in which nothing can be written. Errors as in `write`."""
        return await self._run(self._reading, fn)

    async def ping(self) -> bool:
        """Whether the database answers; for readiness."""
        try:
            await self.read(lambda connection: connection.execute(sa.select(1)).scalar_one())
        except (Unavailable, ResourceExhausted):
            return False
        return True

    async def close(self) -> None:
        """Wait for what runs, then close every connection. A second call does nothing."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._writing.close)
            await asyncio.to_thread(self._reading.close)

    async def _run(self, lane: _Lane, fn: Callable[[sa.Connection], T]) -> T:
        if self._closed:
            raise Unavailable("the database is closed")
        if self._pending >= MAX_PENDING:
            raise ResourceExhausted("too many calls wait for the database")
        self._pending += 1
        running = lane.threads.submit(copy_context().run, _transact, lane.engine, fn)
        loop = asyncio.get_running_loop()
        running.add_done_callback(lambda _: self._release(loop))
        return await asyncio.wrap_future(running)

    def _release(self, loop: asyncio.AbstractEventLoop) -> None:
        # The loop may have ended before the thread did.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self._count_down)

    def _count_down(self) -> None:
        self._pending -= 1


def insert_ignore(dialect: str, table: sa.Table) -> "sqlite.Insert | postgresql.Insert":
    """
    An insert that skips rows which meet any unique key.

    Its row count is the number of rows that were new, for one row, for many in `values`, and for many as parameters.
    """
    return _insert(dialect, table).on_conflict_do_nothing().execution_options(preserve_rowcount=True)


def upsert(dialect: str, table: sa.Table, *, key: Iterable[str], update: Iterable[str]) -> sa.Insert:
    """An insert that, where the unique `key` columns meet a row, sets its `update` columns to the new values."""
    statement = _insert(dialect, table)
    changes = {name: statement.excluded[name] for name in update}
    return statement.on_conflict_do_update(index_elements=list(key), set_=changes)


def conditional_upsert(
    dialect: str, table: sa.Table, *, key: Iterable[str], update: Iterable[str], where: sa.ColumnElement[bool]
) -> sa.Insert:
    """An `upsert` that leaves a row as it is where `where` does not hold for it; its row count is then 0."""
    statement = _insert(dialect, table)
    changes = {name: statement.excluded[name] for name in update}
    changed = statement.on_conflict_do_update(index_elements=list(key), set_=changes, where=where)
    return changed.execution_options(preserve_rowcount=True)


def _insert(dialect: str, table: sa.Table) -> "sqlite.Insert | postgresql.Insert":
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def _transact(engine: sa.Engine, fn: Callable[[sa.Connection], T]) -> T:
    """Run one transaction, again where it lost a conflict, and name a lost store as such."""
    for attempt in range(1, _CONFLICT_ATTEMPTS + 1):
        try:
            with engine.begin() as connection:
                return fn(connection)
        except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
            if getattr(getattr(error, "orig", None), "sqlstate", None) in _CONFLICTS:
                # Full jitter, so that those who met once do not meet again.
                time.sleep(random.uniform(0, _CONFLICT_BACKOFF_S * 2**attempt))  # noqa: S311  # spreads load, no more
                continue
            if _is_lost(error):
                raise Unavailable("the database does not answer") from error
            raise
    raise Unavailable("the database is too busy with conflicting writes")


def _is_lost(error: sa.exc.DBAPIError | sa.exc.TimeoutError) -> bool:
    if isinstance(error, sa.exc.TimeoutError) or error.connection_invalidated:
        return True
    if isinstance(error.orig, sqlite3.Error):
        code = error.orig.sqlite_errorcode & _SQLITE_PRIMARY_CODE
        return isinstance(error, sa.exc.OperationalError) and code not in _SQLITE_MISTAKES
    return isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError)


def _build_sqlite(url: sa.URL, metadata: sa.MetaData) -> tuple[str, _Lane, _Lane]:
    Path(url.database or "").absolute().parent.mkdir(parents=True, exist_ok=True)
    writing = _sqlite_lane(url, "BEGIN IMMEDIATE", threads=1)
    reading = _sqlite_lane(url, "BEGIN", threads=READERS, pragmas=("query_only=ON",))
    return _prepared("sqlite", writing, reading, lambda: _transact(writing.engine, partial(_create, metadata)))


def _sqlite_lane(url: sa.URL, begin: str, *, threads: int, pragmas: tuple[str, ...] = ()) -> _Lane:
    engine = sa.create_engine(url, pool_size=threads, max_overflow=0, connect_args={"check_same_thread": False})

    def set_up(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        # The driver begins no transaction of its own; `begin` below does.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
        _use_wal(connection)
        for pragma in ("synchronous=FULL", "foreign_keys=ON", *pragmas):
            connection.execute(f"PRAGMA {pragma}")

    sa.event.listen(engine, "connect", set_up)
    sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return _Lane(engine, ThreadPoolExecutor(threads, thread_name_prefix="sqlite"))


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switching a new file to WAL needs it alone, and SQLite does not wait for that by itself."""
    for attempt in range(_WAL_ATTEMPTS):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if attempt + 1 == _WAL_ATTEMPTS:
                raise
            time.sleep(_BUSY_TIMEOUT_MS / 1_000 / _WAL_ATTEMPTS)
        else:
            return


def _build_postgres(url: sa.URL, metadata: sa.MetaData, schema: str) -> tuple[str, _Lane, _Lane]:
    writing = _postgres_lane(url, schema, threads=POSTGRES_WRITERS, isolation="SERIALIZABLE")
    reading = _postgres_lane(url, schema, threads=READERS, isolation="REPEATABLE READ", read_only=True)

    def create(connection: sa.Connection) -> None:
        # Not serializable: after waiting for the lock, what its holder created must be seen.
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(schema, 0))))
        connection.execute(sa.schema.CreateSchema(schema, if_not_exists=True))
        _create(metadata, connection)

    creating = writing.engine.execution_options(isolation_level="READ COMMITTED")
    return _prepared("postgresql", writing, reading, lambda: _transact(creating, create))


def _postgres_lane(url: sa.URL, schema: str, *, threads: int, isolation: str, read_only: bool = False) -> _Lane:
    options = f"-c search_path={schema} -c statement_timeout={_STATEMENT_TIMEOUT_MS} -c timezone=UTC"
    options += f" -c default_transaction_read_only={'on' if read_only else 'off'}"
    engine = sa.create_engine(
        url,
        pool_size=threads,
        max_overflow=0,
        pool_pre_ping=True,
        isolation_level=isolation,
        connect_args={"options": options, "connect_timeout": _CONNECT_TIMEOUT_S},
    )
    return _Lane(engine, ThreadPoolExecutor(threads, thread_name_prefix="postgres"))


def _create(metadata: sa.MetaData, connection: sa.Connection) -> None:
    """Create what is not there: tables, and of older tables the columns that came later and have a default."""
    before = sa.inspect(connection).get_multi_columns(filter_names=list(metadata.tables))
    held = {table: {column["name"] for column in columns} for (_, table), columns in before.items()}
    metadata.create_all(connection)
    for table in metadata.sorted_tables:
        for column in table.columns if table.name in held else ():
            if column.name not in held[table.name] and column.server_default is not None:
                definition = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {definition}")


def _prepared(dialect: str, writing: _Lane, reading: _Lane, create: Callable[[], None]) -> tuple[str, _Lane, _Lane]:
    try:
        create()
    except BaseException:
        writing.close()
        reading.close()
        raise
    return dialect, writing, reading
