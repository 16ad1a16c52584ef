"""Money and effect as the gateway shows them: deposits, balances, ledger."""

from dataclasses import dataclass, replace

from bihuan_gateway.control.access import Principal, require_admin, visible_tenant
from bihuan_gateway.control.insight import (
    Balance,
    EntryQuery,
    LedgerEntry,
    Reconciliation,
)
from bihuan_gateway.control.ports import Books
from bihuan_gateway.control.specs import AdvertiserSpec, Kind
from bihuan_gateway.control.use_cases import Catalogue
from bihuan_shared.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class Effects:
    """Asks attribution on behalf of a caller, within the caller's tenant."""

    catalogue: Catalogue
    books: Books

    async def deposit(
        self, principal: Principal, advertiser_id: str, *, currency: str, amount_micros: int, deposit_id: str
    ) -> LedgerEntry:
        """Book a deposit once (admins; AlreadyExists where the id came with another body)."""
        require_admin(principal)
        advertiser = await self.catalogue.get(principal, Kind.ADVERTISERS, advertiser_id)
        assert isinstance(advertiser.spec, AdvertiserSpec)
        if currency != advertiser.spec.currency:
            raise InvalidArgument.of("/currency", f"the account is in {advertiser.spec.currency}")
        return await self.books.deposit(advertiser_id, deposit_id, currency=currency, amount_micros=amount_micros)

    async def balances(self, principal: Principal, advertiser_id: str, as_of_us: int | None) -> list[Balance]:
        """Tell what an advertiser's accounts hold, now or as it was believed then (NotFound)."""
        await self.catalogue.get(principal, Kind.ADVERTISERS, advertiser_id)
        return await self.books.balances(advertiser_id, as_of_us)

    async def entries(self, principal: Principal, query: EntryQuery) -> tuple[list[LedgerEntry], str]:
        """Return a page of ledger entries, oldest first (NotFound for another tenant)."""
        tenant = visible_tenant(principal, query.advertiser_id)
        if query.campaign_id is not None:
            await self.catalogue.get(principal, Kind.CAMPAIGNS, query.campaign_id)
        return await self.books.entries(replace(query, advertiser_id=tenant))

    async def reconcile(self, principal: Principal, *, positions_only: bool = False) -> Reconciliation:
        """Compare the books with the events, or only tell where the consumers of the log are (admins)."""
        require_admin(principal)
        return await self.books.reconcile(positions_only=positions_only)
