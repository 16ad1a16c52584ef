"""Completed decisions in the gateway's database; reads and writes of concurrent requests share transactions."""

from collections.abc import Sequence

import sqlalchemy as sa

from bihuan_gateway.control.tables import DECISIONS
from bihuan_gateway.data.ports import StoredDecision
from bihuan_shared.group_commit import GroupCommit
from bihuan_shared.sql import Database, insert_ignore

MAX_ITEMS = 200

_Key = tuple[str, str]
_Row = tuple[_Key, StoredDecision, int]


class SqlDecisions:
    """Implements the port `Decisions`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._finds = GroupCommit[_Key, StoredDecision | None](self._find_many, max_items=MAX_ITEMS)
        self._puts = GroupCommit[_Row, StoredDecision](self._put_many, max_items=MAX_ITEMS)

    async def find(self, scope: str, request_id: str) -> StoredDecision | None:
        """Return the decision that was stored under a request id; merged with other calls."""
        return await self._finds.submit_one((scope, request_id))

    async def put(self, scope: str, request_id: str, decision: StoredDecision, now_us: int) -> StoredDecision:
        """Store a decision unless there is one, and return the one that stands; merged with other calls."""
        return await self._puts.submit_one(((scope, request_id), decision, now_us))

    async def prune(self, before_us: int, limit: int) -> int:
        """Delete at most `limit` decisions made before an instant, the oldest first; return how many there were."""
        key = sa.tuple_(DECISIONS.c.scope, DECISIONS.c.request_id)
        oldest = (
            sa.select(DECISIONS.c.scope, DECISIONS.c.request_id)
            .where(DECISIONS.c.create_time_us < before_us)
            .order_by(DECISIONS.c.create_time_us)
            .limit(limit)
        )
        statement = sa.delete(DECISIONS).where(key.in_(oldest))
        return await self._database.write(lambda connection: connection.execute(statement).rowcount)

    async def close(self) -> None:
        """Wait for what was accepted."""
        await self._finds.close()
        await self._puts.close()

    async def _find_many(self, keys: Sequence[_Key]) -> list[StoredDecision | None]:
        found = await self._database.read(lambda connection: _select(connection, keys))
        return [found.get(key) for key in keys]

    async def _put_many(self, rows: Sequence[_Row]) -> list[StoredDecision]:
        keys = [key for key, _, _ in rows]

        def put(connection: sa.Connection) -> dict[_Key, StoredDecision]:
            connection.execute(insert_ignore(self._database.dialect, DECISIONS), [_values(row) for row in rows])
            return _select(connection, keys)

        found = await self._database.write(put)
        return [found[key] for key in keys]


def _values(row: _Row) -> dict[str, object]:
    (scope, request_id), decision, now_us = row
    return {
        "scope": scope,
        "request_id": request_id,
        "content_sha256": decision.content_sha256,
        "answer": decision.answer,
        "create_time_us": now_us,
    }


def _select(connection: sa.Connection, keys: Sequence[_Key]) -> dict[_Key, StoredDecision]:
    by_scope: dict[str, list[str]] = {}
    for scope, request_id in keys:
        by_scope.setdefault(scope, []).append(request_id)
    found: dict[_Key, StoredDecision] = {}
    for scope, request_ids in by_scope.items():
        query = sa.select(DECISIONS.c.request_id, DECISIONS.c.content_sha256, DECISIONS.c.answer).where(
            DECISIONS.c.scope == scope, DECISIONS.c.request_id.in_(request_ids)
        )
        for request_id, digest, answer in connection.execute(query):
            found[scope, request_id] = StoredDecision(bytes(digest), bytes(answer))
    return found
