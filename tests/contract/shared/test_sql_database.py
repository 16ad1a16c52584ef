"""What `Database` promises, on SQLite and on PostgreSQL alike."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from bihuan_shared import sql
from bihuan_shared.clock import ReplayClock, set_replay_time_us
from bihuan_shared.errors import ResourceExhausted, Unavailable
from bihuan_shared.sql import BigId, Database, conditional_upsert, insert_ignore, upsert

METADATA = sa.MetaData()
PARENT = sa.Table("parent", METADATA, sa.Column("id", BigId, primary_key=True), sa.Column("n", sa.BigInteger))
CHILD = sa.Table(
    "child",
    METADATA,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("parent_id", sa.ForeignKey("parent.id"), nullable=False),
)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(database_url, METADATA, schema="service")
    yield opened
    await opened.close()


def _insert(number: int) -> sa.Insert:
    return sa.insert(PARENT).values(id=number, n=0)


def _count(connection: sa.Connection) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(PARENT)).scalar_one()


def _increment(connection: sa.Connection) -> None:
    """Read, then write: right only where transactions are serializable."""
    value = connection.execute(sa.select(PARENT.c.n).where(PARENT.c.id == 1)).scalar_one()
    connection.execute(sa.update(PARENT).where(PARENT.c.id == 1).values(n=value + 1))


async def test_write_commits_on_return_and_rolls_back_on_error(database: Database) -> None:
    def fail(connection: sa.Connection) -> None:
        connection.execute(_insert(2))
        raise LookupError

    await database.write(lambda connection: connection.execute(_insert(1)).close())
    with pytest.raises(LookupError):
        await database.write(fail)
    assert await database.read(_count) == 1


async def test_read_cannot_write(database: Database) -> None:
    with pytest.raises(sa.exc.DBAPIError):
        await database.read(lambda connection: connection.execute(_insert(1)).close())
    assert await database.read(_count) == 0


async def test_read_sees_one_snapshot(database: Database) -> None:
    begun, written = threading.Event(), threading.Event()

    def count_twice(connection: sa.Connection) -> tuple[int, int]:
        first = _count(connection)
        begun.set()
        assert written.wait(10)
        return first, _count(connection)

    reading = asyncio.create_task(database.read(count_twice))
    assert await asyncio.to_thread(begun.wait, 10)
    await database.write(lambda connection: connection.execute(_insert(1)).close())
    written.set()
    assert await reading == (0, 0)
    assert await database.read(_count) == 1


async def test_concurrent_writers_lose_no_update(database: Database, database_url: str) -> None:
    other = await Database.open(database_url, METADATA, schema="service")
    try:
        await database.write(lambda connection: connection.execute(_insert(1)).close())
        await asyncio.gather(*(each.write(_increment) for each in (database, other) for _ in range(10)))
        value = await database.read(lambda connection: connection.execute(sa.select(PARENT.c.n)).scalar_one())
    finally:
        await other.close()
    assert value == 20


async def test_many_may_open_a_new_database_at_once(database_url: str) -> None:
    opened = await asyncio.gather(*(Database.open(database_url, METADATA, schema="service") for _ in range(6)))
    assert [await each.read(_count) for each in opened] == [0] * 6
    await asyncio.gather(*(each.close() for each in opened))


async def test_data_survives_reopening(database_url: str) -> None:
    for expected in (1, 2):
        database = await Database.open(database_url, METADATA, schema="service")
        await database.write(lambda connection, number=expected: connection.execute(_insert(number)).close())  # type: ignore[misc]  # mypy cannot infer a lambda's default
        assert await database.read(_count) == expected
        await database.close()


async def test_foreign_keys_hold_and_integrity_errors_pass_through(database: Database) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        await database.write(lambda connection: connection.execute(sa.insert(CHILD).values(parent_id=7)).close())


async def test_insert_ignore_counts_the_new_rows(database: Database) -> None:
    def insert(connection: sa.Connection, *numbers: int) -> int:
        rows = [{"id": number, "n": number} for number in numbers]
        return connection.execute(insert_ignore(database.dialect, PARENT).values(rows)).rowcount

    def insert_each(connection: sa.Connection, *numbers: int) -> int:
        rows = [{"id": number, "n": number} for number in numbers]
        return connection.execute(insert_ignore(database.dialect, PARENT), rows).rowcount

    assert await database.write(lambda connection: insert(connection, 1, 2)) == 2
    assert await database.write(lambda connection: insert(connection, 2, 3, 3)) == 1
    assert await database.write(lambda connection: insert(connection, 1)) == 0
    assert await database.write(lambda connection: insert(connection, 4)) == 1
    assert await database.write(lambda connection: insert_each(connection, 4, 5, 6)) == 2
    assert await database.write(lambda connection: insert_each(connection, 6)) == 0


async def test_conditional_upsert_leaves_a_row_that_does_not_meet_its_condition(database: Database) -> None:
    def put(before: int, after: int) -> sa.Insert:
        statement = conditional_upsert(database.dialect, PARENT, key=("id",), update=("n",), where=PARENT.c.n == before)
        return statement.values(id=1, n=after)

    counts = [
        await database.write(lambda connection, one=one: connection.execute(put(*one)).rowcount)  # type: ignore[misc]
        for one in ((0, 1), (0, 2), (1, 3))
    ]
    assert counts == [1, 0, 1]
    assert await database.read(lambda connection: connection.execute(sa.select(PARENT.c.n)).scalar_one()) == 3


async def test_upsert_replaces_the_named_columns(database: Database) -> None:
    statement = upsert(database.dialect, PARENT, key=("id",), update=("n",))
    for n in (1, 2):
        await database.write(lambda connection, n=n: connection.execute(statement, [{"id": 5, "n": n}]).close())  # type: ignore[misc]  # mypy cannot infer a lambda's default
    rows = await database.read(lambda connection: connection.execute(sa.select(PARENT)).all())
    assert [tuple(row) for row in rows] == [(5, 2)]


async def test_self_numbering_key_counts_up(database: Database) -> None:
    def insert(connection: sa.Connection) -> object:
        return connection.execute(sa.insert(PARENT).values(n=0).returning(PARENT.c.id)).scalar_one()

    assert [await database.write(insert) for _ in range(2)] == [1, 2]


async def test_wrong_statement_is_not_mistaken_for_a_lost_store(database: Database) -> None:
    with pytest.raises(sa.exc.DBAPIError):
        await database.read(lambda connection: connection.execute(sa.text("select * from nowhere")).close())
    assert await database.ping()


async def test_cancelled_call_that_waits_does_nothing_and_a_running_one_finishes(database: Database) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(connection: sa.Connection) -> None:
        connection.execute(_insert(1))
        begun.set()
        assert go_on.wait(10)

    lanes = database._writing.threads._max_workers
    running = asyncio.create_task(database.write(slow))
    assert await asyncio.to_thread(begun.wait, 10)
    fillers = [asyncio.create_task(database.write(lambda _: go_on.wait(10) and None)) for _ in range(lanes - 1)]
    await asyncio.sleep(0)
    waiting = asyncio.create_task(database.write(lambda connection: connection.execute(_insert(2)).close()))
    await asyncio.sleep(0)
    running.cancel()
    waiting.cancel()
    await asyncio.gather(running, waiting, return_exceptions=True)
    go_on.set()
    await asyncio.gather(*fillers)
    await database.write(lambda connection: connection.execute(_insert(3)).close())
    ids = await database.read(lambda connection: connection.execute(sa.select(PARENT.c.id)).scalars().all())
    assert sorted(ids) == [1, 3]


async def test_too_many_waiting_calls_are_refused(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "MAX_PENDING", 2)
    results = await asyncio.gather(*(database.read(_count) for _ in range(5)), return_exceptions=True)
    assert [type(result) for result in results] == [int, int, *[ResourceExhausted] * 3]
    assert await database.read(_count) == 0


async def test_worker_thread_sees_the_time_of_the_request(database: Database) -> None:
    set_replay_time_us(42)
    assert await database.read(lambda _: ReplayClock().now_us()) == 42


async def test_closed_database_is_unavailable(database: Database) -> None:
    await database.close()
    with pytest.raises(Unavailable):
        await database.read(_count)
    assert not await database.ping()
    await database.close()


async def test_schemas_of_one_postgres_database_are_separate(postgres_url: str) -> None:
    first, second = [await Database.open(postgres_url, METADATA, schema=name) for name in ("one", "two")]
    await first.write(lambda connection: connection.execute(_insert(1)).close())
    assert (await first.read(_count), await second.read(_count)) == (1, 0)
    await asyncio.gather(first.close(), second.close())


async def test_conflicts_that_do_not_end_are_unavailable(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    class Conflict(Exception):  # noqa: N818  # stands for the driver's
        sqlstate = "40001"

    attempts = 0

    def conflict(connection: sa.Connection) -> None:
        nonlocal attempts
        attempts += 1
        raise sa.exc.OperationalError("select", {}, Conflict())

    monkeypatch.setattr(sql, "_CONFLICT_BACKOFF_S", 0.0)
    with pytest.raises(Unavailable, match="conflicting"):
        await database.write(conflict)
    assert attempts == sql._CONFLICT_ATTEMPTS


async def test_postgres_that_loses_its_connections_recovers(postgres_url: str) -> None:
    database = await Database.open(postgres_url, METADATA, schema="service")
    await database.write(lambda connection: connection.execute(_insert(1)).close())
    kill = sa.text("select pg_terminate_backend(pid) from pg_stat_activity where pid = pg_backend_pid()")
    with pytest.raises(Unavailable):
        await database.write(lambda connection: connection.execute(kill).close())
    assert await database.read(_count) == 1
    await database.write(lambda connection: connection.execute(_insert(2)).close())
    await database.close()


async def test_column_that_came_later_is_added_with_its_default(database: Database, database_url: str) -> None:
    await database.write(lambda connection: connection.execute(_insert(1)).close())
    later = sa.MetaData()
    columns = (sa.Column("id", BigId, primary_key=True), sa.Column("n", sa.BigInteger))
    added = sa.Column("sighting", sa.BigInteger, nullable=False, server_default="0")
    parent = sa.Table("parent", later, *columns, added)
    again = await Database.open(database_url, later, schema="service")
    assert await again.read(lambda connection: connection.execute(sa.select(parent)).all()) == [(1, 0, 0)]
    await again.close()


async def test_absent_server_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        await Database.open("postgresql+psycopg://postgres@127.0.0.1:1/none", METADATA, schema="service")


async def test_sqlite_is_durable_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "service.db"
    database = await Database.open(f"sqlite:///{path}", METADATA, schema="service")

    def settings(connection: sa.Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in names]

    assert await database.write(settings) == ["wal", 2, 1]
    await database.close()
    assert path.is_file()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://host/db"])
async def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="database URL"):
        await Database.open(url, METADATA, schema="service")
    with pytest.raises(ValueError, match="schema"):
        await Database.open(url, METADATA, schema="a; drop schema b")
