"""The SQL store of the evidence graph: one change a transaction, changes one after the other."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import sqlalchemy as sa

from bihuan_identity.domain.graph import Attachment, GraphChange, GraphView, PersonsChange, PersonView
from bihuan_identity.graph_queries import SqlGraphView, find_attachments
from bihuan_identity.graph_writes import apply_change
from bihuan_identity.person_queries import load_person
from bihuan_identity.rows import KnownNames, Names, read_change, read_node
from bihuan_identity.schema import (
    ALIASES,
    CHANGES,
    ERASED_PERSONS,
    ID_BLOCKS,
    IDENTIFIERS,
    METADATA,
    PERSONS,
    QUARANTINED_TIES,
    REQUESTS,
    SCHEMA,
)
from bihuan_identity.use_cases.ports import QuarantinedNode, Standing
from bihuan_shared.errors import FailedPrecondition
from bihuan_shared.failpoints import failpoint
from bihuan_shared.sql import Database, insert_ignore

T = TypeVar("T")


class SqlGraphStore:
    """The truth about persons, in identity's own database (SQLite or PostgreSQL)."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._names = KnownNames()

    @classmethod
    async def open(cls, url: str, *, epoch: int) -> "SqlGraphStore":
        """
        Open the database and create what is missing; `epoch` is the newest pepper this process knows.

        Raises Unavailable, and FailedPrecondition where a newer pepper is in use: identifiers that are known under it
        would look new, and persons would double.
        """
        database = await Database.open(url, METADATA, schema=SCHEMA)
        start = {"id": 1, "next_person_id": 1, "next_evidence_id": 1, "next_change_id": 1, "pepper_epoch": epoch}

        def begin(connection: sa.Connection) -> int:
            connection.execute(insert_ignore(database.dialect, ID_BLOCKS), start)
            raised = ID_BLOCKS.update().where(ID_BLOCKS.c.pepper_epoch < epoch).values(pepper_epoch=epoch)
            connection.execute(raised)
            in_use: int = connection.execute(sa.select(ID_BLOCKS.c.pepper_epoch)).scalar_one()
            return in_use

        in_use = await database.write(begin)
        if in_use > epoch:
            await database.close()
            raise FailedPrecondition(f"identifiers are kept under pepper {in_use}, and the newest one here is {epoch}")
        return cls(database)

    async def find(self, keys: Sequence[bytes]) -> Mapping[bytes, Attachment]:
        """Return where each known key belongs; unknown keys are left out. Raises Unavailable."""
        return await self.database.read(lambda connection: find_attachments(connection, keys))

    async def change(self, plan: Callable[[GraphView], tuple[GraphChange | None, T]]) -> T:
        """Carry out one plan in one transaction that holds the id block, so that changes come one after the other."""

        def run(connection: sa.Connection) -> tuple[KnownNames, T]:
            names = Names(connection, self._names)
            change, result = plan(SqlGraphView.claim(connection, names))
            if change is not None:
                apply_change(connection, change, names)
            failpoint("before_commit")
            return names.known, result

        self._names, result = await self.database.write(run)
        failpoint("after_commit")
        return result

    async def person(self, person_id: int) -> PersonView | None:
        """Return the person that stands for this id now, aliases followed. Raises Unavailable."""
        return await self.database.read(lambda connection: load_person(self._view(connection), connection, person_id))

    async def standing(self) -> Standing:
        """Return all ids whose index entries need care. Raises Unavailable."""

        def read(connection: sa.Connection) -> Standing:
            next_change_id = connection.execute(sa.select(ID_BLOCKS.c.next_change_id)).scalar_one()
            shaken = sa.select(PERSONS.c.person_id, PERSONS.c.generation).where(sa.text("generation > 0"))
            return Standing(
                next_change_id - 1,
                connection.scalars(sa.select(ALIASES.c.alias_id)).all(),
                connection.scalars(sa.select(ERASED_PERSONS.c.person_id)).all(),
                [(row[0], row[1]) for row in connection.execute(shaken)],
            )

        return await self.database.read(read)

    async def changes_after(self, change_id: int, limit: int) -> Sequence[PersonsChange]:
        """Return changes of persons above `change_id`, ascending. Raises Unavailable."""
        query = sa.select(CHANGES).where(CHANGES.c.change_id > change_id).order_by(CHANGES.c.change_id).limit(limit)
        return await self.database.read(lambda connection: [read_change(row) for row in connection.execute(query)])

    async def quarantined_after(self, key: bytes, limit: int) -> Sequence[QuarantinedNode]:
        """Return quarantined identifiers above a key, ascending. Raises Unavailable."""
        query = (
            sa.select(IDENTIFIERS)
            .where(sa.text("quarantine_time_s IS NOT NULL"), IDENTIFIERS.c.key > key)
            .order_by(IDENTIFIERS.c.key)
            .limit(limit)
        )

        def read(connection: sa.Connection) -> list[QuarantinedNode]:
            view = self._view(connection)
            nodes = [read_node(row, view.names) for row in connection.execute(query)]
            counts = sa.select(QUARANTINED_TIES.c.key, sa.func.count()).group_by(QUARANTINED_TIES.c.key)
            counted = counts.where(QUARANTINED_TIES.c.key.in_([node.key for node in nodes]))
            by_key = {bytes(row[0]): row[1] for row in connection.execute(counted)}
            return [QuarantinedNode(node, by_key.get(node.key, 0)) for node in nodes]

        return await self.database.read(read)

    async def attachments_after(self, key: bytes, limit: int) -> Mapping[bytes, Attachment]:
        """Return where the next keys above `key` belong, ascending; for rebuilding the index. Raises Unavailable."""
        query = sa.select(IDENTIFIERS.c.key).where(IDENTIFIERS.c.key > key).order_by(IDENTIFIERS.c.key).limit(limit)

        def read(connection: sa.Connection) -> Mapping[bytes, Attachment]:
            keys = [bytes(key) for key in connection.scalars(query)]
            found = find_attachments(connection, keys)
            return {key: found[key] for key in keys}

        return await self.database.read(read)

    async def forget_requests(self, before_s: int, limit: int) -> int:
        """Forget up to `limit` recorded requests older than a time; returns how many. Raises Unavailable."""
        old = sa.select(REQUESTS.c.caller, REQUESTS.c.request_id).where(REQUESTS.c.time_s < before_s).limit(limit)

        def write(connection: sa.Connection) -> int:
            found = [(row[0], row[1]) for row in connection.execute(old)]
            for caller, request_id in found:
                same = sa.and_(REQUESTS.c.caller == caller, REQUESTS.c.request_id == request_id)
                connection.execute(REQUESTS.delete().where(same))
            return len(found)

        return await self.database.write(write)

    async def is_alive(self) -> bool:
        """Tell whether the database answers."""
        return await self.database.ping()

    async def close(self) -> None:
        """End the connections."""
        await self.database.close()

    def _view(self, connection: sa.Connection) -> SqlGraphView:
        names = Names(connection, self._names)
        return SqlGraphView(connection, names)
