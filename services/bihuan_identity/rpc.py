"""The wire side of identity: requests become domain records, records become responses; nothing is decided here."""

from bihuan.common.v1.common_pb2 import PersonRef
from bihuan.identity.v1 import identity_pb2 as pb
from bihuan_identity.domain.keys import KEY_BYTES
from bihuan_identity.domain.linking import LinkCommand
from bihuan_identity.domain.namespaces import kept_name
from bihuan_identity.domain.undoing import EraseCommand, UnlinkCommand
from bihuan_identity.rpc_partners import PartnerDesk, PartnerServicer
from bihuan_identity.use_cases.committing import Identity
from bihuan_identity.use_cases.linking import link, unlink
from bihuan_identity.use_cases.persons import Erasing, erase_person, get_person, list_quarantined
from bihuan_identity.use_cases.resolving import batch_resolve
from bihuan_identity.use_cases.sweeping import revoke_namespace
from bihuan_identity.wire import (
    IdentifierReader,
    read_claim,
    read_evidence_id,
    write_person,
    write_quarantined,
    write_resolution,
)
from bihuan_shared.callers import Role, current_caller
from bihuan_shared.clock import SECOND_US
from bihuan_shared.errors import InvalidArgument

_DEFAULT_PAGE = 100


class IdentityServicer(PartnerServicer):
    """Serves `bihuan.identity.v1.IdentityService`."""

    def __init__(self, identity: Identity, desk: PartnerDesk) -> None:
        super().__init__(desk)
        self._identity = identity
        self._hasher = desk.hasher
        self._clock = desk.clock
        self._erasing = Erasing(identity.graph, desk.receipts)

    async def Resolve(self, request: pb.ResolveRequest, context: object) -> pb.ResolveResponse:  # noqa: N802, ARG002  # the contract's name and signature
        """Resolve one item."""
        reader = IdentifierReader(self._hasher)
        item = reader.item(request.item, self._clock.now_us())
        reader.finish()
        (resolution,) = await batch_resolve(self._identity, [item])
        return pb.ResolveResponse(result=write_resolution(resolution))

    async def BatchResolve(self, request: pb.BatchResolveRequest, context: object) -> pb.BatchResolveResponse:  # noqa: N802, ARG002  # the contract's name and signature
        """Resolve items, in order."""
        reader = IdentifierReader(self._hasher)
        now_us = self._clock.now_us()
        items = [reader.item(item, now_us, at) for at, item in enumerate(request.items)]
        reader.finish()
        resolutions = await batch_resolve(self._identity, items)
        return pb.BatchResolveResponse(results=[write_resolution(resolution) for resolution in resolutions])

    async def Link(self, request: pb.LinkRequest, context: object) -> pb.LinkResponse:  # noqa: N802, ARG002  # the contract's name and signature
        """Tie identifiers together."""
        now_us = self._clock.now_us()
        reader = IdentifierReader(self._hasher)
        identifiers = reader.identifiers(request.identifiers)
        caller = current_caller()
        partner = caller.name if caller.role is Role.PARTNER else ""
        claim = read_claim(request.evidence, partner, now_us, reader.violations)
        reader.finish()
        if len(identifiers) == 1:
            raise InvalidArgument.of("identifiers", "are all the same identifier")
        command = LinkCommand(caller.name, request.request_id, identifiers, claim, now_us)
        linked = await link(self._identity, command)
        return pb.LinkResponse(
            person_id=linked.person_id,
            merged_person_ids=linked.merged_person_ids,
            evidence_id=str(linked.evidence_id),
            quarantined=linked.quarantined,
        )

    async def Unlink(self, request: pb.UnlinkRequest, context: object) -> pb.UnlinkResponse:  # noqa: N802, ARG002  # the contract's name and signature
        """Undo one piece of evidence."""
        evidence_id = read_evidence_id(request.evidence_id)
        command = UnlinkCommand(current_caller().name, request.request_id, evidence_id, self._clock.now_us())
        return pb.UnlinkResponse(person_ids=await unlink(self._identity, command))

    async def GetPerson(self, request: pb.GetPersonRequest, context: object) -> pb.GetPersonResponse:  # noqa: N802, ARG002  # the contract's name and signature
        """Show one person."""
        return write_person(await get_person(self._identity, _read_person(request.person)))

    async def DeletePerson(self, request: pb.DeletePersonRequest, context: object) -> pb.DeletePersonResponse:  # noqa: N802, ARG002  # the contract's name and signature
        """Erase one person."""
        now_us = self._clock.now_us()
        person_id = _read_person(request.person)
        command = EraseCommand(current_caller().name, request.request_id, person_id, now_us)
        return pb.DeletePersonResponse(receipt=await erase_person(self._erasing, command))

    async def ListQuarantined(  # noqa: N802  # the contract's name
        self,
        request: pb.ListQuarantinedRequest,
        context: object,  # noqa: ARG002  # the contract's signature
    ) -> pb.ListQuarantinedResponse:
        """List identifiers that nothing merges through."""
        limit = request.page_size or _DEFAULT_PAGE
        found = await list_quarantined(self._identity, _read_page_token(request.page_token), limit)
        last = found[-1].node.key.hex() if len(found) == limit else ""
        return pb.ListQuarantinedResponse(identifiers=map(write_quarantined, found), next_page_token=last)

    async def RevokeNamespace(  # noqa: N802  # the contract's name
        self,
        request: pb.RevokeNamespaceRequest,
        context: object,  # noqa: ARG002  # the contract's signature
    ) -> pb.RevokeNamespaceResponse:
        """Give up a namespace."""
        namespace = kept_name(request.namespace)
        if namespace is None:
            raise InvalidArgument.of("namespace", "is not a declared namespace")
        now_s = self._clock.now_us() // SECOND_US
        removed, done = await revoke_namespace(self._identity.graph, namespace, now_s)
        return pb.RevokeNamespaceResponse(removed_count=removed, done=done)


def _read_person(person: PersonRef) -> int:
    # A partner's token was turned into an id before it came here.
    if person.WhichOneof("person") != "person_id":
        raise InvalidArgument.of("person.person_token", "is a partner's; internal callers name persons by person_id")
    return person.person_id


def _read_page_token(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b"?"
    if len(key) not in (0, KEY_BYTES):
        raise InvalidArgument.of("page_token", "is not one of these pages")
    return key
