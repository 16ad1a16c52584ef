"""Leads: what is due, and what was delivered."""

import grpc

from bihuan.attribution.v1 import lead_pb2
from bihuan.common.v1 import common_pb2
from bihuan_attribution.domain.lead import Lead, LeadRoute
from bihuan_attribution.paging import open_page, seal_page
from bihuan_attribution.rpc.ports import Served
from bihuan_attribution.use_cases.leads import LeadQuery
from bihuan_shared.clock import to_timestamp
from bihuan_shared.errors import InvalidArgument

_DEFAULT_LEADS = 100
_ROUTES = {
    lead_pb2.LEAD_ROUTE_UNSPECIFIED: None,
    lead_pb2.LEAD_ROUTE_SALES: LeadRoute.SALES,
    lead_pb2.LEAD_ROUTE_NURTURE: LeadRoute.NURTURE,
}
Context = grpc.aio.ServicerContext


class LeadsRpc(Served):
    """Leads."""

    async def ListLeads(  # noqa: N802  # the contract's name
        self,
        request: lead_pb2.ListLeadsRequest,
        _context: Context[lead_pb2.ListLeadsRequest, lead_pb2.ListLeadsResponse],
    ) -> lead_pb2.ListLeadsResponse:
        """Leads by id."""
        if request.route not in _ROUTES:
            raise InvalidArgument.of("route", "is not known")
        limit = request.page_size or _DEFAULT_LEADS
        (after,) = open_page(request.page_token, 1) or ("",)
        query = LeadQuery(_ROUTES[request.route], request.advertiser_id, request.due_only, after, limit + 1)
        found = await self._ports.leads.page(query)
        return lead_pb2.ListLeadsResponse(
            leads=[_message(one) for one in found[:limit]],
            next_page_token=seal_page([found[limit - 1].lead_id]) if len(found) > limit else "",
        )

    async def AcknowledgeLeads(  # noqa: N802  # the contract's name
        self,
        request: lead_pb2.AcknowledgeLeadsRequest,
        _context: Context[lead_pb2.AcknowledgeLeadsRequest, lead_pb2.AcknowledgeLeadsResponse],
    ) -> lead_pb2.AcknowledgeLeadsResponse:
        """Note what was delivered; a lead that is no more is nobody's fault."""
        await self._ports.leads.acknowledge([(one.lead_id, one.revision) for one in request.leads])
        return lead_pb2.AcknowledgeLeadsResponse()


def _message(lead: Lead) -> lead_pb2.Lead:
    score, key = lead.score, lead.key
    return lead_pb2.Lead(
        lead_id=lead.lead_id,
        revision=lead.revision,
        advertiser_id=key.advertiser_id,
        person=common_pb2.PersonRef(person_id=key.person_id) if key.person_id else None,
        points=score.points,
        threshold=score.threshold,
        route=lead_pb2.LEAD_ROUTE_SALES if score.route is LeadRoute.SALES else lead_pb2.LEAD_ROUTE_NURTURE,
        reasons=[lead_pb2.LeadReason(action=one.action, count=one.count, points=one.points) for one in score.reasons],
        references=score.references,
        campaign_id=score.campaign_id,
        creative_id=score.creative_id,
        first_time=to_timestamp(score.first_time_us),
        last_time=to_timestamp(score.last_time_us),
    )
