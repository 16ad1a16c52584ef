"""What is payable to promoters and publishers, in SQL."""

from dataclasses import dataclass

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.entry_store import balances_then
from bihuan_shared.sql import Database


@dataclass(frozen=True, slots=True)
class SqlPayables:
    """Implements `use_cases.ports.Payables` on one database."""

    database: Database

    async def payable(self, account: str, as_of_us: int | None = None) -> list[tuple[str, str, int]]:
        """
        (account, currency, balance) of an account of somebody who is paid; positive where something is payable.

        With `as_of_us`, the balance that was believed then: of what was booked by that time.
        """
        table = schema.accounts
        query: sa.Select[tuple[object, ...]] = sa.select(table).where(table.c.account == account)
        query = query.order_by(table.c.currency)
        if as_of_us is not None:
            query = balances_then([account], as_of_us)
        rows = await self.database.read(lambda c: c.execute(query).all())
        return [(row.account, row.currency, -row.balance_nanos) for row in rows]
