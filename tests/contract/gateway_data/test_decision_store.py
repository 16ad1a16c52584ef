"""Stored decisions, on every database: the first answer stands."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bihuan_gateway.control.tables import METADATA, SCHEMA
from bihuan_gateway.data.decision_store import SqlDecisions
from bihuan_gateway.data.ports import StoredDecision
from bihuan_shared.sql import Database


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[SqlDecisions]:
    """An empty store."""
    database = await Database.open(database_url, METADATA, schema=SCHEMA)
    made = SqlDecisions(database)
    yield made
    await made.close()
    await database.close()


async def test_the_first_answer_stands(store: SqlDecisions) -> None:
    first, second = StoredDecision(b"a" * 32, b"one"), StoredDecision(b"b" * 32, b"two")
    assert await store.find("admin", "r") is None
    assert await store.put("admin", "r", first, 1) == first
    assert await store.put("admin", "r", second, 2) == first
    assert await store.find("admin", "r") == first
    assert await store.find("advertiser:acme", "r") is None


async def test_of_answers_that_come_together_one_stands_for_all(store: SqlDecisions) -> None:
    answers = [StoredDecision(bytes([number]) * 32, str(number).encode()) for number in range(20)]
    stood = await asyncio.gather(*(store.put("admin", "r", answer, 1) for answer in answers))
    assert len(set(stood)) == 1
    others = await asyncio.gather(*(store.put("admin", f"r{n}", answer, 1) for n, answer in enumerate(answers)))
    assert others == answers
    found = await asyncio.gather(*(store.find("admin", f"r{number}") for number in range(20)))
    assert found == answers


async def test_pruning_takes_the_oldest_and_no_more_than_it_may(store: SqlDecisions) -> None:
    made = StoredDecision(b"a" * 32, b"one")
    for number in range(5):
        await store.put("admin", f"r{number}", made, now_us=number)
    await store.put("advertiser:acme", "r4", made, now_us=9)
    assert await store.prune(4, limit=3) == 3
    assert [await store.find("admin", f"r{number}") is None for number in range(5)] == [True, True, True, False, False]
    assert await store.prune(4, limit=3) == 1
    assert await store.prune(4, limit=3) == 0
    assert await store.find("advertiser:acme", "r4") == made
