"""One gateway of several has the turn, over real databases."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bihuan_gateway.control.lead_turn import TTL_US, SqlTurn
from bihuan_gateway.control.tables import METADATA, SCHEMA
from bihuan_shared.clock import FixedClock
from bihuan_shared.sql import Database


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(database_url, METADATA, schema=SCHEMA)
    yield opened
    await opened.close()


async def test_who_has_the_turn_keeps_it_until_it_is_not_kept_up(database: Database) -> None:
    clock = FixedClock(1)
    one, two = SqlTurn(database, "one", clock), SqlTurn(database, "two", clock)
    assert (await one.hold(), await two.hold()) == (True, False)
    clock.advance_us(TTL_US - 1)
    assert (await two.hold(), await one.hold()) == (False, True)
    clock.advance_us(TTL_US - 1)
    assert not await two.hold()
    clock.advance_us(1)
    assert (await two.hold(), await one.hold()) == (True, False)


async def test_of_many_who_ask_at_once_one_has_the_turn(database: Database) -> None:
    clock = FixedClock(1)
    turns = [SqlTurn(database, f"gateway-{number}", clock) for number in range(8)]
    assert sum(await asyncio.gather(*(turn.hold() for turn in turns))) == 1
