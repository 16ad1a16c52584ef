"""The outbox of terms in SQL: filled in the transaction of the write that they follow from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from pydantic import TypeAdapter

from bihuan_gateway.control.resources import SPECS, Resource
from bihuan_gateway.control.specs import Kind, PlacementSpec
from bihuan_gateway.control.tables import CAMPAIGN_OUTBOX, OUTBOX, RESOURCES, SNAPSHOT_VERSION
from bihuan_gateway.control.terms import TERMS, Terms, advertiser_terms, campaign_terms, placement_terms
from bihuan_shared.sql import Database, insert_ignore, upsert

_FORMS = {kind: TypeAdapter[Terms](form) for kind, form in TERMS.items()}
_RANK = sa.case({kind.value: rank for rank, kind in enumerate(TERMS)}, value=OUTBOX.c.kind)


@dataclass(frozen=True, slots=True)
class SqlTermsOutbox:
    """Implements `ports.TermsOutbox` on the gateway's own database."""

    database: Database

    async def pending_terms(self, limit: int) -> list[Terms]:
        """Return terms that were not acknowledged; those of accounts and placements come before campaigns'."""
        statement = sa.select(OUTBOX).order_by(_RANK, OUTBOX.c.resource_id).limit(limit)

        def select(connection: sa.Connection) -> list[Terms]:
            return [_FORMS[Kind(row.kind)].validate_json(row.terms) for row in connection.execute(statement)]

        return await self.database.read(select)

    async def count_pending_terms(self) -> int:
        """Return how many resources have terms that were not acknowledged."""
        statement = sa.select(sa.func.count()).select_from(OUTBOX)
        return await self.database.read(lambda connection: int(connection.execute(statement).scalar_one()))

    async def acknowledge_terms(self, taken: Sequence[Terms]) -> None:
        """Note terms that attribution has taken; see the port."""

        def note(connection: sa.Connection) -> None:
            revision = raise_version(connection, self.database.dialect)
            for terms in taken:
                kind, name = terms.subject
                table = RESOURCES[kind]
                connection.execute(
                    sa.update(table)
                    .where(table.c.id == name, table.c.terms_acked_version < terms.version)
                    .values(terms_acked_version=terms.version, revision=revision)
                )
                held = (OUTBOX.c.kind == kind.value) & (OUTBOX.c.resource_id == name)
                connection.execute(sa.delete(OUTBOX).where(held, OUTBOX.c.terms_version <= terms.version))

        await self.database.write(note)

    async def queue_unknown(self) -> None:
        """Queue terms that attribution never took and that do not wait yet; for the start of a gateway."""
        await self.database.write(lambda connection: _queue_unknown(connection, self.database.dialect))


def raise_version(connection: sa.Connection, dialect: str) -> int:
    """Raise the version of the serving snapshot, which makes writes take turns, and return it."""
    connection.execute(insert_ignore(dialect, SNAPSHOT_VERSION).values(id=1, version=0))
    statement = sa.update(SNAPSHOT_VERSION).values(version=SNAPSHOT_VERSION.c.version + 1)
    return int(connection.execute(statement.returning(SNAPSHOT_VERSION.c.version)).scalar_one())


def resource_of(kind: Kind, row: sa.RowMapping) -> Resource:
    """Read a row of a resource's table."""
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


def queue_terms(connection: sa.Connection, dialect: str, resource: Resource, revision: int) -> None:
    """Queue what attribution has to learn of a write, in its transaction; `revision` is the snapshot that it made."""
    statement = upsert(dialect, OUTBOX, key=("kind", "resource_id"), update=("terms_version", "terms"))
    for terms in _terms_after(connection, resource, revision):
        kind, name = terms.subject
        text = _FORMS[kind].dump_json(terms).decode()
        row = {"kind": kind.value, "resource_id": name, "terms_version": terms.version, "terms": text}
        connection.execute(statement.values(row))


def _terms_after(connection: sa.Connection, resource: Resource, revision: int) -> Iterator[Terms]:
    if resource.kind is Kind.ADVERTISERS:
        yield advertiser_terms(resource)
    elif resource.kind is Kind.CAMPAIGNS:
        advertiser = _find(connection, Kind.ADVERTISERS, resource.advertiser_id)
        assert advertiser is not None, "the parent was required before"
        yield campaign_terms(resource, advertiser)
    elif isinstance(resource.spec, PlacementSpec):
        publisher = _find(connection, Kind.PUBLISHERS, resource.spec.publisher_id)
        yield placement_terms(resource, publisher, revision)
    elif resource.kind is Kind.PUBLISHERS:
        # A publisher's share changes once in a while, so that reading all placements is cheaper than an index of them.
        for placement in _all(connection, Kind.PLACEMENTS):
            spec = placement.spec
            assert isinstance(spec, PlacementSpec)
            if spec.publisher_id == resource.id and spec.revenue_share_ppm is None:
                yield placement_terms(placement, resource, revision)


def _find(connection: sa.Connection, kind: Kind, name: str | None) -> Resource | None:
    if name is None:
        return None
    table = RESOURCES[kind]
    row = connection.execute(sa.select(table).where(table.c.id == name)).mappings().first()
    return resource_of(kind, row) if row is not None else None


def _all(connection: sa.Connection, kind: Kind, *where: sa.ColumnElement[bool]) -> list[Resource]:
    rows = connection.execute(sa.select(RESOURCES[kind]).where(*where)).mappings()
    return [resource_of(kind, row) for row in rows]


def _queue_unknown(connection: sa.Connection, dialect: str) -> None:
    _adopt_campaigns(connection, dialect)
    unknown = [resource for kind in TERMS for resource in _unknown(connection, kind)]
    if unknown:
        revision = raise_version(connection, dialect)
        for resource in unknown:
            queue_terms(connection, dialect, resource, revision)


def _unknown(connection: sa.Connection, kind: Kind) -> list[Resource]:
    table = RESOURCES[kind]
    waiting = sa.select(OUTBOX.c.resource_id).where(OUTBOX.c.kind == kind.value)
    return _all(connection, kind, table.c.terms_acked_version == 0, table.c.id.not_in(waiting))


def _adopt_campaigns(connection: sa.Connection, dialect: str) -> None:
    for row in connection.execute(sa.select(CAMPAIGN_OUTBOX)).all():
        moved = {
            "kind": Kind.CAMPAIGNS.value,
            "resource_id": row.campaign_id,
            "terms_version": row.terms_version,
            "terms": row.terms,
        }
        connection.execute(insert_ignore(dialect, OUTBOX).values(moved))
    connection.execute(sa.delete(CAMPAIGN_OUTBOX))
