"""The wire side of identity: requests become domain records, records become responses; nothing is decided here."""

from collections.abc import AsyncIterator

from bihuan.identity.v1 import identity_pb2 as pb
from bihuan.identity.v1.identity_pb2_grpc import IdentityServiceServicer
from bihuan_identity import use_cases
from bihuan_identity.domain.keys import KeyHasher
from bihuan_identity.domain.linking import LinkCommand
from bihuan_identity.use_cases import Identity
from bihuan_identity.wire import IdentifierReader, read_claim, write_person, write_resolution
from bihuan_shared.callers import current_caller
from bihuan_shared.clock import Clock
from bihuan_shared.errors import FieldViolation, InvalidArgument, NotYet

_NOT_YET = "is part of the contract and not built yet"


class IdentityServicer(IdentityServiceServicer):
    """Serves `bihuan.identity.v1.IdentityService`."""

    def __init__(self, identity: Identity, hasher: KeyHasher, clock: Clock) -> None:
        self._identity = identity
        self._hasher = hasher
        self._clock = clock

    async def Resolve(self, request: pb.ResolveRequest, context: object) -> pb.ResolveResponse:  # noqa: N802, ARG002  # the contract's name and signature
        """Resolve one item."""
        reader = IdentifierReader(self._hasher)
        item = reader.item(request.item, self._clock.now_us())
        reader.finish()
        (resolution,) = await use_cases.batch_resolve(self._identity, [item])
        return pb.ResolveResponse(result=write_resolution(resolution))

    async def BatchResolve(self, request: pb.BatchResolveRequest, context: object) -> pb.BatchResolveResponse:  # noqa: N802, ARG002  # the contract's name and signature
        """Resolve items, in order."""
        reader = IdentifierReader(self._hasher)
        now_us = self._clock.now_us()
        items = [reader.item(item, now_us, at) for at, item in enumerate(request.items)]
        reader.finish()
        resolutions = await use_cases.batch_resolve(self._identity, items)
        return pb.BatchResolveResponse(results=[write_resolution(resolution) for resolution in resolutions])

    async def Link(self, request: pb.LinkRequest, context: object) -> pb.LinkResponse:  # noqa: N802, ARG002  # the contract's name and signature
        """Tie identifiers together."""
        now_us = self._clock.now_us()
        reader = IdentifierReader(self._hasher)
        identifiers = reader.identifiers(request.identifiers)
        claim = read_claim(request.evidence, now_us, reader.violations)
        reader.finish()
        if len(identifiers) == 1:
            raise InvalidArgument.of("identifiers", "are all the same identifier")
        command = LinkCommand(current_caller().name, request.request_id, identifiers, claim, now_us)
        outcome = await use_cases.link(self._identity, command)
        return pb.LinkResponse(
            person_id=outcome.person_id,
            merged_person_ids=outcome.merged_person_ids,
            evidence_id=str(outcome.evidence_id),
        )

    async def GetPerson(self, request: pb.GetPersonRequest, context: object) -> pb.GetPersonResponse:  # noqa: N802, ARG002  # the contract's name and signature
        """Show one person."""
        if request.person.WhichOneof("person") == "person_token":
            field = FieldViolation("person.person_token", "is not issued yet")
            raise NotYet("persons are named by person_id until tokens are issued", field)
        return write_person(await use_cases.get_person(self._identity, request.person.person_id))

    async def Unlink(self, request: pb.UnlinkRequest, context: object) -> pb.UnlinkResponse:  # noqa: N802, ARG002  # the contract's name and signature
        """Not built yet."""
        raise NotYet(f"Unlink {_NOT_YET}")

    async def IssuePseudonyms(  # noqa: N802  # the contract's name
        self,
        request: pb.IssuePseudonymsRequest,  # noqa: ARG002  # the contract's signature
        context: object,  # noqa: ARG002  # as above
    ) -> pb.IssuePseudonymsResponse:
        """Not built yet."""
        raise NotYet(f"IssuePseudonyms {_NOT_YET}")

    async def ResolvePseudonyms(  # noqa: N802  # the contract's name
        self,
        request: pb.ResolvePseudonymsRequest,  # noqa: ARG002  # the contract's signature
        context: object,  # noqa: ARG002  # as above
    ) -> pb.ResolvePseudonymsResponse:
        """Not built yet."""
        raise NotYet(f"ResolvePseudonyms {_NOT_YET}")

    async def MatchIdentifiers(  # noqa: N802  # the contract's name
        self,
        request_iterator: AsyncIterator[pb.MatchIdentifiersRequest],  # noqa: ARG002  # the contract's signature
        context: object,  # noqa: ARG002  # as above
    ) -> pb.MatchIdentifiersResponse:
        """Not built yet."""
        raise NotYet(f"MatchIdentifiers {_NOT_YET}")

    async def DeletePerson(self, request: pb.DeletePersonRequest, context: object) -> pb.DeletePersonResponse:  # noqa: N802, ARG002  # the contract's name and signature
        """Not built yet."""
        raise NotYet(f"DeletePerson {_NOT_YET}")
