"""The findings adapter against a real gRPC server with the runtime's checks in front of it."""

import hashlib

import grpc
import pytest
from pydantic import SecretStr

from bihuan.attribution.v1 import ledger_pb2
from bihuan.attribution.v1.attribution_pb2_grpc import (
    AttributionServiceServicer,
    add_AttributionServiceServicer_to_server,
)
from bihuan.common.v1 import common_pb2
from bihuan_gateway.control.findings import FindingOutcome, InvalidEvent
from bihuan_gateway.control.findings_hop import FindingsHop
from bihuan_gateway.hops import Hops
from bihuan_gateway.settings import Settings
from bihuan_shared.callers import Credential, Role
from bihuan_shared.clock import FixedClock
from bihuan_shared.errors import AlreadyExists
from bihuan_shared.rpc.server import ServiceApp, start_server
from bihuan_shared.settings import ServerSettings

SERVICE = "bihuan.attribution.v1.AttributionService"
Context = grpc.aio.ServicerContext[object, object]


class Attribution(AttributionServiceServicer):
    asked: ledger_pb2.ReportInvalidTrafficRequest | None = None

    async def ReportInvalidTraffic(  # noqa: N802 - named by the contract
        self, request: ledger_pb2.ReportInvalidTrafficRequest, context: Context
    ) -> ledger_pb2.ReportInvalidTrafficResponse:
        if request.finding_id == "used":
            raise AlreadyExists("the finding id was used")
        self.asked = request
        return ledger_pb2.ReportInvalidTrafficResponse(
            credited_count=1, unchanged_count=2, unknown_count=3, credited_nanos={"USD": 2**40}
        )


async def test_a_finding_goes_whole_and_its_outcome_comes_back_exact() -> None:
    servicer = Attribution()  # type: ignore[abstract]  # only what is asked here
    settings = ServerSettings(callers=(Credential("gateway", Role.INTERNAL, hashlib.sha256(b"s").hexdigest()),))

    async def ready() -> bool:
        return True

    served = [(servicer, add_AttributionServiceServicer_to_server, SERVICE)]
    server = await start_server(ServiceApp("attribution", served, ready), settings, FixedClock(0))
    hops = Hops.open(Settings(caller_secret=SecretStr("s"), attribution_target=f"127.0.0.1:{server.port}"))
    try:
        hop = FindingsHop(hops.attribution)
        outcome = await hop.report("f1", "click_farm", [InvalidEvent("click", "t1"), InvalidEvent("viewable", "t2")])
        assert outcome == FindingOutcome(1, 2, 3, {"USD": 2**40})
        assert servicer.asked is not None
        assert (servicer.asked.finding_id, servicer.asked.reason) == ("f1", "click_farm")
        assert [(one.event_type, one.event_id) for one in servicer.asked.events] == [
            (common_pb2.EVENT_TYPE_CLICK, "t1"),
            (common_pb2.EVENT_TYPE_VIEWABLE, "t2"),
        ]
        with pytest.raises(AlreadyExists):
            await hop.report("used", "click_farm", [InvalidEvent("click", "t1")])
    finally:
        await hops.close()
        await server.stop(0)
