"""Identity over gRPC."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bihuan.identity.v1 import identity_pb2
from bihuan_gateway.data.hops.coalescer import Coalescer
from bihuan_gateway.data.hops.wire import identifier_messages
from bihuan_gateway.data.ports import Identifier, Link, Resolved
from bihuan_shared.clock import to_timestamp

if TYPE_CHECKING:  # stubs of asyncio exist for type checkers only
    from bihuan.identity.v1.identity_pb2_grpc import IdentityServiceAsyncStub

_KINDS = {
    "deterministic": identity_pb2.EVIDENCE_KIND_DETERMINISTIC,
    "probabilistic": identity_pb2.EVIDENCE_KIND_PROBABILISTIC,
}


class GrpcIdentities:
    """Implements the port `Identities`."""

    def __init__(self, stub: "IdentityServiceAsyncStub", *, timeout_s: float) -> None:
        self._stub = stub
        self._resolve = Coalescer[tuple[Identifier, ...], Resolved](
            self.resolve_many, timeout_s=timeout_s, timeless=True
        )

    async def resolve(self, identifiers: tuple[Identifier, ...]) -> Resolved:
        """Return the person behind one set of identifiers, created where there is none; merged with other calls."""
        return await self._resolve.ask_one(identifiers)

    async def resolve_many(self, items: Sequence[tuple[Identifier, ...]]) -> list[Resolved]:
        """Return the persons behind up to 1,000 sets, in order, created where there are none."""
        distinct = list(dict.fromkeys(items))
        request = identity_pb2.BatchResolveRequest(
            items=[
                identity_pb2.ResolveItem(identifiers=identifier_messages(identifiers), create=True)
                for identifiers in distinct
            ]
        )
        response = await self._stub.BatchResolve(request)
        results = (Resolved(result.person_id, result.sighting_id) for result in response.results)
        found = dict(zip(distinct, results, strict=True))
        return [found[identifiers] for identifiers in items]

    async def link(self, link: Link) -> str:
        """Take in a link and return the id of its evidence; AlreadyExists for another body under its request id."""
        evidence = identity_pb2.Evidence(kind=_KINDS[link.kind], source=link.source, confidence=link.confidence)
        if link.observe_time_us is not None:
            evidence.observe_time.CopyFrom(to_timestamp(link.observe_time_us))
        request = identity_pb2.LinkRequest(
            identifiers=identifier_messages(link.identifiers), evidence=evidence, request_id=link.request_id
        )
        evidence_id: str = (await self._stub.Link(request)).evidence_id
        return evidence_id

    async def close(self) -> None:
        """Wait for the calls in flight."""
        await self._resolve.close()
