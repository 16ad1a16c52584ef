"""What is payable to promoters and publishers, in SQL."""

from dataclasses import dataclass

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_shared.sql import Database


@dataclass(frozen=True, slots=True)
class SqlPayables:
    """Implements `use_cases.ports.Payables` on one database."""

    database: Database

    async def payable(self, account: str) -> list[tuple[str, str, int]]:
        """(account, currency, balance) of an account of somebody who is paid; positive where something is payable."""
        table = schema.accounts
        query = sa.select(table).where(table.c.account == account).order_by(table.c.currency)
        rows = await self.database.read(lambda c: c.execute(query).all())
        return [(row.account, row.currency, -row.balance_nanos) for row in rows]
