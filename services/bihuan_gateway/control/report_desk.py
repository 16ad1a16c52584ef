"""Reports and explanations on behalf of a caller, within the caller's tenant."""

from dataclasses import dataclass, replace
from typing import Protocol

from bihuan_gateway.control.access import Principal, require_admin, visible_tenant
from bihuan_gateway.control.order_attribution import ModelComparison, ModelQuery, OrderAttribution
from bihuan_gateway.control.reports import ReportQuery, ReportRow, Verification
from bihuan_gateway.control.specs import Kind
from bihuan_gateway.control.use_cases import Catalogue
from bihuan_shared.errors import InvalidArgument


class Reports(Protocol):
    """Attribution, as it reports and explains."""

    async def report(self, query: ReportQuery) -> tuple[list[ReportRow], str]:
        """Return rows and the token of the next page, empty at the end."""
        ...

    async def attribution_of(self, advertiser_id: str, order_id: str) -> OrderAttribution:
        """Explain one order; NotFound."""
        ...

    async def compare_models(self, advertiser_id: str, query: ModelQuery) -> ModelComparison:
        """Share orders by several models."""
        ...

    async def verify(self) -> Verification:
        """Compare the figures of reports with a recomputation."""
        ...


@dataclass(frozen=True, slots=True)
class ReportDesk:
    """Asks attribution for what a caller may see."""

    catalogue: Catalogue
    reports: Reports

    async def report(self, principal: Principal, query: ReportQuery) -> tuple[list[ReportRow], str]:
        """Return a page of a report (InvalidArgument; NotFound for another tenant)."""
        query.check()
        tenant = visible_tenant(principal, query.advertiser_id)
        for campaign_id in query.campaign_ids:
            await self.catalogue.get(principal, Kind.CAMPAIGNS, campaign_id)
        return await self.reports.report(replace(query, advertiser_id=tenant))

    async def attribution_of(self, principal: Principal, order_id: str, advertiser_id: str | None) -> OrderAttribution:
        """Explain one order; who sees several tenants must say whose it is (InvalidArgument)."""
        tenant = _one_tenant(principal, advertiser_id, "order ids are an advertiser's own")
        return await self.reports.attribution_of(tenant, order_id)

    async def compare_models(
        self, principal: Principal, advertiser_id: str | None, query: ModelQuery
    ) -> ModelComparison:
        """Share orders by several models; who sees several tenants must say whose (InvalidArgument)."""
        tenant = _one_tenant(principal, advertiser_id, "models are compared over one advertiser's orders")
        return await self.reports.compare_models(tenant, query)

    async def verify(self, principal: Principal) -> Verification:
        """Compare the figures with a recomputation (admins)."""
        require_admin(principal)
        return await self.reports.verify()


def _one_tenant(principal: Principal, advertiser_id: str | None, why: str) -> str:
    tenant = visible_tenant(principal, advertiser_id)
    if tenant is None:
        raise InvalidArgument.of("/query/advertiser_id", f"is needed: {why}")
    return tenant
