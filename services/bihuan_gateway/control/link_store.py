"""Promoters' links in SQL."""

from dataclasses import dataclass

import sqlalchemy as sa

from bihuan_gateway.control.promoter_link import IssuedLink, PromoterLink
from bihuan_gateway.control.resources import Receipt
from bihuan_gateway.control.tables import PROMOTER_LINKS, RECEIPTS
from bihuan_shared.errors import AlreadyExists
from bihuan_shared.sql import Database

_KIND = "promoter-links"
"""What receipts of links say; no kind of resources has this name."""


@dataclass(frozen=True, slots=True)
class SqlLinkStore:
    """Implements `ports.LinkStore` on the gateway's own database."""

    database: Database

    async def find_link(self, receipt: Receipt) -> IssuedLink | None:
        """Return what the idempotency key made before; see the port."""
        return await self.database.read(lambda connection: _made_before(connection, receipt))

    async def add_link(self, link: IssuedLink, receipt: Receipt | None) -> IssuedLink:
        """Insert a link and its receipt in one transaction; see the port."""

        def insert(connection: sa.Connection) -> IssuedLink:
            if receipt is not None:
                if (made := _made_before(connection, receipt)) is not None:
                    return made
                connection.execute(sa.insert(RECEIPTS).values(_receipt_row(link, receipt)))
            connection.execute(sa.insert(PROMOTER_LINKS).values(_row_of(link)))
            return link

        return await self.database.write(insert)


def _made_before(connection: sa.Connection, receipt: Receipt) -> IssuedLink | None:
    same = (RECEIPTS.c.caller == receipt.caller) & (RECEIPTS.c.idempotency_key == receipt.key)
    row = connection.execute(sa.select(RECEIPTS).where(same)).first()
    if row is None:
        return None
    if (row.fingerprint, row.kind) != (receipt.fingerprint, _KIND):
        raise AlreadyExists("this idempotency key was used for another request")
    table = PROMOTER_LINKS
    made = connection.execute(sa.select(table).where(table.c.link_id == row.resource_id)).one()
    link = PromoterLink(
        made.link_id, made.promoter_id, made.campaign_id, made.creative_id, made.sub_id, made.expire_time_us
    )
    return IssuedLink(link, made.sealed, made.create_time_us)


def _row_of(issued: IssuedLink) -> dict[str, object]:
    link = issued.link
    return {
        "link_id": link.link_id,
        "promoter_id": link.promoter_id,
        "campaign_id": link.campaign_id,
        "creative_id": link.creative_id,
        "sub_id": link.sub_id,
        "sealed": issued.sealed,
        "create_time_us": issued.create_time_us,
        "expire_time_us": link.expire_time_us,
    }


def _receipt_row(issued: IssuedLink, receipt: Receipt) -> dict[str, object]:
    return {
        "caller": receipt.caller,
        "idempotency_key": receipt.key,
        "fingerprint": receipt.fingerprint,
        "kind": _KIND,
        "resource_id": issued.link.link_id,
        "create_time_us": issued.create_time_us,
        "spec": "",
    }
