"""Reach, audiences and reasons over real profiles: the index follows them, survives a restart, and heals."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import grpc
import pytest

from bihuan.common.v1 import common_pb2 as common
from bihuan.profile.v1 import profile_pb2 as profile_pb
from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceStub
from bihuan.scoring.v1 import audience_pb2 as pb
from bihuan.scoring.v1.audience_pb2_grpc import AudienceServiceStub
from bihuan_profile.app import build as build_profile
from bihuan_profile.settings import Settings as ProfileSettings
from bihuan_scoring.app import build as build_scoring
from bihuan_scoring.settings import Settings as ScoringSettings
from bihuan_shared.callers import Credential, Role, secret_sha256
from bihuan_shared.clock import SystemClock
from bihuan_shared.errors import FailedPrecondition, InvalidArgument, NotFound
from bihuan_shared.rpc.client import open_channel
from bihuan_shared.rpc.server import RunningServer, start_server

CALLERS = (Credential("gateway", Role.INTERNAL, secret_sha256("inside")),)
CONSENT = common.Consent(purposes=[common.PURPOSE_TARGETING], data_classes=[common.DATA_CLASS_OPERATION])
TEA = 'interest("category:tea") > 0.2 and not gender == "m"'
WITHIN_S = 5.0


class Pair:
    """Profile and scoring over one Valkey."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        self.folder = folder
        self._redis_url = redis_url
        self._servers: list[RunningServer] = []
        self._channels: list[grpc.aio.Channel] = []

    async def start(self) -> None:
        settings = ProfileSettings(
            redis_url=self._redis_url, callers=CALLERS, clock="system", state_dir=self.folder / "profile"
        )
        server = await start_server(await build_profile(settings), settings, SystemClock())
        self._servers.append(server)
        self.profile = ProfileServiceStub(self._channel(server.port, "profile"))
        self._target = f"127.0.0.1:{server.port}"
        await self.start_scoring()

    async def start_scoring(self, *, tag_index: bool = True) -> None:
        settings = ScoringSettings.model_validate(
            {
                "redis_url": self._redis_url,
                "callers": CALLERS,
                "caller_secret": "inside",
                "profile_target": self._target,
                "state_dir": self.folder / "scoring",
                "tag_index": tag_index,
            }
        )
        server = await start_server(await build_scoring(settings), settings, SystemClock())
        self._servers.append(server)
        self.audiences = AudienceServiceStub(self._channel(server.port, "scoring"))

    async def stop_scoring(self) -> None:
        await self._servers.pop().stop(0)

    async def stop(self) -> None:
        for channel in self._channels:
            await channel.close()
        while self._servers:
            await self._servers.pop().stop(0)

    def _channel(self, port: int, service: str) -> grpc.aio.Channel:
        channel = open_channel(f"127.0.0.1:{port}", secret="inside", service=service)
        self._channels.append(channel)
        return channel

    async def search(self, *person_ids: int, behaviour: int = common.BEHAVIOUR_SEARCH) -> None:
        events = [
            profile_pb.BehaviourEvent(
                event_id=f"{person_id}:{time.time_ns()}",
                person=common.PersonRef(person_id=person_id),
                behaviour=common.Behaviour.ValueType(behaviour),
                tags=["category:tea"],
                consent=CONSENT,
            )
            for person_id in person_ids
        ]
        await self.profile.IngestEvents(profile_pb.IngestEventsRequest(events=events))

    async def create(self, audience_id: str, expression: str) -> None:
        audience = pb.Audience(audience_id=audience_id, advertiser_id="a1")
        definition = pb.AudienceDefinition(expression=expression)
        await self.audiences.CreateAudience(pb.CreateAudienceRequest(audience=audience, definition=definition))

    async def members(self, audience_id: str, person_ids: Sequence[int]) -> list[int]:
        persons = [common.PersonRef(person_id=person_id) for person_id in person_ids]
        answer = await self.audiences.BatchGetMemberships(pb.BatchGetMembershipsRequest(persons=persons))
        return [
            person_id
            for person_id, one in zip(person_ids, answer.memberships, strict=True)
            if audience_id in one.audience_ids
        ]

    async def until_members(self, audience_id: str, person_ids: Sequence[int], expected: Sequence[int]) -> float:
        """How many seconds it takes until exactly these are in it."""
        started_s = time.monotonic()
        while await self.members(audience_id, person_ids) != list(expected):
            assert time.monotonic() - started_s < 20, await self.members(audience_id, person_ids)
            await asyncio.sleep(0.05)
        return time.monotonic() - started_s

    async def reach(self, expression: str) -> pb.EstimateReachResponse:
        return await self.audiences.EstimateReach(pb.EstimateReachRequest(expression=expression))


@pytest.fixture
async def pair(tmp_path: Path, redis_url: str) -> AsyncIterator[Pair]:
    made = Pair(tmp_path, redis_url)
    await made.start()
    yield made
    await made.stop()


async def test_an_audience_sees_changes_within_seconds(pair: Pair) -> None:
    await pair.search(1, 2)
    await pair.create("tea", TEA)
    await pair.until_members("tea", [1, 2, 3], [1, 2])
    await pair.search(3)
    assert await pair.until_members("tea", [1, 2, 3], [1, 2, 3]) < WITHIN_S
    update = profile_pb.AttributeUpdate(
        person=common.PersonRef(person_id=1), attributes=[profile_pb.Attribute(name="gender", text="m")]
    )
    await pair.profile.SetAttributes(profile_pb.SetAttributesRequest(updates=[update]))
    await pair.profile.DeleteProfile(profile_pb.DeleteProfileRequest(person=common.PersonRef(person_id=2)))
    assert await pair.until_members("tea", [1, 2, 3], [3]) < WITHIN_S


async def test_a_combination_sees_changes_of_its_operands_within_seconds(pair: Pair) -> None:
    await pair.search(1, 2)
    await pair.create("tea", TEA)
    await pair.until_members("tea", [1, 2], [1, 2])
    members = pb.AudienceDefinition(members=pb.MemberList(person_ids=[2, 4]))
    listed = pb.CreateAudienceRequest(audience=pb.Audience(audience_id="list", advertiser_id="a1"), definition=members)
    await pair.audiences.CreateAudience(listed)
    less = pb.AudienceDefinition(combination=pb.Combination(all_of=["tea"], none_of=["list"]))
    combined = pb.CreateAudienceRequest(audience=pb.Audience(audience_id="less", advertiser_id="a1"), definition=less)
    await pair.audiences.CreateAudience(combined)
    await pair.until_members("less", [1, 2, 3, 4], [1])
    await pair.search(3, 4)
    assert await pair.until_members("less", [1, 2, 3, 4], [1, 3]) < WITHIN_S
    await pair.profile.DeleteProfile(profile_pb.DeleteProfileRequest(person=common.PersonRef(person_id=1)))
    assert await pair.until_members("less", [1, 2, 3, 4], [3]) < WITHIN_S


async def test_reach_is_told_with_noise_to_the_ten_and_not_below_the_floor(pair: Pair) -> None:
    """The index and the scan that stands in for it where there is none say the same."""
    await pair.search(*range(1, 64))
    await pair.create("tea", TEA)
    await pair.until_members("tea", [63], [63])
    await _check_reach(pair)
    shown = (await pair.audiences.GetAudience(pb.GetAudienceRequest(audience_id="tea"))).audience
    assert (shown.told_size, shown.size_below_floor) == ((await pair.reach(TEA)).reach, False)
    await pair.stop_scoring()
    await pair.start_scoring(tag_index=False)
    await _check_reach(pair)


async def _check_reach(pair: Pair) -> None:
    told = await pair.reach(TEA)
    assert told == await pair.reach(f"not not ({TEA} or {TEA})")
    assert (told.reach % 10, told.below_floor) == (0, False)
    assert abs(told.reach - 63) <= 30
    assert await pair.reach('interest("category:coffee") > 0') == pb.EstimateReachResponse(below_floor=True)
    assert abs((await pair.reach('not audience("tea") or audience("tea")')).reach - 63) <= 30
    with pytest.raises(FailedPrecondition):
        await pair.reach('audience("none")')
    with pytest.raises(InvalidArgument):
        await pair.reach("shoe > 3")


async def test_a_restart_finds_the_index_and_what_changed_meanwhile(pair: Pair) -> None:
    await pair.search(1)
    await pair.create("tea", TEA)
    await pair.until_members("tea", [1, 2], [1])
    await pair.stop_scoring()
    files = {path.name for path in (pair.folder / "scoring" / "tag_index").iterdir()}
    assert "manifest.json" in files
    await pair.search(2)
    await pair.start_scoring()
    assert await pair.until_members("tea", [1, 2], [1, 2]) < WITHIN_S


@pytest.mark.parametrize("damage", ["manifest", "segment", "stream"])
async def test_what_is_damaged_is_built_again(pair: Pair, damage: str) -> None:
    await pair.search(1)
    await pair.create("tea", TEA)
    await pair.until_members("tea", [1, 2], [1])
    await pair.stop_scoring()
    folder = pair.folder / "scoring" / "tag_index"
    if damage == "manifest":
        (folder / "manifest.json").write_bytes(b"{")
    elif damage == "segment":
        for path in folder.glob("*.tags"):
            content = path.read_bytes()
            path.write_bytes(content[:64] + bytes(byte ^ 255 for byte in content[64:200]) + content[200:])
    else:
        manifest = (folder / "manifest.json").read_text()
        (folder / "manifest.json").write_text(manifest.replace('"position":"', '"position":"1'))
    await pair.search(2)
    await pair.start_scoring()
    assert await pair.until_members("tea", [1, 2], [1, 2]) < 2 * WITHIN_S


async def test_a_person_is_told_why_it_is_in_an_audience_or_not(pair: Pair) -> None:
    await pair.search(1)
    await pair.create("tea", TEA)
    await pair.until_members("tea", [1], [1])
    person = common.PersonRef(person_id=1)
    why = await pair.audiences.ExplainMembership(pb.ExplainMembershipRequest(person=person, audience_id="tea"))
    assert (why.matches, why.member, why.outcome) == (True, True, pb.CONDITION_OUTCOME_HOLDS)
    assert why.expression == TEA
    found = [(one.text, one.column, one.WhichOneof("value"), one.outcome) for one in why.reasons]
    assert found == [
        ('interest("category:tea") > 0.2', 10, "number", pb.CONDITION_OUTCOME_HOLDS),
        ('gender == "m"', 40, None, pb.CONDITION_OUTCOME_FAILS),
    ]
    stranger = pb.ExplainMembershipRequest(person=common.PersonRef(person_id=99), expression='segment( "new" )')
    why = await pair.audiences.ExplainMembership(stranger)
    assert (why.matches, why.expression, why.reasons[0].flag) == (False, 'segment("new")', False)
    with pytest.raises(NotFound):
        await pair.audiences.ExplainMembership(pb.ExplainMembershipRequest(person=person, audience_id="none"))
