"""Servers, servicers and channels for the tests of the gRPC runtime, on real sockets of free ports."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from bihuan.attribution.v1 import attribution_pb2_grpc
from bihuan.common.v1 import common_pb2
from bihuan.identity.v1 import identity_pb2, identity_pb2_grpc
from bihuan.profile.v1 import profile_pb2, profile_pb2_grpc
from bihuan.scoring.v1 import audience_pb2_grpc, scoring_pb2_grpc
from bihuan_shared import telemetry
from bihuan_shared.callers import Credential, Role, secret_sha256
from bihuan_shared.clock import Clock, SystemClock, forget_replay_time
from bihuan_shared.errors import NotFound
from bihuan_shared.person_tokens import PersonTokens
from bihuan_shared.rpc.client import open_channel
from bihuan_shared.rpc.server import Registration, RunningServer, ServiceApp, start_server
from bihuan_shared.settings import ServerSettings

CALLERS = tuple(Credential(role.value, role, secret_sha256(f"{role.value}-secret")) for role in Role)


async def always_ready() -> bool:
    return True


# The stubs call servicers abstract, although what is not overridden answers NOT_YET.
_IdentityServicer: Any = identity_pb2_grpc.IdentityServiceServicer
_ProfileServicer: Any = profile_pb2_grpc.ProfileServiceServicer
_Context = grpc.aio.ServicerContext[object, object]

_ITEM = identity_pb2.ResolveItem(identifiers=[common_pb2.Identifier(namespace="cookie", value="c1")])
REQUEST = identity_pb2.ResolveRequest(item=_ITEM)


class Identity(_IdentityServicer):  # type: ignore[misc]  # as above
    """Does what the test says, and counts."""

    def __init__(self, act: Callable[[], object] = lambda: None) -> None:
        self.act = act
        self.calls = 0
        self.cancelled = asyncio.Event()

    async def Resolve(self, request: identity_pb2.ResolveRequest, context: _Context) -> identity_pb2.ResolveResponse:  # noqa: N802  # the contract's name
        self.calls += 1
        try:
            outcome = self.act()
            if asyncio.iscoroutine(outcome):
                await outcome
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return identity_pb2.ResolveResponse(result=identity_pb2.ResolveResult(person_id=7))

    async def MatchIdentifiers(  # noqa: N802  # the contract's name
        self, requests: AsyncIterator[identity_pb2.MatchIdentifiersRequest], context: _Context
    ) -> identity_pb2.MatchIdentifiersResponse:
        self.calls += 1
        count = 0
        async for request in requests:
            count += len(request.identifiers)
        self.act()
        return identity_pb2.MatchIdentifiersResponse(sent_count=count)


class Profile(_ProfileServicer):  # type: ignore[misc]  # as above
    """Asks identity, as a second hop."""

    def __init__(self, identity: grpc.aio.Channel) -> None:
        self.identity = identity_pb2_grpc.IdentityServiceStub(identity)

    async def GetProfile(  # noqa: N802  # the contract's name
        self, request: profile_pb2.GetProfileRequest, context: _Context
    ) -> profile_pb2.GetProfileResponse:
        answer = await self.identity.Resolve(REQUEST)
        return profile_pb2.GetProfileResponse(profile=profile_pb2.Profile(person_id=answer.result.person_id))

    async def ScanProfiles(  # noqa: N802  # the contract's name
        self, request: profile_pb2.ScanProfilesRequest, context: _Context
    ) -> AsyncIterator[profile_pb2.ScanProfilesResponse]:
        for _ in range(3):
            yield profile_pb2.ScanProfilesResponse()
        raise NotFound("there are no more")


@dataclass
class Stage:
    """Starts servers and channels, and ends them with the test."""

    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def serve(
        self,
        *registrations: Registration,
        clock: Clock | None = None,
        ready: Callable[[], Awaitable[bool]] = always_ready,
        tokens: PersonTokens | None = None,
        **changes: object,
    ) -> RunningServer:
        settings = ServerSettings(callers=CALLERS, **changes)  # type: ignore[arg-type]  # named by the test
        app = ServiceApp("under-test", registrations, ready, tokens=tokens)
        server = await start_server(app, settings, clock or SystemClock())
        self.stack.push_async_callback(server.stop, 0.1)
        return server

    def channel(self, server: RunningServer, secret: str = "internal-secret") -> grpc.aio.Channel:
        channel = open_channel(f"127.0.0.1:{server.port}", secret=secret, service="under-test")
        self.stack.push_async_callback(channel.close)
        return channel

    async def serve_identity(self, servicer: "Identity", **options: object) -> RunningServer:
        add = identity_pb2_grpc.add_IdentityServiceServicer_to_server
        return await self.serve((servicer, add, "bihuan.identity.v1.IdentityService"), **options)  # type: ignore[arg-type]  # as above

    async def identity_stub(
        self, servicer: "Identity", secret: str = "internal-secret", **options: object
    ) -> "identity_pb2_grpc.IdentityServiceAsyncStub":
        server = await self.serve_identity(servicer, **options)
        return identity_pb2_grpc.IdentityServiceStub(self.channel(server, secret))

    async def profile_stub(self, identity: "Identity") -> "profile_pb2_grpc.ProfileServiceAsyncStub":
        """Profile, which asks identity, which is another server."""
        first = await self.serve_identity(identity)
        add = profile_pb2_grpc.add_ProfileServiceServicer_to_server
        second = await self.serve((Profile(self.channel(first)), add, "bihuan.profile.v1.ProfileService"))
        return profile_pb2_grpc.ProfileServiceStub(self.channel(second))

    def identity(self, act: Callable[[], object] = lambda: None) -> "Identity":
        return Identity(act)

    def identity_raising(self, *errors: Exception) -> "Identity":
        """Raises each in turn, then nothing."""
        left = list(errors)

        def act() -> None:
            if left:
                raise left.pop(0)

        return Identity(act)

    def plain_channel(self, server: RunningServer) -> grpc.aio.Channel:
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{server.port}")
        self.stack.push_async_callback(channel.close)
        return channel


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    made = Stage()
    async with made.stack:
        yield made


@pytest.fixture
def unbuilt_services() -> list[Registration]:
    """All services of the contract with nothing built."""
    rows = (
        (identity_pb2_grpc, "IdentityService", "bihuan.identity.v1"),
        (profile_pb2_grpc, "ProfileService", "bihuan.profile.v1"),
        (scoring_pb2_grpc, "ScoringService", "bihuan.scoring.v1"),
        (audience_pb2_grpc, "AudienceService", "bihuan.scoring.v1"),
        (attribution_pb2_grpc, "AttributionService", "bihuan.attribution.v1"),
    )
    return [
        (getattr(module, f"{name}Servicer")(), getattr(module, f"add_{name}Servicer_to_server"), f"{package}.{name}")
        for module, name, package in rows
    ]


@pytest.fixture(autouse=True)
def _clean_process_state() -> Iterator[None]:
    yield
    telemetry.shutdown()
    forget_replay_time()
