"""Identity, profile and scoring over one Valkey, and persons of whom some agreed to targeting."""

import base64
from collections.abc import Sequence
from pathlib import Path

import grpc
from pydantic import SecretStr

from bihuan.common.v1 import common_pb2 as common
from bihuan.identity.v1 import identity_pb2
from bihuan.identity.v1.identity_pb2_grpc import IdentityServiceStub
from bihuan.profile.v1 import profile_pb2
from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceStub
from bihuan.scoring.v1 import audience_pb2 as pb
from bihuan.scoring.v1.audience_pb2_grpc import AudienceServiceStub
from bihuan_identity.app import build as build_identity
from bihuan_identity.settings import PartnerDeclaration
from bihuan_identity.settings import Settings as IdentitySettings
from bihuan_profile.app import build as build_profile
from bihuan_profile.settings import Settings as ProfileSettings
from bihuan_scoring.app import build as build_scoring
from bihuan_scoring.settings import Settings as ScoringSettings
from bihuan_shared.callers import Credential, Role, secret_sha256
from bihuan_shared.clock import SystemClock
from bihuan_shared.rpc.client import open_channel
from bihuan_shared.rpc.server import RunningServer, ServiceApp, start_server
from bihuan_shared.settings import ServerSettings

SECRET = "inside"
CALLERS = (Credential("gateway", Role.INTERNAL, secret_sha256(SECRET)),)
_KEY = base64.b64encode(bytes(range(32))).decode()
PARTNERS = (
    PartnerDeclaration(name="dsp", may_receive_tokens=True),
    PartnerDeclaration(name="media", may_receive_tokens=True),
    PartnerDeclaration(name="counter"),
)


class PackageStack:
    """The three services, as a caller inside reaches them."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        self.folder = folder
        self._redis_url = redis_url
        self._servers: list[RunningServer] = []
        self._channels: list[grpc.aio.Channel] = []

    async def start(self) -> None:
        known = {"redis_url": self._redis_url, "callers": CALLERS, "clock": "system"}
        identity = IdentitySettings.model_validate(
            {
                **known,
                "state_dir": self.folder / "identity",
                "peppers": SecretStr(f"1:{_KEY}"),
                "pseudonym_keys": SecretStr(f"1@1970-01-01T00:00:00Z:{_KEY}"),
                "receipt_keys": SecretStr(f"1:{_KEY}"),
                "partners": PARTNERS,
            }
        )
        self.identity_target = await self._serve(await build_identity(identity), identity)
        profile = ProfileSettings.model_validate({**known, "state_dir": self.folder / "profile"})
        self.profile_target = await self._serve(await build_profile(profile), profile)
        scoring = ScoringSettings.model_validate(
            {
                **known,
                "caller_secret": SECRET,
                "identity_target": self.identity_target,
                "profile_target": self.profile_target,
                "state_dir": self.folder / "scoring",
            }
        )
        self.scoring_target = await self._serve(await build_scoring(scoring), scoring)
        self.identity = IdentityServiceStub(self._channel(self.identity_target, "identity"))
        self.profile = ProfileServiceStub(self._channel(self.profile_target, "profile"))
        self.audiences = AudienceServiceStub(self._channel(self.scoring_target, "scoring"))

    async def stop(self) -> None:
        for channel in self._channels:
            await channel.close()
        while self._servers:
            await self._servers.pop().stop(0)

    async def persons(self, count: int, first: int = 0) -> list[int]:
        """Persons that identity knows, in the order of their cookies."""
        items = [
            identity_pb2.ResolveItem(
                identifiers=[common.Identifier(namespace="cookie", value=f"c{first + n}")], create=True
            )
            for n in range(count)
        ]
        answer = await self.identity.BatchResolve(identity_pb2.BatchResolveRequest(items=items))
        return [one.person_id for one in answer.results]

    async def search(self, person_ids: Sequence[int], tag: str, *purposes: "common.Purpose.ValueType") -> None:
        """Each looks for something, and agrees to some purposes."""
        consent = common.Consent(purposes=purposes, data_classes=[common.DATA_CLASS_OPERATION])
        events = [
            profile_pb2.BehaviourEvent(
                event_id=f"{tag}:{person_id}",
                person=common.PersonRef(person_id=person_id),
                behaviour=common.BEHAVIOUR_SEARCH,
                tags=[tag],
                consent=consent,
            )
            for person_id in person_ids
        ]
        await self.profile.IngestEvents(profile_pb2.IngestEventsRequest(events=events))

    async def keep_list(self, audience_id: str, person_ids: Sequence[int]) -> None:
        """An audience of these persons."""
        request = pb.CreateAudienceRequest(
            audience=pb.Audience(audience_id=audience_id, advertiser_id="acme"),
            definition=pb.AudienceDefinition(members=pb.MemberList(person_ids=person_ids)),
        )
        await self.audiences.CreateAudience(request)

    async def _serve(self, app: ServiceApp, settings: ServerSettings) -> str:
        server = await start_server(app, settings, SystemClock())
        self._servers.append(server)
        return f"127.0.0.1:{server.port}"

    def _channel(self, target: str, service: str) -> grpc.aio.Channel:
        channel = open_channel(target, secret=SECRET, service=service)
        self._channels.append(channel)
        return channel
