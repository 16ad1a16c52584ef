"""Scoring over gRPC, as it exports audiences."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bihuan.common.v1 import common_pb2
from bihuan.scoring.v1 import audience_pb2
from bihuan_gateway.control.exports import ExportPart, ExportPurpose
from bihuan_gateway.hops import asked_by_us
from bihuan_shared.errors import Internal, InvalidArgument, PermissionDenied

if TYPE_CHECKING:  # this class exists for type checkers only
    from bihuan.scoring.v1.audience_pb2_grpc import AudienceServiceAsyncStub

_TIMEOUT_S: Final = 600.0
_PURPOSES: Final[dict[ExportPurpose, "common_pb2.Purpose.ValueType"]] = {
    "targeting": common_pb2.PURPOSE_TARGETING,
    "personalisation": common_pb2.PURPOSE_PERSONALISATION,
    "measurement": common_pb2.PURPOSE_MEASUREMENT,
    "insight": common_pb2.PURPOSE_INSIGHT,
}


@dataclass(frozen=True, slots=True)
class ExportHop:
    """Implements `exports.PackageExports`."""

    stub: "AudienceServiceAsyncStub"

    async def export(self, audience_id: str, partner: str, purpose: ExportPurpose) -> AsyncIterator[ExportPart]:
        """Stream the tokens of the members; see the port."""
        request = audience_pb2.ExportAudienceRequest(
            audience_id=audience_id, partner=partner, purpose=_PURPOSES[purpose]
        )
        try:
            with asked_by_us():
                async for part in self.stub.ExportAudience(request, timeout=_TIMEOUT_S):
                    yield _part(part)
        except Internal as error:
            # A refusal of the gateway is a fault inside, one of the partner it named is not.
            cause = error.__cause__
            if isinstance(cause, PermissionDenied) and cause.reason == "PARTNER_NOT_ALLOWED":
                raise InvalidArgument.of("/partner", "may not be given person tokens") from error
            raise


def _part(part: audience_pb2.ExportAudienceResponse) -> ExportPart:
    if not part.HasField("summary"):
        return ExportPart(part.person_tokens)
    return ExportPart(part.person_tokens, part.summary.sent_count, part.summary.left_out_count)
