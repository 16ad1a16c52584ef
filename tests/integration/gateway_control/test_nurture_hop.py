"""Lists of nurtured leads over a real gRPC server with the runtime's checks in front of it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import grpc
import pytest
from pydantic import SecretStr

from bihuan.scoring.v1 import audience_pb2
from bihuan.scoring.v1.audience_pb2_grpc import AudienceServiceServicer, add_AudienceServiceServicer_to_server
from bihuan_gateway.control.lead_hop import NurtureHop
from bihuan_gateway.hops import Hops
from bihuan_gateway.settings import Settings
from bihuan_shared.callers import Credential, Role, secret_sha256
from bihuan_shared.clock import FixedClock
from bihuan_shared.errors import NotFound
from bihuan_shared.rpc.server import ServiceApp, start_server
from bihuan_shared.settings import ServerSettings

SECRET = "the-gateway"
Context = grpc.aio.ServicerContext[object, object]


class Lists(AudienceServiceServicer):
    def __init__(self) -> None:
        self.created: list[audience_pb2.CreateAudienceRequest] = []
        self.changed: list[audience_pb2.UpdateAudienceMembersRequest] = []

    async def CreateAudience(  # noqa: N802 - named by the contract
        self, request: audience_pb2.CreateAudienceRequest, context: Context
    ) -> audience_pb2.CreateAudienceResponse:
        self.created.append(request)
        return audience_pb2.CreateAudienceResponse(audience=request.audience)

    async def UpdateAudienceMembers(  # noqa: N802 - named by the contract
        self, request: audience_pb2.UpdateAudienceMembersRequest, context: Context
    ) -> audience_pb2.UpdateAudienceMembersResponse:
        if request.audience_id == "missing":
            raise NotFound("no such audience")
        self.changed.append(request)
        return audience_pb2.UpdateAudienceMembersResponse()


@pytest.fixture
def lists() -> Lists:
    return Lists()  # type: ignore[abstract]  # only what is asked here


@pytest.fixture
async def hop(lists: Lists) -> AsyncIterator[NurtureHop]:
    settings = ServerSettings(callers=(Credential("gateway", Role.INTERNAL, secret_sha256(SECRET)),))

    async def ready() -> bool:
        return True

    service = (lists, add_AudienceServiceServicer_to_server, "bihuan.scoring.v1.AudienceService")
    async with AsyncExitStack() as stack:
        running = await start_server(ServiceApp("scoring", [service], ready), settings, FixedClock(0))
        stack.push_async_callback(running.stop, 0)
        target = f"127.0.0.1:{running.port}"
        hops = Hops.open(Settings(caller_secret=SecretStr(SECRET), scoring_target=target))
        stack.push_async_callback(hops.close)
        yield NurtureHop(hops.audiences)


async def test_a_list_is_made_empty_and_persons_come_in_and_go_out(hop: NurtureHop, lists: Lists) -> None:
    await hop.create("warm", "acme", "Leads to nurture", expression="", person_ids=())
    await hop.change_members("warm", "acme", add=[7, 9], remove=[3])
    (created,), (changed,) = lists.created, lists.changed
    assert created.definition.WhichOneof("definition") == "members"
    assert (changed.audience_id, changed.advertiser_id) == ("warm", "acme")
    assert [one.person_id for one in changed.add_persons] == [7, 9]
    assert [one.person_id for one in changed.remove_persons] == [3]
    with pytest.raises(NotFound):
        await hop.change_members("missing", "acme", add=[7], remove=[])
