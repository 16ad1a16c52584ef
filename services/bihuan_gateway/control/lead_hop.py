"""Leads over gRPC: what is due from attribution, and who is nurtured to scoring."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bihuan.attribution.v1 import lead_pb2
from bihuan.common.v1 import common_pb2
from bihuan.scoring.v1 import audience_pb2
from bihuan_gateway.control.audience_hops import AudienceHop
from bihuan_gateway.control.lead_ports import DueLead, Way
from bihuan_shared.clock import to_us
from bihuan_shared.rpc.deadline import deadline_scope

if TYPE_CHECKING:  # these classes exist for type checkers only
    from bihuan.attribution.v1.attribution_pb2_grpc import AttributionServiceAsyncStub
    from bihuan.scoring.v1.audience_pb2_grpc import AudienceServiceAsyncStub

_TIMEOUT_S = 5.0
_WAYS = {"sales": lead_pb2.LEAD_ROUTE_SALES, "nurture": lead_pb2.LEAD_ROUTE_NURTURE}


class LeadHop:
    """Implements `lead_ports.LeadQueue`."""

    def __init__(self, stub: "AttributionServiceAsyncStub") -> None:
        self._stub = stub

    async def due(self, advertiser_id: str, way: Way, *, size: int, page_token: str) -> tuple[list[DueLead], str]:
        """Return a page of what is due, and where to go on, empty at the end."""
        request = lead_pb2.ListLeadsRequest(
            advertiser_id=advertiser_id, route=_WAYS[way], due_only=True, page_size=size, page_token=page_token
        )
        with deadline_scope(_TIMEOUT_S):
            answer = await self._stub.ListLeads(request)
        return [_due(lead) for lead in answer.leads], answer.next_page_token

    async def acknowledge(self, delivered: Sequence[tuple[str, int]]) -> None:
        """Note what was delivered."""
        leads = [lead_pb2.DeliveredLead(lead_id=lead_id, revision=revision) for lead_id, revision in delivered]
        with deadline_scope(_TIMEOUT_S):
            await self._stub.AcknowledgeLeads(lead_pb2.AcknowledgeLeadsRequest(leads=leads))


def _due(lead: lead_pb2.Lead) -> DueLead:
    return DueLead(
        lead_id=lead.lead_id,
        revision=lead.revision,
        advertiser_id=lead.advertiser_id,
        person_id=lead.person.person_id,
        points=lead.points,
        threshold=lead.threshold,
        reasons=tuple((reason.action, reason.count, reason.points) for reason in lead.reasons),
        references=tuple(lead.references),
        campaign_id=lead.campaign_id,
        creative_id=lead.creative_id,
        first_time_us=to_us(lead.first_time),
        last_time_us=to_us(lead.last_time),
    )


class NurtureHop(AudienceHop):
    """Implements `lead_ports.NurtureLists`."""

    def __init__(self, stub: "AudienceServiceAsyncStub") -> None:
        super().__init__(stub)
        self._lists = stub

    async def change_members(
        self, audience_id: str, advertiser_id: str, *, add: Sequence[int], remove: Sequence[int]
    ) -> None:
        """Take persons into a list and out of it, at most 1,000 each way."""
        request = audience_pb2.UpdateAudienceMembersRequest(
            audience_id=audience_id,
            advertiser_id=advertiser_id,
            add_persons=[common_pb2.PersonRef(person_id=one) for one in add],
            remove_persons=[common_pb2.PersonRef(person_id=one) for one in remove],
        )
        with deadline_scope(_TIMEOUT_S):
            await self._lists.UpdateAudienceMembers(request)
