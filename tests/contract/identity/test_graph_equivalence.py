"""The SQL store does, command by command, what the graph in dictionaries does."""

import asyncio
import itertools
from pathlib import Path

import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bihuan_identity.graph_store import SqlGraphStore
from bihuan_identity.schema import METADATA
from tests.contract.identity.command_runs import COMMANDS, Command, compare
from tests.unit.identity.memory_identity import MemoryGraphStore

_FIXTURES_ARE_CLEARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
_numbers = itertools.count()


async def compare_with_sql(url: str, commands: list[Command], *, wide: bool) -> None:
    store = await SqlGraphStore.open(url, epoch=1)
    try:
        await compare([MemoryGraphStore(), store], commands, wide=wide)
    finally:
        await store.close()


async def clear(url: str) -> None:
    store = await SqlGraphStore.open(url, epoch=1)

    def delete(connection: sa.Connection) -> None:
        for table in METADATA.sorted_tables:
            connection.execute(table.delete())

    await store.database.write(delete)
    await store.close()


@settings(max_examples=40, deadline=None, suppress_health_check=_FIXTURES_ARE_CLEARED)
@given(commands=COMMANDS, wide=st.booleans())
def test_sqlite_holds_what_the_reference_holds(tmp_path: Path, commands: list[Command], *, wide: bool) -> None:
    url = f"sqlite:///{tmp_path / f'{next(_numbers)}.db'}"
    asyncio.run(compare_with_sql(url, commands, wide=wide))


@settings(max_examples=10, deadline=None, suppress_health_check=_FIXTURES_ARE_CLEARED)
@given(commands=COMMANDS, wide=st.booleans())
def test_postgres_holds_what_the_reference_holds(postgres_url: str, commands: list[Command], *, wide: bool) -> None:
    asyncio.run(clear(postgres_url))
    asyncio.run(compare_with_sql(postgres_url, commands, wide=wide))
