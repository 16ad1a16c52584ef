"""Identity, scoring and profile over gRPC, as audiences and targeting need them."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bihuan.common.v1 import common_pb2
from bihuan.identity.v1 import identity_pb2
from bihuan.profile.v1 import profile_pb2
from bihuan.scoring.v1 import audience_pb2
from bihuan_gateway.control.look_alike_wire import evidence_view, look_alike_message
from bihuan_gateway.control.look_alikes import LookAlikeSpec
from bihuan_gateway.control.package_wire import named_as_asked, overlaps_view, package_definition, standing_of
from bihuan_gateway.control.packages import BrandBehaviourSpec, CombinationSpec, OverlapsView
from bihuan_gateway.control.ports import AudienceStatus, Reach
from bihuan_gateway.control.specs import Member
from bihuan_gateway.control.tag_hop import platform_tags
from bihuan_gateway.control.tags import PlatformTags
from bihuan_gateway.hops import asked_by_us
from bihuan_shared.errors import BihuanError, FieldViolation, Internal, InvalidArgument
from bihuan_shared.targeting import Expression, ExpressionInvalid, TagType, check, parse

if TYPE_CHECKING:  # these classes exist for type checkers only
    from bihuan.identity.v1.identity_pb2_grpc import IdentityServiceAsyncStub
    from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceAsyncStub
    from bihuan.scoring.v1.audience_pb2_grpc import AudienceServiceAsyncStub

TAXONOMY_TTL_S = 30.0
_LIST_TIMEOUT_S = 60.0
_TAG_TYPES = {
    profile_pb2.TAG_TYPE_TEXT: TagType.TEXT,
    profile_pb2.TAG_TYPE_NUMBER: TagType.NUMBER,
    profile_pb2.TAG_TYPE_FLAG: TagType.FLAG,
}
_ITEM = re.compile(r"items\[(\d+)\]\.identifiers\[0\]\.?(.*)")


class IdentityHop:
    """Implements `ports.People`."""

    def __init__(self, stub: "IdentityServiceAsyncStub") -> None:
        self._stub = stub

    async def resolve(self, members: Sequence[Member], *, first_index: int) -> list[int]:
        """Return the person of each member, created where unknown."""
        request = identity_pb2.BatchResolveRequest(
            items=[
                identity_pb2.ResolveItem(
                    identifiers=[common_pb2.Identifier(namespace=member.namespace, value=member.value)], create=True
                )
                for member in members
            ]
        )
        try:
            with asked_by_us():
                answer = await self._stub.BatchResolve(request)
        except InvalidArgument as error:
            cause = error.__cause__
            violations = cause.violations if isinstance(cause, InvalidArgument) else ()
            raise InvalidArgument(error.detail, *_members_of(violations, first_index), reason=error.reason) from error
        if len(answer.results) != len(members) or not all(result.person_id for result in answer.results):
            raise Internal("identity did not resolve every member")
        return [result.person_id for result in answer.results]


def _members_of(violations: Sequence[FieldViolation], first_index: int) -> list[FieldViolation]:
    found = ((_ITEM.match(violation.field), violation.description) for violation in violations)
    return [
        FieldViolation(f"/members/{int(match[1]) + first_index}" + (f"/{match[2]}" if match[2] else ""), description)
        for match, description in found
        if match is not None
    ]


class AudienceHop:
    """Implements `ports.Audiences`."""

    def __init__(self, stub: "AudienceServiceAsyncStub") -> None:
        self._stub = stub

    async def create(
        self,
        audience_id: str,
        advertiser_id: str,
        display_name: str,
        *,
        expression: str,
        person_ids: Sequence[int],
        look_alike: LookAlikeSpec | None = None,
        package: CombinationSpec | BrandBehaviourSpec | None = None,
        refresh_interval_s: int = 0,
    ) -> AudienceStatus:
        """Create an audience; the same again is no error."""
        if look_alike is not None:
            definition = audience_pb2.AudienceDefinition(look_alike=look_alike_message(look_alike))
        elif package is not None:
            definition = package_definition(package)
        elif expression:
            definition = audience_pb2.AudienceDefinition(expression=expression)
        else:
            definition = audience_pb2.AudienceDefinition(members=audience_pb2.MemberList(person_ids=person_ids))
        request = audience_pb2.CreateAudienceRequest(
            audience=audience_pb2.Audience(
                audience_id=audience_id,
                advertiser_id=advertiser_id,
                display_name=display_name,
                refresh_interval_s=refresh_interval_s,
            ),
            definition=definition,
        )
        with named_as_asked(), asked_by_us():
            return _status((await self._stub.CreateAudience(request, timeout=_LIST_TIMEOUT_S)).audience)

    async def compare(self, advertiser_id: str, audience_ids: Sequence[str]) -> OverlapsView:
        """Tell how much audiences overlap."""
        request = audience_pb2.CompareAudiencesRequest(advertiser_id=advertiser_id, audience_ids=audience_ids)
        with asked_by_us():
            return overlaps_view(await self._stub.CompareAudiences(request, timeout=_LIST_TIMEOUT_S))

    async def status(self, audience_id: str) -> AudienceStatus:
        """Tell how far an audience is."""
        with asked_by_us():
            answer = await self._stub.GetAudience(audience_pb2.GetAudienceRequest(audience_id=audience_id))
        status = replace(_status(answer.audience), standing=standing_of(answer.audience, answer))
        if not answer.HasField("look_alike_evidence"):
            return status
        return replace(status, evidence=evidence_view(answer.look_alike_evidence))

    async def reach(self, advertiser_id: str, expression: str) -> Reach:
        """Estimate how many persons an expression reaches; every profile is read where there is no index."""
        request = audience_pb2.EstimateReachRequest(expression=expression, advertiser_id=advertiser_id)
        with asked_by_us():
            answer = await self._stub.EstimateReach(request, timeout=_LIST_TIMEOUT_S)
        return Reach(answer.reach, answer.below_floor)

    async def refresh(self, audience_id: str, advertiser_id: str) -> AudienceStatus:
        """Have an audience built anew."""
        request = audience_pb2.RefreshAudienceRequest(audience_id=audience_id, advertiser_id=advertiser_id)
        with asked_by_us():
            return _status((await self._stub.RefreshAudience(request)).audience)


def _status(audience: audience_pb2.Audience) -> AudienceStatus:
    state = audience_pb2.AudienceState.Name(audience.state).removeprefix("AUDIENCE_STATE_").lower()
    return AudienceStatus(
        state,
        audience.told_size,
        audience.progress,
        audience.failure,
        audience.size_below_floor,
        standing=standing_of(audience),
    )


class TaxonomyHop:
    """
    Implements `ports.Taxonomy` and `tags.PlatformTaxonomy` on profile's list of tags.

    The list is held for 30 s; where profile does not answer, an older one serves on.
    """

    def __init__(self, stub: "ProfileServiceAsyncStub", *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._stub = stub
        self._monotonic = monotonic
        self._listed: PlatformTags | None = None
        self._types: dict[str, TagType] = {}
        self._fresh_until = 0.0

    async def parse(self, text: str, pointer: str, private: Mapping[str, TagType]) -> Expression:
        """Parse an expression and check it against the platform's tags and some private ones."""
        try:
            expression = parse(text)
            await self.platform()
            check(expression, {**self._types, **private})
        except ExpressionInvalid as error:
            violation = FieldViolation(pointer, error.detail)
            raise InvalidArgument(error.detail, violation, reason=error.reason) from None
        return expression

    async def platform(self) -> PlatformTags:
        """Return the platform's taxonomy."""
        if self._listed is not None and self._monotonic() < self._fresh_until:
            return self._listed
        try:
            with asked_by_us():
                answer = await self._stub.ListTags(profile_pb2.ListTagsRequest())
        except BihuanError:
            if self._listed is None:
                raise
            return self._listed
        self._listed = platform_tags(answer)
        self._types = {tag.name: _TAG_TYPES[tag.type] for tag in answer.tags if tag.type in _TAG_TYPES}
        self._fresh_until = self._monotonic() + TAXONOMY_TTL_S
        return self._listed
