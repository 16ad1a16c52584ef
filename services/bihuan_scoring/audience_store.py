"""Audiences, erased persons, and persons that live on under another id, in SQL."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import sqlalchemy as sa

from bihuan_scoring.domain.audiences import Audience, AudienceState, LookAlikeOf
from bihuan_scoring.domain.combination import Combination
from bihuan_scoring.domain.versions import KEPT_VERSIONS, AudienceVersion, VersionCause
from bihuan_shared.person_change import PersonsChange
from bihuan_shared.sql import Database, insert_ignore, upsert

METADATA = sa.MetaData()

_audiences = sa.Table(
    "audiences",
    METADATA,
    sa.Column("audience_id", sa.String(64), primary_key=True),
    sa.Column("advertiser_id", sa.String(64), nullable=False, index=True),
    sa.Column("display_name", sa.Text, nullable=False),
    sa.Column("expression", sa.Text, nullable=False),
    sa.Column("definition_sha256", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("create_time_us", sa.BigInteger, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("failure", sa.Text, nullable=False),
)
_look_alikes = sa.Table(
    "look_alikes",
    METADATA,
    sa.Column("audience_id", sa.String(64), primary_key=True),
    sa.Column("seed_audience_id", sa.String(64), nullable=False),
    sa.Column("target_size", sa.BigInteger, nullable=False),
    sa.Column("least_precision", sa.Double, nullable=False),
    sa.Column("cut_off_us", sa.BigInteger, nullable=False),
    sa.Column("evidence", sa.Text, nullable=False),
)
_plans = sa.Table(
    "audience_plans",
    METADATA,
    sa.Column("audience_id", sa.String(64), primary_key=True),
    sa.Column("combination", sa.Text, nullable=False),
    sa.Column("refresh_interval_s", sa.BigInteger, nullable=False),
    sa.Column("refresh_time_us", sa.BigInteger, nullable=False),
)
_versions = sa.Table(
    "audience_versions",
    METADATA,
    sa.Column("audience_id", sa.String(64), primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("time_us", sa.BigInteger, nullable=False),
    sa.Column("cause", sa.String(32), nullable=False),
)
_erased = sa.Table(
    "erased_persons",
    METADATA,
    sa.Column("person_id", sa.BigInteger, primary_key=True, autoincrement=False),
)
_absorbed = sa.Table(
    "absorbed_persons",
    METADATA,
    sa.Column("person_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("survivor_id", sa.BigInteger, nullable=False),
)
_followed = sa.Table(
    "followed_changes",
    METADATA,
    sa.Column("last_change_id", sa.BigInteger, primary_key=True, autoincrement=False),
)


class SqlAudienceStore:
    """Keeps audiences in the service's own database. Raises Unavailable where that is lost."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(self, audience: Audience) -> Audience:
        """The stored audience of that id: this one where there was none, else the one that was first."""

        def insert(connection: sa.Connection) -> Audience:
            new = connection.execute(insert_ignore(self._database.dialect, _audiences).values(**_columns(audience)))
            if new.rowcount:
                _note(connection, self._database.dialect, audience)
            if new.rowcount and audience.look_alike is not None:
                of = asdict(audience.look_alike) | {"audience_id": audience.audience_id, "evidence": ""}
                connection.execute(sa.insert(_look_alikes).values(**of))
            row = connection.execute(_select(audience.audience_id)).one()
            return _audience(row)

        return await self._database.write(insert)

    async def get(self, audience_id: str) -> Audience | None:
        """One audience; None where there is none."""
        row = await self._database.read(lambda connection: connection.execute(_select(audience_id)).one_or_none())
        return None if row is None else _audience(row)

    async def page(self, advertiser_id: str, after_id: str, limit: int) -> Sequence[Audience]:
        """Up to `limit` audiences with ids above `after_id`, by id; an empty advertiser means everyone's."""
        query = _QUERY.where(_audiences.c.audience_id > after_id)
        if advertiser_id:
            query = query.where(_audiences.c.advertiser_id == advertiser_id)
        return await self._rows(query.order_by(_audiences.c.audience_id).limit(limit))

    async def all(self) -> Sequence[Audience]:
        """Every audience, by id."""
        return await self._rows(_QUERY.order_by(_audiences.c.audience_id))

    async def update(self, audiences: Sequence[Audience]) -> None:
        """Store new states of audiences that still exist, in one transaction."""
        dialect = self._database.dialect
        await self._database.write(lambda connection: _update(connection, dialect, audiences))

    async def delete(self, audience_id: str) -> bool:
        """Delete; True where there was one."""

        def delete(connection: sa.Connection) -> bool:
            for table in (_look_alikes, _plans, _versions):
                connection.execute(sa.delete(table).where(table.c.audience_id == audience_id))
            return connection.execute(sa.delete(_audiences).where(_audiences.c.audience_id == audience_id)).rowcount > 0

        return await self._database.write(delete)

    async def history(self, audience_id: str) -> Sequence[AudienceVersion]:
        """The last versions of an audience, newest first, at most `KEPT_VERSIONS`."""
        query = sa.select(_versions).where(_versions.c.audience_id == audience_id)
        query = query.order_by(_versions.c.version.desc()).limit(KEPT_VERSIONS)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [AudienceVersion(row.version, row.size, row.time_us, VersionCause(row.cause)) for row in rows]

    async def put_evidence(self, audience_id: str, evidence: str) -> None:
        """Store what speaks for a look-alike, where it still exists."""
        statement = sa.update(_look_alikes).where(_look_alikes.c.audience_id == audience_id).values(evidence=evidence)
        await self._database.write(lambda connection: connection.execute(statement))

    async def evidence(self, audience_id: str) -> str:
        """What speaks for a look-alike; empty where there is none, or none yet."""
        query = sa.select(_look_alikes.c.evidence).where(_look_alikes.c.audience_id == audience_id)
        return await self._database.read(lambda connection: connection.execute(query).scalar()) or ""

    async def erase(self, person_id: int, changed: Sequence[Audience]) -> None:
        """Note that a person was erased, with the audiences that this changed, in one transaction."""

        def erase(connection: sa.Connection) -> None:
            connection.execute(insert_ignore(self._database.dialect, _erased).values(person_id=person_id))
            _update(connection, self._database.dialect, changed)

        await self._database.write(erase)

    async def erased(self) -> frozenset[int]:
        """Every person who was erased."""
        query = sa.select(_erased.c.person_id)
        return frozenset(await self._database.read(lambda connection: connection.execute(query).scalars().all()))

    async def absorbed(self) -> Mapping[int, int]:
        """Every person that lives on under another id, and that id."""
        query = sa.select(_absorbed.c.person_id, _absorbed.c.survivor_id)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return {row.person_id: row.survivor_id for row in rows}

    async def followed(self) -> int:
        """The last change of who is who that was followed; 0 where there was none."""
        return await self._database.read(_position)

    async def follow(self, change: PersonsChange, changed: Sequence[Audience]) -> None:
        """Note the next change, with the audiences that it changed, in one transaction; nothing where it was noted."""

        def follow(connection: sa.Connection) -> None:
            if _position(connection) >= change.change_id:
                return
            dialect = self._database.dialect
            connection.execute(sa.delete(_absorbed).where(_absorbed.c.person_id.in_(change.part_ids)))
            moved = [{"person_id": one, "survivor_id": change.survivor_id} for one in change.absorbed_ids]
            if moved:
                connection.execute(upsert(dialect, _absorbed, key=["person_id"], update=["survivor_id"]), moved)
            if change.erased_ids:
                gone = [{"person_id": one} for one in change.erased_ids]
                connection.execute(insert_ignore(dialect, _erased), gone)
            _update(connection, dialect, changed)
            connection.execute(sa.delete(_followed))
            connection.execute(sa.insert(_followed).values(last_change_id=change.change_id))

        await self._database.write(follow)

    async def _rows(self, query: sa.Select[tuple[object, ...]]) -> Sequence[Audience]:
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [_audience(row) for row in rows]


_LOOK_ALIKE_COLUMNS = tuple(each.name for each in fields(LookAlikeOf))
_PLAN_COLUMNS = ("combination", "refresh_interval_s", "refresh_time_us")
_current = sa.and_(_versions.c.audience_id == _audiences.c.audience_id, _versions.c.version == _audiences.c.revision)
_QUERY: sa.Select[Any] = (
    sa.select(
        _audiences,
        *(_look_alikes.c[name] for name in _LOOK_ALIKE_COLUMNS),
        *(_plans.c[name] for name in _PLAN_COLUMNS),
        _versions.c.time_us.label("version_time_us"),
        _versions.c.size.label("version_size"),
        _versions.c.cause,
    )
    .outerjoin_from(_audiences, _look_alikes, _audiences.c.audience_id == _look_alikes.c.audience_id)
    .outerjoin(_plans, _audiences.c.audience_id == _plans.c.audience_id)
    .outerjoin(_versions, _current)
)


def _position(connection: sa.Connection) -> int:
    return int(connection.execute(sa.select(sa.func.max(_followed.c.last_change_id))).scalar() or 0)


def _select(audience_id: str) -> sa.Select[tuple[object, ...]]:
    return _QUERY.where(_audiences.c.audience_id == audience_id)


def _update(connection: sa.Connection, dialect: str, audiences: Sequence[Audience]) -> None:
    for audience in audiences:
        columns = _columns(audience)
        key = columns.pop("audience_id")
        updated = connection.execute(sa.update(_audiences).where(_audiences.c.audience_id == key).values(**columns))
        if updated.rowcount:
            _note(connection, dialect, audience)


def _note(connection: sa.Connection, dialect: str, audience: Audience) -> None:
    """Keep the plan of an audience and its version, and forget the oldest ones."""
    key, version = audience.audience_id, audience.version
    plan = {
        "audience_id": key,
        "combination": "" if audience.combination is None else json.dumps(asdict(audience.combination)),
        "refresh_interval_s": audience.refresh_interval_s,
        "refresh_time_us": audience.refresh_time_us,
    }
    connection.execute(upsert(dialect, _plans, key=["audience_id"], update=_PLAN_COLUMNS), [plan])
    if version is not None:
        made = {"audience_id": key, **asdict(version), "cause": version.cause.value}
        connection.execute(insert_ignore(dialect, _versions).values(**made))
        old = sa.and_(_versions.c.audience_id == key, _versions.c.version <= version.version - KEPT_VERSIONS)
        connection.execute(sa.delete(_versions).where(old))


def _columns(audience: Audience) -> dict[str, object]:
    return {
        "audience_id": audience.audience_id,
        "advertiser_id": audience.advertiser_id,
        "display_name": audience.display_name,
        "expression": audience.expression,
        "definition_sha256": audience.definition_sha256,
        "state": audience.state.value,
        "create_time_us": audience.create_time_us,
        "size": audience.size,
        "revision": audience.revision,
        "failure": audience.failure,
    }


def _audience(row: sa.Row[tuple[object, ...]]) -> Audience:
    columns = dict(row._mapping)  # noqa: SLF001  # the documented way to read a row by name
    state = AudienceState(columns.pop("state"))
    of = {name: columns.pop(name) for name in _LOOK_ALIKE_COLUMNS}
    plan = {name: columns.pop(name) for name in _PLAN_COLUMNS}
    size, time_us, cause = (columns.pop(name) for name in ("version_size", "version_time_us", "cause"))
    return Audience(
        **columns,
        look_alike=None if of["seed_audience_id"] is None else LookAlikeOf(**of),
        combination=_combination(plan["combination"] or ""),
        refresh_interval_s=plan["refresh_interval_s"] or 0,
        refresh_time_us=plan["refresh_time_us"] or 0,
        version=None if cause is None else AudienceVersion(columns["revision"], size, time_us, VersionCause(cause)),
        state=state,
        progress=1.0 if state is AudienceState.READY else 0.0,
    )


def _combination(text: str) -> Combination | None:
    if not text:
        return None
    return Combination(**{name: tuple(ids) for name, ids in json.loads(text).items()})
