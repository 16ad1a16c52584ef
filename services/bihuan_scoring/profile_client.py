"""The profile service over gRPC."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence

import grpc

from bihuan.common.v1 import common_pb2
from bihuan.profile.v1 import profile_pb2, profile_pb2_grpc
from bihuan_scoring.domain.facts import PersonFacts
from bihuan_scoring.domain.readings import Reading
from bihuan_scoring.profile_facts import audience_facts
from bihuan_shared.clock import to_us
from bihuan_shared.targeting import TagType

_TYPES = {
    profile_pb2.TAG_TYPE_TEXT: TagType.TEXT,
    profile_pb2.TAG_TYPE_NUMBER: TagType.NUMBER,
    profile_pb2.TAG_TYPE_FLAG: TagType.FLAG,
}
_SCAN_TIMEOUT_S = 3_600.0
_REREAD_TIMEOUT_S = 5.0


class GrpcProfiles:
    """Reads what the profile service releases for targeting."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = profile_pb2_grpc.ProfileServiceStub(channel)

    async def taxonomy(self, advertiser_id: str) -> Mapping[str, TagType]:
        """The type of every attribute that an advertiser may use for targeting; interests need no entry."""
        response = await self._stub.ListTags(profile_pb2.ListTagsRequest(advertiser_id=advertiser_id))
        return {
            tag.name: _TYPES[tag.type]
            for tag in response.tags
            if tag.type in _TYPES and common_pb2.PURPOSE_TARGETING in tag.purposes
        }

    async def scan(self, advertiser_ids: Collection[str]) -> AsyncIterator[Sequence[PersonFacts]]:
        """Every person whose facts may be used for targeting, in batches, with private tags of some advertisers."""
        request = profile_pb2.ScanProfilesRequest(
            purpose=common_pb2.PURPOSE_TARGETING, advertiser_ids=sorted(advertiser_ids)
        )
        async for response in self._stub.ScanProfiles(request, timeout=_SCAN_TIMEOUT_S):
            found = [audience_facts(profile) for profile in response.profiles]
            yield [person for person in found if person is not None]

    async def readings(
        self, person_ids: Sequence[int] = (), advertiser_ids: Collection[str] = ()
    ) -> AsyncIterator[Sequence[Reading]]:
        """
        What may be used for targeting of some persons, at most 1,000, or of everyone, in batches.

        Private tags are told of these advertisers, at most 512. Of who is erased or lives on under another id there is
        nothing; a person of everyone may come twice.
        """
        persons = [common_pb2.PersonRef(person_id=person_id) for person_id in person_ids]
        request = profile_pb2.ScanProfilesRequest(
            purpose=common_pb2.PURPOSE_TARGETING, persons=persons, advertiser_ids=sorted(advertiser_ids)
        )
        timeout_s = _REREAD_TIMEOUT_S if persons else _SCAN_TIMEOUT_S
        async for response in self._stub.ScanProfiles(request, timeout=timeout_s):
            read_us = to_us(response.read_time)
            yield [_reading(profile, read_us) for profile in response.profiles]

    async def permitted(self, person_ids: Sequence[int], purpose: int) -> Collection[int]:
        """Those of at most 1,000 persons of whom something may be used for a purpose now."""
        request = profile_pb2.ScanProfilesRequest(
            purpose=common_pb2.Purpose.ValueType(purpose),
            persons=[common_pb2.PersonRef(person_id=person_id) for person_id in person_ids],
        )
        found: set[int] = set()
        async for response in self._stub.ScanProfiles(request, timeout=_REREAD_TIMEOUT_S):
            found |= {profile.person_id for profile in response.profiles if _tells(profile)}
        return found


def _tells(profile: profile_pb2.Profile) -> bool:
    """Whether anything came that was learnt of the person, not only what rules make of that."""
    learnt = any(not attribute.derived for attribute in profile.attributes)
    return learnt or bool(profile.interests or profile.activities)


def _reading(profile: profile_pb2.Profile, read_us: int) -> Reading:
    due_us = to_us(profile.next_change_time) if profile.HasField("next_change_time") else 0
    return Reading(profile.person_id, audience_facts(profile), read_us, due_us)
