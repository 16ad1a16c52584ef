"""API keys in SQL."""

from dataclasses import dataclass

import sqlalchemy as sa

from bihuan_gateway.control.access import Principal, Role
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
            return None if row is None else Principal(row["key_id"], Role(row["role"]), row["advertiser_id"] or "")

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
