"""Attribution over gRPC, as it credits late findings of invalid traffic."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bihuan.attribution.v1 import ledger_pb2
from bihuan.common.v1 import common_pb2
from bihuan_gateway.control.findings import FindingOutcome, InvalidEvent
from bihuan_gateway.hops import asked_by_us

if TYPE_CHECKING:  # this class exists for type checkers only
    from bihuan.attribution.v1.attribution_pb2_grpc import AttributionServiceAsyncStub


@dataclass(frozen=True, slots=True)
class FindingsHop:
    """Implements `findings.FindingSink`."""

    stub: "AttributionServiceAsyncStub"

    async def report(self, finding_id: str, reason: str, events: Sequence[InvalidEvent]) -> FindingOutcome:
        """Credit charged events once; the same id with another body is AlreadyExists."""
        request = ledger_pb2.ReportInvalidTrafficRequest(
            finding_id=finding_id,
            reason=reason,
            events=[
                ledger_pb2.InvalidEvent(
                    event_type=common_pb2.EventType.Value(f"EVENT_TYPE_{one.event_type.upper()}"), event_id=one.event_id
                )
                for one in events
            ],
        )
        with asked_by_us():
            answer = await self.stub.ReportInvalidTraffic(request)
        return FindingOutcome(
            answer.credited_count, answer.unchanged_count, answer.unknown_count, dict(answer.credited_nanos)
        )
