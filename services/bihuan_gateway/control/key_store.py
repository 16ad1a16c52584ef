"""API keys in SQL."""

from dataclasses import dataclass

import sqlalchemy as sa

from bihuan_gateway.control.access import Principal, Role
from bihuan_gateway.control.ports import KnownKey
from bihuan_gateway.control.tables import API_KEYS
from bihuan_shared.errors import AlreadyExists
from bihuan_shared.sql import Database, insert_ignore


@dataclass(frozen=True, slots=True)
class SqlKeyStore:
    """Implements `ports.KeyStore` and the authenticator's `KeySource`."""

    database: Database

    async def find_key(self, secret_sha256: str) -> Principal | None:
        """Return the holder of the key with this hash, or None."""
        statement = sa.select(API_KEYS).where(API_KEYS.c.secret_sha256 == secret_sha256)

        def select(connection: sa.Connection) -> Principal | None:
            row = connection.execute(statement).mappings().first()
            return None if row is None else _holder(row)

        return await self.database.read(select)

    async def add_key(self, holder: Principal, *, secret_sha256: str, display_name: str, create_time_us: int) -> None:
        """Store a new key (AlreadyExists where its id is taken)."""
        row = {
            "key_id": holder.key_id,
            "secret_sha256": secret_sha256,
            "role": holder.role.value,
            "advertiser_id": holder.advertiser_id or None,
            "display_name": display_name,
            "create_time_us": create_time_us,
        }

        def insert(connection: sa.Connection) -> None:
            if connection.execute(insert_ignore(self.database.dialect, API_KEYS).values(row)).rowcount == 0:
                raise AlreadyExists("a key was made under this idempotency key; a secret is shown once")

        await self.database.write(insert)

    async def list_keys(self, *, size: int, after: str) -> tuple[list[KnownKey], str]:
        """Return one page of keys by id; see the port."""
        statement = sa.select(API_KEYS).where(API_KEYS.c.key_id > after).order_by(API_KEYS.c.key_id).limit(size + 1)

        def select(connection: sa.Connection) -> list[KnownKey]:
            return [
                KnownKey(_holder(row), row["display_name"], row["create_time_us"])
                for row in connection.execute(statement).mappings()
            ]

        found = await self.database.read(select)
        return found[:size], found[size - 1].holder.key_id if len(found) > size else ""

    async def delete_key(self, key_id: str) -> bool:
        """Forget a key; False where there is none."""
        statement = sa.delete(API_KEYS).where(API_KEYS.c.key_id == key_id)
        return await self.database.write(lambda connection: connection.execute(statement).rowcount > 0)


def _holder(row: sa.RowMapping) -> Principal:
    return Principal(row["key_id"], Role(row["role"]), row["advertiser_id"] or "")
