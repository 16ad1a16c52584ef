"""Channels and stubs to the other services; both planes build their adapters on these."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import grpc

from bihuan.attribution.v1.attribution_pb2_grpc import AttributionServiceStub
from bihuan.identity.v1.identity_pb2_grpc import IdentityServiceStub
from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceStub
from bihuan.scoring.v1.audience_pb2_grpc import AudienceServiceStub
from bihuan.scoring.v1.scoring_pb2_grpc import ScoringServiceStub
from bihuan_gateway.settings import Settings
from bihuan_shared.errors import Internal, InvalidArgument, PermissionDenied, Unauthenticated
from bihuan_shared.rpc.client import open_channel

if TYPE_CHECKING:  # these classes exist for type checkers only
    from bihuan.attribution.v1.attribution_pb2_grpc import AttributionServiceAsyncStub
    from bihuan.identity.v1.identity_pb2_grpc import IdentityServiceAsyncStub
    from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceAsyncStub
    from bihuan.scoring.v1.audience_pb2_grpc import AudienceServiceAsyncStub
    from bihuan.scoring.v1.scoring_pb2_grpc import ScoringServiceAsyncStub


@dataclass(frozen=True, slots=True)
class Hops:
    """One channel a service, and the stubs on them. Channels connect when they are first used."""

    identity: "IdentityServiceAsyncStub"
    profile: "ProfileServiceAsyncStub"
    scoring: "ScoringServiceAsyncStub"
    audiences: "AudienceServiceAsyncStub"
    attribution: "AttributionServiceAsyncStub"
    channels: tuple[grpc.aio.Channel, ...]

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Open channels to the targets of the settings; where an event loop runs."""
        secret = settings.caller_secret.get_secret_value()
        identity = open_channel(settings.identity_target, secret=secret, service="identity")
        profile = open_channel(settings.profile_target, secret=secret, service="profile")
        scoring = open_channel(settings.scoring_target, secret=secret, service="scoring")
        attribution = open_channel(settings.attribution_target, secret=secret, service="attribution")
        return cls(
            identity=IdentityServiceStub(identity),
            profile=ProfileServiceStub(profile),
            scoring=ScoringServiceStub(scoring),
            audiences=AudienceServiceStub(scoring),
            attribution=AttributionServiceStub(attribution),
            channels=(identity, profile, scoring, attribution),
        )

    async def close(self) -> None:
        """Close every channel."""
        await asyncio.gather(*(channel.close() for channel in self.channels))


@contextmanager
def asked_by_us() -> Iterator[None]:
    """
    Keep failures that are ours from looking like the caller's.

    A service that does not know or admit the gateway is a fault inside, and its field paths are not the caller's.
    """
    try:
        yield
    except (Unauthenticated, PermissionDenied) as error:
        raise Internal("a service refused the gateway") from error
    except InvalidArgument as error:
        raise InvalidArgument(error.detail, reason=error.reason) from error
