"""The control plane's resources in SQL."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from bihuan_gateway.control.outbox import queue_terms, raise_version, resource_of
from bihuan_gateway.control.ports import Page, Query
from bihuan_gateway.control.resources import NAMES, PARENT_FIELDS, SPECS, TERMED, Receipt, Resource
from bihuan_gateway.control.specs import Kind
from bihuan_gateway.control.tables import RECEIPTS, RESOURCES, SNAPSHOT_VERSION
from bihuan_shared.errors import AlreadyExists, FailedPrecondition, InvalidArgument
from bihuan_shared.sql import Database, insert_ignore


@dataclass(frozen=True, slots=True)
class SqlControlStore:
    """Implements `ports.ControlStore` on the gateway's own database."""

    database: Database

    async def create(self, resource: Resource, receipt: Receipt | None) -> Resource:
        """Insert a resource and its receipt and queue its terms in one transaction; see the port."""
        return await self.create_all((resource,), receipt)

    async def create_all(self, resources: Sequence[Resource], receipt: Receipt | None) -> Resource:
        """Insert resources, parents first, and the receipt of the last one in one transaction; see the port."""
        dialect, last = self.database.dialect, resources[-1]

        def insert(connection: sa.Connection) -> Resource:
            revision = raise_version(connection, dialect)
            if receipt is not None and (made := _made_before(connection, last.kind, receipt)) is not None:
                return made
            for resource in resources:
                _require_parent(connection, resource)
                row = _row_of(resource, revision)
                if connection.execute(insert_ignore(dialect, RESOURCES[resource.kind]).values(row)).rowcount == 0:
                    raise AlreadyExists(f"the id of this {NAMES[resource.kind]} is taken")
                queue_terms(connection, dialect, resource, revision)
            if receipt is not None:
                connection.execute(sa.insert(RECEIPTS).values(_receipt_row(last, receipt)))
            return last

        return await self.database.write(insert)

    async def update(self, resource: Resource) -> Resource:
        """Replace version - 1 of a resource by this one; see the port."""
        dialect, table = self.database.dialect, RESOURCES[resource.kind]

        def replace_row(connection: sa.Connection) -> Resource:
            revision = raise_version(connection, dialect)
            statement = (
                sa.update(table)
                .where(table.c.id == resource.id, table.c.version == resource.version - 1)
                .values(
                    version=resource.version,
                    revision=revision,
                    update_time_us=resource.update_time_us,
                    spec=resource.spec.model_dump_json(),
                )
            )
            if connection.execute(statement).rowcount == 0:
                raise FailedPrecondition(f"the {NAMES[resource.kind]} was changed meanwhile; read it again")
            queue_terms(connection, dialect, resource, revision)
            return resource

        return await self.database.write(replace_row)

    async def find(self, kind: Kind, resource_id: str) -> Resource | None:
        """Return one resource, or None."""
        table = RESOURCES[kind]

        def select(connection: sa.Connection) -> Resource | None:
            row = connection.execute(sa.select(table).where(table.c.id == resource_id)).mappings().first()
            return None if row is None else resource_of(kind, row)

        return await self.database.read(select)

    async def find_receipt(self, kind: Kind, receipt: Receipt) -> Resource | None:
        """Return what the idempotency key made before; see the port."""
        return await self.database.read(lambda connection: _made_before(connection, kind, receipt))

    async def find_many(self, kind: Kind, ids: Sequence[str]) -> list[Resource]:
        """Return those of the resources that exist."""
        table = RESOURCES[kind]

        def select(connection: sa.Connection) -> list[Resource]:
            rows = connection.execute(sa.select(table).where(table.c.id.in_(ids))).mappings()
            return [resource_of(kind, row) for row in rows]

        return await self.database.read(select) if ids else []

    async def list_page(self, kind: Kind, query: Query) -> Page:
        """Return one page of resources by id."""
        table = RESOURCES[kind]
        statement = sa.select(table).where(table.c.id > query.after).order_by(table.c.id).limit(query.size + 1)
        if query.advertiser_id is not None:
            owner = table.c.id if kind is Kind.ADVERTISERS else table.c.advertiser_id
            statement = statement.where(owner == query.advertiser_id)
        if query.parent_id is not None and kind in PARENT_FIELDS:
            statement = statement.where(table.c.parent_id == query.parent_id)

        def select(connection: sa.Connection) -> Page:
            rows = [resource_of(kind, row) for row in connection.execute(statement).mappings()]
            more = len(rows) > query.size
            return Page(tuple(rows[: query.size]), rows[query.size - 1].id if more else "")

        return await self.database.read(select)

    async def changes(self, after_version: int) -> tuple[int, list[Resource]]:
        """Return the snapshot version, and what was written after another one; see the port."""

        def select(connection: sa.Connection) -> tuple[int, list[Resource]]:
            version = connection.execute(sa.select(SNAPSHOT_VERSION.c.version)).scalar_one_or_none() or 0
            if version <= after_version:
                return version, []
            return version, [
                resource_of(kind, row)
                for kind, table in RESOURCES.items()
                for row in connection.execute(sa.select(table).where(table.c.revision > after_version)).mappings()
            ]

        return await self.database.read(select)


def _made_before(connection: sa.Connection, kind: Kind, receipt: Receipt) -> Resource | None:
    statement = sa.select(RECEIPTS).where(
        RECEIPTS.c.caller == receipt.caller, RECEIPTS.c.idempotency_key == receipt.key
    )
    row = connection.execute(statement).mappings().first()
    if row is None:
        return None
    if row["fingerprint"] != receipt.fingerprint or row["kind"] != kind:
        raise AlreadyExists("this idempotency key was used for another request")
    table = RESOURCES[kind]
    now = connection.execute(sa.select(table).where(table.c.id == row["resource_id"])).mappings().one()
    made = resource_of(kind, now)
    first = SPECS[kind].model_validate_json(row["spec"])
    return replace(made, spec=first, version=1, update_time_us=made.create_time_us)


def _require_parent(connection: sa.Connection, resource: Resource) -> None:
    parent = PARENT_FIELDS.get(resource.kind)
    if parent is None:
        return
    table = RESOURCES[parent[1]]
    if connection.execute(sa.select(table.c.id).where(table.c.id == resource.parent_id)).first() is None:
        raise InvalidArgument.of(f"/{parent[0]}", f"no such {NAMES[parent[1]]}")


def _row_of(resource: Resource, revision: int) -> dict[str, object]:
    row: dict[str, object] = {
        "id": resource.id,
        "advertiser_id": resource.advertiser_id,
        "version": resource.version,
        "revision": revision,
        "create_time_us": resource.create_time_us,
        "update_time_us": resource.update_time_us,
        "spec": resource.spec.model_dump_json(),
    }
    if resource.kind in PARENT_FIELDS:
        row["parent_id"] = resource.parent_id
    if resource.kind in TERMED:
        row["terms_acked_version"] = resource.terms_acked_version
    return row


def _receipt_row(resource: Resource, receipt: Receipt) -> dict[str, object]:
    return {
        "caller": receipt.caller,
        "idempotency_key": receipt.key,
        "fingerprint": receipt.fingerprint,
        "kind": resource.kind.value,
        "resource_id": resource.id,
        "create_time_us": resource.create_time_us,
        "spec": resource.spec.model_dump_json(),
    }
