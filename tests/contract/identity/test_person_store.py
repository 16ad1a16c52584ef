"""What the database tells of persons and of erasures, on both engines."""

from collections.abc import AsyncIterator, Iterable

import pytest
import sqlalchemy as sa

from bihuan_identity.person_store import SqlPersons
from bihuan_identity.schema import ALIASES, ERASED_PERSONS, IDENTIFIERS, METADATA, PERSONS, SCHEMA, TOMBSTONES
from bihuan_identity.use_cases.pseudonyms import PersonStanding
from bihuan_identity.use_cases.receipts import ErasureRecord
from bihuan_shared.sql import Database


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def row(table: sa.Table, **given: object) -> dict[str, object]:
    """A row with what matters here; whatever else the table demands is filled in."""
    filled = {
        column.name: bytes(1)
        if isinstance(column.type, sa.LargeBinary)
        else "x"
        if isinstance(column.type, sa.String)
        else 0
        for column in table.columns
        if not column.nullable and column.default is None
    }
    return filled | given


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(database_url, METADATA, schema=SCHEMA)
    yield opened
    await opened.close()


async def insert(database: Database, table: sa.Table, rows: Iterable[dict[str, object]]) -> None:
    listed = [row(table, **one) for one in rows]
    await database.write(lambda connection: connection.execute(table.insert(), listed).close())


async def test_everyone_is_told_who_stands_for_whom(database: Database) -> None:
    await insert(database, PERSONS, ({"person_id": one} for one in range(1, 7)))
    await insert(database, ALIASES, [{"alias_id": 4, "person_id": 1}, {"alias_id": 5, "person_id": 2}])
    await insert(database, ERASED_PERSONS, [{"person_id": 2}, {"person_id": 3}, {"person_id": 7}])
    standing = await SqlPersons(database).standing([1, 2, 3, 4, 5, 6, 7, 8])
    assert standing == {
        1: PersonStanding(1),
        2: PersonStanding(2, withdrawn=True),
        3: PersonStanding(3, withdrawn=True),
        4: PersonStanding(1),
        5: PersonStanding(2, withdrawn=True),
        6: PersonStanding(6),
        7: PersonStanding(7, withdrawn=True),
    }


async def test_a_long_list_is_read_in_pages(database: Database) -> None:
    await insert(database, PERSONS, ({"person_id": one} for one in range(1, 12_001)))
    standing = await SqlPersons(database).standing(list(range(1, 25_001)))
    assert standing == {one: PersonStanding(one) for one in range(1, 12_001)}
    assert await SqlPersons(database).standing([]) == {}


async def test_an_erasure_is_told_with_what_came_back(database: Database) -> None:
    persons = SqlPersons(database)
    assert await persons.erasure(9) is None
    await insert(database, TOMBSTONES, ({"key": key(one), "erasure_id": 9} for one in (1, 2, 3)))
    await insert(database, TOMBSTONES, [{"key": key(4), "erasure_id": 10}])
    record = await persons.erasure(9)
    assert record is not None
    assert (set(record.tombstones), record.returned_count) == ({key(1), key(2), key(3)}, 0)

    await insert(database, IDENTIFIERS, [{"key": key(2), "person_id": 1}, {"key": key(5), "person_id": 1}])
    record = await persons.erasure(9)
    assert record is not None
    assert (len(record.tombstones), record.returned_count) == (3, 1)
    assert await persons.erasure(10) == ErasureRecord((key(4),), 0)


async def test_what_comes_back_under_a_newer_pepper_came_back(database: Database) -> None:
    await insert(database, TOMBSTONES, [{"key": key(1), "erasure_id": 9}, {"key": key(101), "erasure_id": -9}])
    assert await SqlPersons(database).erasure(9) == ErasureRecord((key(1),), 0)
    await insert(database, IDENTIFIERS, [{"key": key(101), "person_id": 1}])
    assert await SqlPersons(database).erasure(9) == ErasureRecord((key(1),), 1)
