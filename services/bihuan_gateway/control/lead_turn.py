"""Which of several gateways delivers leads: a lease in their database, so that as a rule a lead is delivered once."""

from dataclasses import dataclass

import sqlalchemy as sa

from bihuan_gateway.control.tables import LEASES
from bihuan_shared.clock import SECOND_US, Clock
from bihuan_shared.sql import Database, insert_ignore

NAME = "leads"
TTL_US = 30 * SECOND_US
"""Fifteen times as long as a holder lets pass before it asks again."""


@dataclass(frozen=True, slots=True)
class SqlTurn:
    """
    Implements `lead_ports.Turn`.

    `holder` names this process. A turn that is not kept up ends after `ttl_us`; two may overlap for a moment where a
    process was stopped and goes on, and then a lead may be delivered twice.
    """

    database: Database
    holder: str
    clock: Clock
    ttl_us: int = TTL_US

    async def hold(self) -> bool:
        """Take or keep the turn; False while another gateway has it."""
        now_us = self.clock.now_us()

        def take(connection: sa.Connection) -> bool:
            row = {"name": NAME, "holder": self.holder, "until_us": now_us + self.ttl_us}
            connection.execute(insert_ignore(self.database.dialect, LEASES).values(row))
            free = (LEASES.c.holder == self.holder) | (LEASES.c.until_us <= now_us)
            return connection.execute(sa.update(LEASES).where(LEASES.c.name == NAME, free).values(row)).rowcount > 0

        return await self.database.write(take)
