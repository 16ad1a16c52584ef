"""The scoring service over a real socket, with a real database, registry and bitmaps; profile is a small server."""

import asyncio
import json
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
import pytest

from bihuan.common.v1 import common_pb2
from bihuan.profile.v1 import profile_pb2, profile_pb2_grpc
from bihuan.scoring.v1 import audience_pb2, audience_pb2_grpc, scoring_pb2, scoring_pb2_grpc
from bihuan_scoring import app
from bihuan_scoring.domain.features import LINEAR_COLUMNS
from bihuan_scoring.domain.linear import LinearLogit, PlattScale, Standardiser
from bihuan_scoring.domain.model_keys import ModelSigner
from bihuan_scoring.registry_store import DiskModelRegistry, TrainedVersion
from bihuan_scoring.settings import Settings
from bihuan_scoring.training import ResponseModel
from bihuan_shared.callers import Credential, Role, secret_sha256
from bihuan_shared.clock import SystemClock
from bihuan_shared.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
)
from bihuan_shared.rpc.client import open_channel
from bihuan_shared.rpc.server import RunningServer, ServiceApp, start_server
from bihuan_shared.settings import ServerSettings

SIGNER = ModelSigner({1: bytes(32)})
CALLERS = (
    Credential("gateway", Role.INTERNAL, secret_sha256("inside")),
    Credential("dsp", Role.PARTNER, secret_sha256("outside")),
)


class SmallProfileServer(profile_pb2_grpc.ProfileServiceServicer):
    """Two persons and one tag."""

    async def ListTags(  # noqa: N802
        self,
        _request: profile_pb2.ListTagsRequest,
        _context: grpc.aio.ServicerContext[profile_pb2.ListTagsRequest, profile_pb2.ListTagsResponse],
    ) -> profile_pb2.ListTagsResponse:
        purposes = [common_pb2.PURPOSE_TARGETING]
        tag = profile_pb2.Tag(name="gender", type=profile_pb2.TAG_TYPE_TEXT, purposes=purposes)
        return profile_pb2.ListTagsResponse(tags=[tag])

    async def ScanProfiles(  # noqa: N802
        self,
        request: profile_pb2.ScanProfilesRequest,
        _context: grpc.aio.ServicerContext[profile_pb2.ScanProfilesRequest, profile_pb2.ScanProfilesResponse],
    ) -> AsyncIterator[profile_pb2.ScanProfilesResponse]:
        assert request.purpose == common_pb2.PURPOSE_TARGETING
        for person_id, gender in ((1, "f"), (2, "m")):
            attribute = profile_pb2.Attribute(name="gender", text=gender)
            profile = profile_pb2.Profile(person_id=person_id, attributes=[attribute])
            yield profile_pb2.ScanProfilesResponse(profiles=[profile])


def _small_profile_server() -> SmallProfileServer:
    """Calls to the methods that it lacks are answered by the generated code."""
    return SmallProfileServer()  # type: ignore[abstract]  # the generated methods are abstract to the checker alone


def _register_profile(servicer: object, server: grpc.aio.Server) -> None:
    assert isinstance(servicer, SmallProfileServer)
    profile_pb2_grpc.add_ProfileServiceServicer_to_server(servicer, server)


@dataclass
class Stack:
    """A running service and the way to it."""

    settings: Settings
    server: RunningServer
    channels: list[grpc.aio.Channel]

    def channel(self, secret: str = "inside") -> grpc.aio.Channel:
        channel = open_channel(f"127.0.0.1:{self.server.port}", secret=secret, service="scoring")
        self.channels.append(channel)
        return channel

    @property
    def scoring(self) -> "scoring_pb2_grpc.ScoringServiceAsyncStub":
        return scoring_pb2_grpc.ScoringServiceStub(self.channel())

    @property
    def audiences(self) -> "audience_pb2_grpc.AudienceServiceAsyncStub":
        return audience_pb2_grpc.AudienceServiceStub(self.channel())

    async def restart(self) -> None:
        await self.close()
        self.server = await start_server(await app.build(self.settings), self.settings, SystemClock())

    async def close(self) -> None:
        for channel in self.channels:
            await channel.close()
        self.channels.clear()
        await self.server.stop(0)


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async def ready() -> bool:
        return True

    profile_app = ServiceApp(
        "profile", ((_small_profile_server(), _register_profile, "bihuan.profile.v1.ProfileService"),), ready
    )
    profile = await start_server(profile_app, ServerSettings(state_dir=tmp_path, callers=CALLERS), SystemClock())
    settings = Settings.model_validate(
        {
            "state_dir": tmp_path,
            "callers": CALLERS,
            "caller_secret": "inside",
            "profile_target": f"127.0.0.1:{profile.port}",
            "model_public_keys": SIGNER.public_keys(),
        }
    )
    server = await start_server(await app.build(settings), settings, SystemClock())
    running = Stack(settings, server, [])
    yield running
    await running.close()
    await profile.stop(0)


def _add_version(stack: Stack, name: str, intercept: float) -> None:
    width = len(LINEAR_COLUMNS)
    linear = LinearLogit(Standardiser(np.zeros(width), np.ones(width)), np.zeros(width), intercept)
    click = ResponseModel(linear, None, PlattScale(), {})
    version = TrainedVersion(name, 5, click, 0.5, {"cv_auc": 0.8}, {})
    DiskModelRegistry(stack.settings.state_dir / "models").add(version, SIGNER)


def _score_request() -> scoring_pb2.BatchScoreRequest:
    candidates = [scoring_pb2.Candidate(creative_id=f"cr{n}", campaign_id="c", tags=["category:tea"]) for n in range(2)]
    profile = profile_pb2.Profile(person_id=1, interests=[profile_pb2.Interest(tag="category:tea", long_term=2.0)])
    items = [
        scoring_pb2.ScoreItem(profile=profile, candidate_indexes=[1, 0]),
        scoring_pb2.ScoreItem(candidate_indexes=[0]),
    ]
    return scoring_pb2.BatchScoreRequest(candidates=candidates, items=items)


def _create(name: str, **definition: object) -> audience_pb2.CreateAudienceRequest:
    return audience_pb2.CreateAudienceRequest(
        audience=audience_pb2.Audience(audience_id=name, advertiser_id="a1"),
        definition=audience_pb2.AudienceDefinition(**definition),  # type: ignore[arg-type]  # one member, by name
    )


def _persons(*person_ids: int) -> audience_pb2.BatchGetMembershipsRequest:
    return audience_pb2.BatchGetMembershipsRequest(persons=[common_pb2.PersonRef(person_id=n) for n in person_ids])


async def test_models_are_published_swapped_and_rolled_back(stack: Stack) -> None:
    scoring = stack.scoring
    before = await scoring.BatchScore(_score_request())
    assert before.model_version == "prior"
    assert [[score.candidate_index for score in result.scores] for result in before.results] == [[1, 0], [0]]
    _add_version(stack, "m1", 0.0)
    _add_version(stack, "m2", -1.0)
    for name, pctr in (("m1", 0.5), ("m2", 1.0 / (1.0 + math.e))):
        published = await scoring.PublishModel(scoring_pb2.PublishModelRequest(model_version=name))
        assert (published.model.model_version, published.model.serving) == (name, True)
        scored = await scoring.BatchScore(_score_request())
        assert scored.model_version == name
        assert scored.results[1].scores[0].pctr == pytest.approx(pctr)
        assert scored.results[1].scores[0].pcvr == 0.5
    await scoring.RollBackModel(scoring_pb2.RollBackModelRequest(from_model_version="m2"))
    await stack.restart()
    scoring = stack.scoring
    assert (await scoring.BatchScore(_score_request())).model_version == "m1"
    listed = await scoring.ListModels(scoring_pb2.ListModelsRequest())
    assert {model.model_version: model.serving for model in listed.models} == {"m1": True, "m2": False}
    with pytest.raises(FailedPrecondition):
        await scoring.RollBackModel(scoring_pb2.RollBackModelRequest(from_model_version="m1"))


async def test_unknown_or_changed_version_is_refused(stack: Stack) -> None:
    _add_version(stack, "m1", 0.0)
    path = stack.settings.state_dir / "models" / "m1" / "click.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"intercept": 9.0}))
    scoring = stack.scoring
    for name, error in (("m1", FailedPrecondition), ("m9", NotFound)):
        with pytest.raises(error) as raised:
            await scoring.PublishModel(scoring_pb2.PublishModelRequest(model_version=name))
        assert raised.value.reason == ("MODEL_REFUSED" if error is FailedPrecondition else "NOT_FOUND")
    assert (await scoring.BatchScore(_score_request())).model_version == "prior"


async def test_malformed_score_request_names_its_field(stack: Stack) -> None:
    request = _score_request()
    request.items[1].candidate_indexes[0] = 7
    with pytest.raises(InvalidArgument) as raised:
        await stack.scoring.BatchScore(request)
    assert raised.value.violations[0].field == "items[1].candidate_indexes[0]"


async def test_member_audience_is_looked_up_and_kept_over_a_restart(stack: Stack) -> None:
    request = _create("buyers", members=audience_pb2.MemberList(person_ids=[3, 5]))
    created = (await stack.audiences.CreateAudience(request)).audience
    assert (created.state, created.size) == (audience_pb2.AUDIENCE_STATE_READY, 2)
    assert (await stack.audiences.CreateAudience(request)).audience == created
    other = _create("buyers", members=audience_pb2.MemberList(person_ids=[3]))
    with pytest.raises(AlreadyExists):
        await stack.audiences.CreateAudience(other)
    await stack.restart()
    found = await stack.audiences.BatchGetMemberships(_persons(5, 4))
    assert [list(each.audience_ids) for each in found.memberships] == [["buyers"], []]
    person = common_pb2.PersonRef(person_id=5)
    removed = await stack.audiences.DeletePerson(audience_pb2.DeletePersonRequest(person=person))
    assert removed.removed_count == 1
    listed = await stack.audiences.ListAudiences(audience_pb2.ListAudiencesRequest(advertiser_id="a1"))
    assert [(each.audience_id, each.size) for each in listed.audiences] == [("buyers", 1)]


async def test_members_come_in_and_go_out_of_a_list(stack: Stack) -> None:
    await stack.audiences.CreateAudience(_create("nurtured", members=audience_pb2.MemberList()))
    request = audience_pb2.UpdateAudienceMembersRequest(
        audience_id="nurtured", advertiser_id="a1", add_persons=_persons(3, 5).persons
    )
    for _ in range(2):
        assert (await stack.audiences.UpdateAudienceMembers(request)).audience.size == 2
    request = audience_pb2.UpdateAudienceMembersRequest(
        audience_id="nurtured", advertiser_id="a1", remove_persons=_persons(3).persons
    )
    assert (await stack.audiences.UpdateAudienceMembers(request)).audience.size == 1
    outside = audience_pb2_grpc.AudienceServiceStub(stack.channel("outside"))
    with pytest.raises(PermissionDenied):
        await outside.UpdateAudienceMembers(request)


async def test_expression_audience_is_built_from_the_profile_service(stack: Stack) -> None:
    await stack.audiences.CreateAudience(_create("women", expression='gender == "f"'))
    audiences = stack.audiences
    audience = audience_pb2.Audience()
    async with asyncio.timeout(20):
        while audience.state != audience_pb2.AUDIENCE_STATE_READY:
            audience = (await audiences.GetAudience(audience_pb2.GetAudienceRequest(audience_id="women"))).audience
    assert (audience.size, audience.progress) == (1, 1.0)
    assert (await audiences.BatchGetMemberships(_persons(1))).memberships[0].audience_ids == ["women"]
    deleted = await audiences.DeleteAudience(audience_pb2.DeleteAudienceRequest(audience_id="women"))
    assert deleted.deleted
    with pytest.raises(NotFound):
        await audiences.GetAudience(audience_pb2.GetAudienceRequest(audience_id="women"))


async def test_look_alike_of_too_few_seeds_fails_and_says_why(stack: Stack) -> None:
    audiences = stack.audiences
    await audiences.CreateAudience(_create("buyers", members=audience_pb2.MemberList(person_ids=[1, 2])))
    look_alike = audience_pb2.LookAlike(seed_audience_id="buyers", target_size=10)
    with pytest.raises(FailedPrecondition):
        await audiences.CreateAudience(
            _create("x", look_alike=audience_pb2.LookAlike(seed_audience_id="nobody", target_size=10))
        )
    await audiences.CreateAudience(_create("x", look_alike=look_alike))
    answer = audience_pb2.GetAudienceResponse()
    async with asyncio.timeout(20):
        while answer.audience.state != audience_pb2.AUDIENCE_STATE_FAILED:
            answer = await audiences.GetAudience(audience_pb2.GetAudienceRequest(audience_id="x"))
    assert "100 seeds" in answer.audience.failure
    assert not answer.HasField("look_alike_evidence")


async def test_wrong_expression_says_where(stack: Stack) -> None:
    with pytest.raises(InvalidArgument) as raised:
        await stack.audiences.CreateAudience(_create("x", expression="shoe == 3"))
    assert raised.value.reason == "EXPRESSION_INVALID"
    assert "column 1" in raised.value.detail


async def test_a_partner_is_told_no_exact_size(stack: Stack) -> None:
    request = _create("tea", expression='gender == "f"')
    await stack.audiences.CreateAudience(request)
    outside = audience_pb2_grpc.AudienceServiceStub(stack.channel("outside"))
    while True:
        inside = (await stack.audiences.GetAudience(audience_pb2.GetAudienceRequest(audience_id="tea"))).audience
        if inside.state == audience_pb2.AUDIENCE_STATE_READY:
            break
        await asyncio.sleep(0.01)
    told = (await outside.CreateAudience(request)).audience
    assert (inside.size, told.size, told.told_size, told.size_below_floor) == (1, 0, 0, True)


async def test_partners_may_not_publish_nor_name_persons(stack: Stack) -> None:
    scoring = scoring_pb2_grpc.ScoringServiceStub(stack.channel("outside"))
    audiences = audience_pb2_grpc.AudienceServiceStub(stack.channel("outside"))
    with pytest.raises(PermissionDenied):
        await scoring.PublishModel(scoring_pb2.PublishModelRequest(model_version="m1"))
    with pytest.raises(PermissionDenied):
        await audiences.BatchGetMemberships(_persons(1))
