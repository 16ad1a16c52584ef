"""The control plane's resources in SQL."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa
from pydantic import TypeAdapter

from bihuan_gateway.control.ports import Page, Query
from bihuan_gateway.control.resources import NAMES, PARENT_FIELDS, SPECS, Receipt, Resource, Terms
from bihuan_gateway.control.specs import Kind
from bihuan_gateway.control.tables import RECEIPTS, RESOURCES, SNAPSHOT_VERSION, TERMS_OUTBOX
from bihuan_shared.errors import AlreadyExists, FailedPrecondition, InvalidArgument
from bihuan_shared.sql import Database, insert_ignore, upsert

_TERMS = TypeAdapter(Terms)


@dataclass(frozen=True, slots=True)
class SqlControlStore:
    """Implements `ports.ControlStore` on the gateway's own database."""

    database: Database

    async def create(self, resource: Resource, receipt: Receipt | None, terms: Terms | None) -> Resource:
        """Insert a resource, its receipt and its terms in one transaction; see the port."""
        dialect = self.database.dialect

        def insert(connection: sa.Connection) -> Resource:
            revision = _raise_version(connection, dialect)
            if receipt is not None and (made := _made_before(connection, resource.kind, receipt)) is not None:
                return made
            _require_parent(connection, resource)
            row = _row_of(resource, revision)
            if connection.execute(insert_ignore(dialect, RESOURCES[resource.kind]).values(row)).rowcount == 0:
                raise AlreadyExists(f"the id of this {NAMES[resource.kind]} is taken")
            if receipt is not None:
                connection.execute(sa.insert(RECEIPTS).values(_receipt_row(resource, receipt)))
            _put_terms(connection, dialect, terms)
            return resource

        return await self.database.write(insert)

    async def update(self, resource: Resource, terms: Terms | None) -> Resource:
        """Replace version - 1 of a resource by this one; see the port."""
        dialect, table = self.database.dialect, RESOURCES[resource.kind]

        def replace_row(connection: sa.Connection) -> Resource:
            revision = _raise_version(connection, dialect)
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
            _put_terms(connection, dialect, terms)
            return resource

        return await self.database.write(replace_row)

    async def find(self, kind: Kind, resource_id: str) -> Resource | None:
        """Return one resource, or None."""
        table = RESOURCES[kind]

        def select(connection: sa.Connection) -> Resource | None:
            row = connection.execute(sa.select(table).where(table.c.id == resource_id)).mappings().first()
            return None if row is None else _resource_of(kind, row)

        return await self.database.read(select)

    async def find_receipt(self, kind: Kind, receipt: Receipt) -> Resource | None:
        """Return what the idempotency key made before; see the port."""
        return await self.database.read(lambda connection: _made_before(connection, kind, receipt))

    async def find_many(self, kind: Kind, ids: Sequence[str]) -> list[Resource]:
        """Return those of the resources that exist."""
        table = RESOURCES[kind]

        def select(connection: sa.Connection) -> list[Resource]:
            rows = connection.execute(sa.select(table).where(table.c.id.in_(ids))).mappings()
            return [_resource_of(kind, row) for row in rows]

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
            rows = [_resource_of(kind, row) for row in connection.execute(statement).mappings()]
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
                _resource_of(kind, row)
                for kind, table in RESOURCES.items()
                for row in connection.execute(sa.select(table).where(table.c.revision > after_version)).mappings()
            ]

        return await self.database.read(select)

    async def pending_terms(self, limit: int) -> list[Terms]:
        """Return terms that were not acknowledged, by campaign."""
        statement = sa.select(TERMS_OUTBOX.c.terms).order_by(TERMS_OUTBOX.c.campaign_id).limit(limit)

        def select(connection: sa.Connection) -> list[Terms]:
            return [_TERMS.validate_json(text) for text in connection.execute(statement).scalars()]

        return await self.database.read(select)

    async def count_pending_terms(self) -> int:
        """Return how many campaigns have terms that were not acknowledged."""
        statement = sa.select(sa.func.count()).select_from(TERMS_OUTBOX)
        return await self.database.read(lambda connection: int(connection.execute(statement).scalar_one()))

    async def acknowledge_terms(self, versions: Sequence[tuple[str, int]]) -> None:
        """Note versions that attribution has taken; see the port."""
        table = RESOURCES[Kind.CAMPAIGNS]

        def note(connection: sa.Connection) -> None:
            revision = _raise_version(connection, self.database.dialect)
            for campaign_id, version in versions:
                connection.execute(
                    sa.update(table)
                    .where(table.c.id == campaign_id, table.c.terms_acked_version < version)
                    .values(terms_acked_version=version, revision=revision)
                )
                connection.execute(
                    sa.delete(TERMS_OUTBOX).where(
                        TERMS_OUTBOX.c.campaign_id == campaign_id, TERMS_OUTBOX.c.terms_version <= version
                    )
                )

        await self.database.write(note)


def _raise_version(connection: sa.Connection, dialect: str) -> int:
    connection.execute(insert_ignore(dialect, SNAPSHOT_VERSION).values(id=1, version=0))
    statement = sa.update(SNAPSHOT_VERSION).values(version=SNAPSHOT_VERSION.c.version + 1)
    return int(connection.execute(statement.returning(SNAPSHOT_VERSION.c.version)).scalar_one())


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
    made = _resource_of(kind, now)
    first = SPECS[kind].model_validate_json(row["spec"])
    return replace(made, spec=first, version=1, update_time_us=made.create_time_us)


def _require_parent(connection: sa.Connection, resource: Resource) -> None:
    parent = PARENT_FIELDS.get(resource.kind)
    if parent is None:
        return
    table = RESOURCES[parent[1]]
    if connection.execute(sa.select(table.c.id).where(table.c.id == resource.parent_id)).first() is None:
        raise InvalidArgument.of(f"/{parent[0]}", f"no such {NAMES[parent[1]]}")


def _put_terms(connection: sa.Connection, dialect: str, terms: Terms | None) -> None:
    if terms is None:
        return
    statement = upsert(dialect, TERMS_OUTBOX, key=("campaign_id",), update=("terms_version", "terms"))
    text = _TERMS.dump_json(terms).decode()
    connection.execute(statement.values(campaign_id=terms.campaign_id, terms_version=terms.version, terms=text))


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
    if resource.kind is Kind.CAMPAIGNS:
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


def _resource_of(kind: Kind, row: sa.RowMapping) -> Resource:
    return Resource(
        kind=kind,
        id=row["id"],
        advertiser_id=row["advertiser_id"],
        parent_id=row.get("parent_id", ""),
        version=row["version"],
        create_time_us=row["create_time_us"],
        update_time_us=row["update_time_us"],
        spec=SPECS[kind].model_validate_json(row["spec"]),
        terms_acked_version=row.get("terms_acked_version", 0),
    )
