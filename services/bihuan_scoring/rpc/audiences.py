"""`bihuan.scoring.v1.AudienceService` on the wire."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc

from bihuan.scoring.v1 import audience_pb2, audience_pb2_grpc
from bihuan_scoring.domain.audiences import Audience, AudienceState, LookAlikeOf, NewAudience
from bihuan_scoring.rpc.evidence import evidence_message
from bihuan_scoring.rpc.explaining import membership_message
from bihuan_scoring.rpc.exporting import description_message, export_parts
from bihuan_scoring.rpc.packages import (
    add_version,
    create_combined,
    create_of_brand,
    overlaps_message,
    require_each_once,
    version_message,
)
from bihuan_scoring.use_cases.audiences import Audiences
from bihuan_scoring.use_cases.describing import Describer
from bihuan_scoring.use_cases.exporting import Exporter
from bihuan_scoring.use_cases.look_alikes import create_look_alike
from bihuan_scoring.use_cases.membership import explain_audience, explain_expression
from bihuan_scoring.use_cases.ports import Profiles
from bihuan_scoring.use_cases.telling import Teller
from bihuan_shared.callers import Role, current_caller
from bihuan_shared.clock import Clock, to_timestamp, to_us

CreateContext = grpc.aio.ServicerContext[audience_pb2.CreateAudienceRequest, audience_pb2.CreateAudienceResponse]
GetContext = grpc.aio.ServicerContext[audience_pb2.GetAudienceRequest, audience_pb2.GetAudienceResponse]
ListContext = grpc.aio.ServicerContext[audience_pb2.ListAudiencesRequest, audience_pb2.ListAudiencesResponse]
ReachContext = grpc.aio.ServicerContext[audience_pb2.EstimateReachRequest, audience_pb2.EstimateReachResponse]
MembershipContext = grpc.aio.ServicerContext[
    audience_pb2.BatchGetMembershipsRequest, audience_pb2.BatchGetMembershipsResponse
]
MembersContext = grpc.aio.ServicerContext[
    audience_pb2.UpdateAudienceMembersRequest, audience_pb2.UpdateAudienceMembersResponse
]
RefreshContext = grpc.aio.ServicerContext[audience_pb2.RefreshAudienceRequest, audience_pb2.RefreshAudienceResponse]
WhyContext = grpc.aio.ServicerContext[audience_pb2.ExplainMembershipRequest, audience_pb2.ExplainMembershipResponse]
CompareContext = grpc.aio.ServicerContext[audience_pb2.CompareAudiencesRequest, audience_pb2.CompareAudiencesResponse]
ExportContext = grpc.aio.ServicerContext[audience_pb2.ExportAudienceRequest, audience_pb2.ExportAudienceResponse]
DescribeContext = grpc.aio.ServicerContext[audience_pb2.DescribeAudienceRequest, audience_pb2.DescribeAudienceResponse]
DeleteContext = grpc.aio.ServicerContext[audience_pb2.DeleteAudienceRequest, audience_pb2.DeleteAudienceResponse]
ErasureContext = grpc.aio.ServicerContext[audience_pb2.DeletePersonRequest, audience_pb2.DeletePersonResponse]

_DEFAULT_PAGE = 100
_DEFAULT_TAGS = 50
_STATES = {
    AudienceState.BUILDING: audience_pb2.AUDIENCE_STATE_BUILDING,
    AudienceState.READY: audience_pb2.AUDIENCE_STATE_READY,
    AudienceState.FAILED: audience_pb2.AUDIENCE_STATE_FAILED,
}


@dataclass(frozen=True, slots=True)
class AudienceUses:
    """What one does with audiences beside keeping them."""

    teller: Teller
    exporter: Exporter
    describer: Describer


class AudienceServicer(audience_pb2_grpc.AudienceServiceServicer):
    """`bihuan.scoring.v1.AudienceService`."""

    def __init__(self, audiences: Audiences, clock: Clock, profiles: Profiles, uses: AudienceUses) -> None:
        self._audiences = audiences
        self._profiles = profiles
        self._uses = uses
        self._clock = clock

    async def CreateAudience(  # noqa: N802
        self, request: audience_pb2.CreateAudienceRequest, _context: CreateContext
    ) -> audience_pb2.CreateAudienceResponse:
        """The audience as it stands after the call."""
        asked = request.audience
        new = NewAudience(
            asked.audience_id, asked.advertiser_id, asked.display_name, self._clock.now_us(), asked.refresh_interval_s
        )
        definition = request.definition
        kind = definition.WhichOneof("definition")
        if kind == "members":
            audience = await self._audiences.create_from_members(new, definition.members.person_ids)
        elif kind == "expression":
            audience = await self._audiences.create_from_expression(new, definition.expression)
        elif kind == "combination":
            audience = await create_combined(self._audiences, new, definition.combination)
        elif kind == "brand_behaviour":
            audience = await create_of_brand(self._audiences, new, definition.brand_behaviour)
        else:
            audience = await create_look_alike(self._audiences, new, _look_alike(definition.look_alike))
        return audience_pb2.CreateAudienceResponse(audience=await self._told(audience))

    async def GetAudience(  # noqa: N802
        self, request: audience_pb2.GetAudienceRequest, _context: GetContext
    ) -> audience_pb2.GetAudienceResponse:
        """One audience."""
        audience = await self._audiences.get(request.audience_id)
        evidence = await self._audiences.evidence(request.audience_id) if audience.look_alike else ""
        return audience_pb2.GetAudienceResponse(
            audience=await self._told(audience),
            look_alike_evidence=evidence_message(audience, evidence),
            history=[
                version_message(version, self._uses.teller.version(audience, version))
                for version in await self._audiences.history(request.audience_id)
            ],
        )

    async def ListAudiences(  # noqa: N802
        self, request: audience_pb2.ListAudiencesRequest, _context: ListContext
    ) -> audience_pb2.ListAudiencesResponse:
        """One page of audiences by id; the page token is the last id."""
        limit = request.page_size or _DEFAULT_PAGE
        found, following = await self._audiences.page(request.advertiser_id, request.page_token, limit)
        return audience_pb2.ListAudiencesResponse(
            audiences=[_message(audience) for audience in found], next_page_token=following
        )

    async def EstimateReach(  # noqa: N802
        self, request: audience_pb2.EstimateReachRequest, _context: ReachContext
    ) -> audience_pb2.EstimateReachResponse:
        """How many persons fit, as that may be told."""
        told = await self._uses.teller.reach(request.advertiser_id, request.expression)
        return audience_pb2.EstimateReachResponse(reach=told.count, below_floor=told.below_floor)

    async def ExplainMembership(  # noqa: N802
        self, request: audience_pb2.ExplainMembershipRequest, _context: WhyContext
    ) -> audience_pb2.ExplainMembershipResponse:
        """Why a person fits or not, condition by condition."""
        person_id = request.person.person_id
        if request.WhichOneof("subject") == "audience_id":
            found = await explain_audience(self._audiences, self._profiles, person_id, request.audience_id)
        else:
            found = await explain_expression(
                self._audiences, self._profiles, person_id, request.advertiser_id, request.expression
            )
        return membership_message(found)

    async def BatchGetMemberships(  # noqa: N802
        self, request: audience_pb2.BatchGetMembershipsRequest, _context: MembershipContext
    ) -> audience_pb2.BatchGetMembershipsResponse:
        """One membership a person, in the same order."""
        memberships = [
            audience_pb2.Membership(audience_ids=self._audiences.memberships(person.person_id))
            for person in request.persons
        ]
        return audience_pb2.BatchGetMembershipsResponse(memberships=memberships)

    async def ExportAudience(  # noqa: N802
        self, request: audience_pb2.ExportAudienceRequest, _context: ExportContext
    ) -> AsyncIterator[audience_pb2.ExportAudienceResponse]:
        """The members as tokens of a partner."""
        async for part in export_parts(self._uses.exporter, request):
            yield part

    async def DescribeAudience(  # noqa: N802
        self, request: audience_pb2.DescribeAudienceRequest, _context: DescribeContext
    ) -> audience_pb2.DescribeAudienceResponse:
        """What the audience is made of."""
        found = await self._uses.describer.describe(request.audience_id, request.max_tags or _DEFAULT_TAGS)
        return description_message(found, await self._told(found.audience))

    async def UpdateAudienceMembers(  # noqa: N802
        self, request: audience_pb2.UpdateAudienceMembersRequest, _context: MembersContext
    ) -> audience_pb2.UpdateAudienceMembersResponse:
        """The audience after persons came in and went out."""
        audience = await self._audiences.update_members(
            request.audience_id,
            request.advertiser_id,
            [person.person_id for person in request.add_persons],
            [person.person_id for person in request.remove_persons],
        )
        return audience_pb2.UpdateAudienceMembersResponse(audience=await self._told(audience))

    async def RefreshAudience(  # noqa: N802
        self, request: audience_pb2.RefreshAudienceRequest, _context: RefreshContext
    ) -> audience_pb2.RefreshAudienceResponse:
        """The audience as it stands; it is building until its members are anew."""
        audience = await self._audiences.refresh(request.audience_id, request.advertiser_id)
        return audience_pb2.RefreshAudienceResponse(audience=await self._told(audience))

    async def CompareAudiences(  # noqa: N802
        self, request: audience_pb2.CompareAudiencesRequest, _context: CompareContext
    ) -> audience_pb2.CompareAudiencesResponse:
        """How much audiences overlap, pair by pair."""
        require_each_once(request.audience_ids)
        return overlaps_message(await self._uses.teller.overlaps(request.advertiser_id, request.audience_ids))

    async def DeleteAudience(  # noqa: N802
        self, request: audience_pb2.DeleteAudienceRequest, _context: DeleteContext
    ) -> audience_pb2.DeleteAudienceResponse:
        """True where there was one."""
        deleted = await self._audiences.delete(request.audience_id)
        return audience_pb2.DeleteAudienceResponse(deleted=deleted)

    async def DeletePerson(  # noqa: N802
        self, request: audience_pb2.DeletePersonRequest, _context: ErasureContext
    ) -> audience_pb2.DeletePersonResponse:
        """How many audiences the person was in."""
        removed = await self._audiences.delete_person(request.person.person_id)
        return audience_pb2.DeletePersonResponse(removed_count=removed)

    async def _told(self, audience: Audience) -> audience_pb2.Audience:
        message = _message(audience)
        told = await self._uses.teller.size(audience)
        message.told_size, message.size_below_floor = told.count, told.below_floor
        if current_caller().role is Role.PARTNER:
            message.size = told.count
        return message


def _look_alike(asked: audience_pb2.LookAlike) -> LookAlikeOf:
    cut_off_us = to_us(asked.seed_cut_off_time) if asked.HasField("seed_cut_off_time") else 0
    return LookAlikeOf(asked.seed_audience_id, asked.target_size, asked.least_precision, cut_off_us)


def _message(audience: Audience) -> audience_pb2.Audience:
    message = audience_pb2.Audience(
        audience_id=audience.audience_id,
        display_name=audience.display_name,
        advertiser_id=audience.advertiser_id,
        expression=audience.expression,
        state=_STATES[audience.state],
        size=audience.size,
        create_time=to_timestamp(audience.create_time_us),
        progress=audience.progress,
        failure=audience.failure,
    )
    add_version(message, audience)
    return message
