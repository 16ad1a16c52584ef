"""Private tags in SQL, and which of them profile was told in its store's present life."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from pydantic import TypeAdapter

from bihuan_gateway.control.resources import Receipt
from bihuan_gateway.control.tables import METADATA, RECEIPTS
from bihuan_gateway.control.tags import MAX_DELETED_NAMES, PutOutcome, TagSet, TagSpec, require_no_conflicts
from bihuan_shared.errors import AlreadyExists, FailedPrecondition
from bihuan_shared.sql import Database, insert_ignore, upsert

COLLECTION = "tags"
TAG_SETS = sa.Table(
    "private_tag_sets",
    METADATA,
    sa.Column("advertiser_id", sa.String(64), sa.ForeignKey("advertisers.id"), primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("told_epoch", sa.String(64), nullable=False),
)
"""`told_epoch` names the life of profile's store in which it was told the newest version; empty where it was not."""
TAGS = sa.Table(
    "private_tags",
    METADATA,
    sa.Column("advertiser_id", sa.String(64), sa.ForeignKey("advertisers.id"), primary_key=True),
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("update_time_us", sa.BigInteger, nullable=False),
    sa.Column("spec", sa.Text, nullable=False),
)
LIVES = sa.Table(
    "private_tag_lives",
    METADATA,
    sa.Column("advertiser_id", sa.String(64), sa.ForeignKey("advertisers.id"), primary_key=True),
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("deleted_count", sa.Integer, nullable=False),
)
"""How often tags of a name were deleted."""
_MADE = TypeAdapter(tuple[int, tuple[TagSpec, ...]])


@dataclass(frozen=True, slots=True)
class SqlTags:
    """Implements `tags.TagStore` and `tag_relay.TagOutbox` on the gateway's own database."""

    database: Database

    async def put(
        self, advertiser_id: str, tags: Sequence[TagSpec], receipt: Receipt | None, now_us: int
    ) -> PutOutcome:
        """Store tags and the receipt in one transaction; see the port."""
        dialect = self.database.dialect

        def write(connection: sa.Connection) -> PutOutcome:
            new_set = {"advertiser_id": advertiser_id, "version": 0, "told_epoch": ""}
            connection.execute(insert_ignore(dialect, TAG_SETS).values(new_set))
            # Writers of one advertiser take turns from here on.
            own = sa.update(TAG_SETS).where(TAG_SETS.c.advertiser_id == advertiser_id)
            connection.execute(own.values(version=TAG_SETS.c.version))
            if receipt is not None and (made := _made_before(connection, receipt)) is not None:
                return made
            known = {tag.name: tag for tag in _tags(connection, advertiser_id)}
            require_no_conflicts(known, tags)
            changed = [tag for tag in tags if known.get(tag.name) != tag]
            if changed:
                rows = [_row(advertiser_id, tag, now_us) for tag in changed]
                into = upsert(dialect, TAGS, key=("advertiser_id", "name"), update=("update_time_us", "spec"))
                connection.execute(into, rows)
                connection.execute(own.values(version=TAG_SETS.c.version + 1, told_epoch=""))
            outcome = PutOutcome(tuple(tags), len(changed))
            if receipt is not None:
                connection.execute(sa.insert(RECEIPTS).values(_receipt_row(advertiser_id, outcome, receipt, now_us)))
            return outcome

        return await self.database.write(write)

    async def delete(self, advertiser_id: str, name: str) -> bool:
        """Delete a tag in one transaction; see the port."""
        dialect = self.database.dialect

        def write(connection: sa.Connection) -> bool:
            own = sa.update(TAG_SETS).where(TAG_SETS.c.advertiser_id == advertiser_id)
            # Writers of one advertiser take turns from here on.
            connection.execute(own.values(version=TAG_SETS.c.version))
            gone = sa.delete(TAGS).where(TAGS.c.advertiser_id == advertiser_id, TAGS.c.name == name)
            if not connection.execute(gone).rowcount:
                return False
            lives = _lives(connection, advertiser_id)
            if name not in lives and len(lives) >= MAX_DELETED_NAMES:
                raise FailedPrecondition(
                    f"tags of {MAX_DELETED_NAMES} names were deleted; their names can be used again"
                )
            row = {"advertiser_id": advertiser_id, "name": name, "deleted_count": lives.get(name, 0) + 1}
            into = upsert(dialect, LIVES, key=("advertiser_id", "name"), update=("deleted_count",))
            connection.execute(into, [row])
            connection.execute(own.values(version=TAG_SETS.c.version + 1, told_epoch=""))
            return True

        return await self.database.write(write)

    async def of(self, advertiser_id: str) -> TagSet:
        """Return all tags of an advertiser."""
        return await self.database.read(lambda connection: _set(connection, advertiser_id))

    async def untold(self, epoch: str, after: str, limit: int) -> list[TagSet]:
        """Return at most `limit` sets that profile was not told in this life of its store, by advertiser."""
        statement = (
            sa.select(TAG_SETS.c.advertiser_id)
            .where(TAG_SETS.c.told_epoch != epoch, TAG_SETS.c.version > 0, TAG_SETS.c.advertiser_id > after)
            .order_by(TAG_SETS.c.advertiser_id)
            .limit(limit)
        )
        return await self.database.read(
            lambda connection: [_set(connection, name) for name in connection.execute(statement).scalars().all()]
        )

    async def note_told(self, told: TagSet, epoch: str) -> None:
        """Note that profile took a set; one that was changed meanwhile is told again."""
        statement = (
            sa.update(TAG_SETS)
            .where(TAG_SETS.c.advertiser_id == told.advertiser_id, TAG_SETS.c.version == told.version)
            .values(told_epoch=epoch)
        )
        await self.database.write(lambda connection: connection.execute(statement))


def _set(connection: sa.Connection, advertiser_id: str) -> TagSet:
    # The version first: what is written between the two reads is told again under a later one.
    statement = sa.select(TAG_SETS.c.version).where(TAG_SETS.c.advertiser_id == advertiser_id)
    version = connection.execute(statement).scalar_one_or_none() or 0
    return TagSet(advertiser_id, version, _tags(connection, advertiser_id), _lives(connection, advertiser_id))


def _lives(connection: sa.Connection, advertiser_id: str) -> dict[str, int]:
    statement = sa.select(LIVES.c.name, LIVES.c.deleted_count).where(LIVES.c.advertiser_id == advertiser_id)
    return {row.name: row.deleted_count for row in connection.execute(statement)}


def _tags(connection: sa.Connection, advertiser_id: str) -> tuple[TagSpec, ...]:
    statement = sa.select(TAGS.c.spec).where(TAGS.c.advertiser_id == advertiser_id).order_by(TAGS.c.name)
    return tuple(TagSpec.model_validate_json(text) for text in connection.execute(statement).scalars())


def _row(advertiser_id: str, tag: TagSpec, now_us: int) -> dict[str, object]:
    return {
        "advertiser_id": advertiser_id,
        "name": tag.name,
        "update_time_us": now_us,
        "spec": tag.model_dump_json(),
    }


def _made_before(connection: sa.Connection, receipt: Receipt) -> PutOutcome | None:
    statement = sa.select(RECEIPTS).where(
        RECEIPTS.c.caller == receipt.caller, RECEIPTS.c.idempotency_key == receipt.key
    )
    row = connection.execute(statement).mappings().first()
    if row is None:
        return None
    if row["fingerprint"] != receipt.fingerprint or row["kind"] != COLLECTION:
        raise AlreadyExists("this idempotency key was used for another request")
    changed, tags = _MADE.validate_json(row["spec"])
    return PutOutcome(tags, changed)


def _receipt_row(advertiser_id: str, outcome: PutOutcome, receipt: Receipt, now_us: int) -> dict[str, object]:
    return {
        "caller": receipt.caller,
        "idempotency_key": receipt.key,
        "fingerprint": receipt.fingerprint,
        "kind": COLLECTION,
        "resource_id": advertiser_id,
        "create_time_us": now_us,
        "spec": _MADE.dump_json((outcome.changed_count, outcome.tags)).decode(),
    }
