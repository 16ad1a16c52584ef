"""Every service but identity asks identity for tokens, remembers them for a moment, and refuses as identity does."""

from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc
import pytest

from bihuan.common.v1 import common_pb2
from bihuan.identity.v1 import identity_pb2 as pb
from bihuan.identity.v1 import identity_pb2_grpc
from bihuan.profile.v1 import profile_pb2, profile_pb2_grpc
from bihuan_shared.errors import FailedPrecondition, NotFound, PermissionDenied, Unavailable
from bihuan_shared.person_tokens import TokenHolder, TokenStatus
from bihuan_shared.rpc.identity_tokens import MAX_AGE_S, IdentityTokens
from bihuan_shared.rpc.server import Registration, RunningServer

_IdentityServicer: Any = identity_pb2_grpc.IdentityServiceServicer
_ProfileServicer: Any = profile_pb2_grpc.ProfileServiceServicer


class Stage(Protocol):
    """What these tests need of the stage."""

    async def serve(self, *registrations: Registration, **options: object) -> RunningServer: ...
    def channel(self, server: RunningServer, secret: str = ...) -> grpc.aio.Channel: ...


class Issuer(_IdentityServicer):  # type: ignore[misc]  # the stubs call servicers abstract
    """Identity as far as tokens go: `dsp:7` is the token of person 7; persons above 5,000 have none. Counts batches."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.batches: list[int] = []

    async def IssuePseudonyms(self, request: pb.IssuePseudonymsRequest, context: object) -> pb.IssuePseudonymsResponse:  # noqa: N802  # the contract's name
        self._note(len(request.person_ids))
        issued, unknown = pb.PSEUDONYM_STATUS_ISSUED, pb.Pseudonym(status=pb.PSEUDONYM_STATUS_UNKNOWN)
        return pb.IssuePseudonymsResponse(
            pseudonyms=[
                unknown if one > 5_000 else pb.Pseudonym(person_token=f"{request.partner}:{one}", status=issued)
                for one in request.person_ids
            ]
        )

    async def ResolvePseudonyms(  # noqa: N802  # the contract's name
        self, request: pb.ResolvePseudonymsRequest, context: object
    ) -> pb.ResolvePseudonymsResponse:
        self._note(len(request.person_tokens))
        return pb.ResolvePseudonymsResponse(persons=[self._resolve(request.partner, t) for t in request.person_tokens])

    def _note(self, size: int) -> None:
        if self.error is not None:
            raise self.error
        self.batches.append(size)

    @staticmethod
    def _resolve(partner: str, token: str) -> pb.ResolvedPseudonym:
        owner, _, person = token.partition(":")
        if owner != partner:
            return pb.ResolvedPseudonym(status=pb.RESOLUTION_STATUS_INVALID)
        return pb.ResolvedPseudonym(person_id=int(person), status=pb.RESOLUTION_STATUS_RESOLVED)


@dataclass
class Desk:
    """An identity that is asked, who asks it, and the time of the one who asks."""

    identity: Issuer
    tokens: IdentityTokens
    time_s: list[float] = field(default_factory=lambda: [1_000.0])


@pytest.fixture
async def desk(stage: Stage) -> Desk:
    identity = Issuer()
    add = identity_pb2_grpc.add_IdentityServiceServicer_to_server
    server = await stage.serve((identity, add, "bihuan.identity.v1.IdentityService"))
    time_s = [1_000.0]
    return Desk(identity, IdentityTokens(stage.channel(server), lambda: time_s[0], max_remembered=3_000), time_s)


async def test_answers_come_in_bounded_batches_and_are_remembered_for_a_moment(desk: Desk) -> None:
    ids = list(range(1, 2_501))
    issued = await desk.tokens.issue("dsp", ids)
    assert issued == {one: f"dsp:{one}" for one in ids}
    assert desk.identity.batches == [1_000, 1_000, 500]
    assert await desk.tokens.issue("dsp", ids) == issued
    assert await desk.tokens.issue("shop", [1]) == {1: "shop:1"}
    assert desk.identity.batches[3:] == [1]
    desk.time_s[0] += MAX_AGE_S
    await desk.tokens.issue("dsp", [1])
    assert desk.identity.batches[4:] == [1]


async def test_what_is_remembered_is_bounded(desk: Desk) -> None:
    await desk.tokens.issue("dsp", list(range(1, 4_001)))
    del desk.identity.batches[:]
    await desk.tokens.issue("dsp", list(range(1_001, 4_001)))
    assert desk.identity.batches == []
    await desk.tokens.issue("dsp", [1_000])
    assert desk.identity.batches == [1]


async def test_tokens_resolve_partner_by_partner(desk: Desk) -> None:
    resolved, invalid = TokenHolder(7, TokenStatus.RESOLVED), TokenHolder(0, TokenStatus.INVALID)
    assert await desk.tokens.resolve("dsp", ["dsp:7", "shop:7"]) == {"dsp:7": resolved, "shop:7": invalid}
    assert await desk.tokens.resolve("shop", ["dsp:7", "shop:7"]) == {"dsp:7": invalid, "shop:7": resolved}
    assert desk.identity.batches == [2, 2]


async def test_persons_without_a_token_are_left_out_and_asked_for_again(desk: Desk) -> None:
    assert await desk.tokens.issue("dsp", [7, 9_999]) == {7: "dsp:7"}
    assert await desk.tokens.issue("dsp", [7, 9_999]) == {7: "dsp:7"}
    assert desk.identity.batches == [2, 1]


@pytest.mark.parametrize(
    "error", [NotFound("the partner is not declared"), FailedPrecondition("the partner is revoked")]
)
async def test_what_identity_says_of_a_partner_refuses_the_partners_call(desk: Desk, error: Exception) -> None:
    desk.identity.error = error
    for asked in (desk.tokens.issue("dsp", [7]), desk.tokens.resolve("dsp", ["dsp:7"])):
        with pytest.raises(PermissionDenied) as refused:
            await asked
        assert refused.value.reason == "PARTNER_NOT_ALLOWED"


async def test_an_identity_that_does_not_answer_is_unavailable(desk: Desk) -> None:
    desk.identity.error = Unavailable("the database does not answer")
    with pytest.raises(Unavailable):
        await desk.tokens.resolve("dsp", ["dsp:7"])


class Profiles(_ProfileServicer):  # type: ignore[misc]  # as above
    """Knows everyone."""

    async def GetProfile(  # noqa: N802  # the contract's name
        self, request: profile_pb2.GetProfileRequest, context: object
    ) -> profile_pb2.GetProfileResponse:
        return profile_pb2.GetProfileResponse(profile=profile_pb2.Profile(person_id=request.person.person_id))


async def test_a_server_that_is_told_where_identity_is_serves_partners(stage: Stage) -> None:
    identity = Issuer()
    add = identity_pb2_grpc.add_IdentityServiceServicer_to_server
    first = await stage.serve((identity, add, "bihuan.identity.v1.IdentityService"))
    second = await stage.serve(
        (Profiles(), profile_pb2_grpc.add_ProfileServiceServicer_to_server, "bihuan.profile.v1.ProfileService"),
        identity_target=f"127.0.0.1:{first.port}",
        caller_secret="internal-secret",
    )
    partner = profile_pb2_grpc.ProfileServiceStub(stage.channel(second, "partner-secret"))
    request = profile_pb2.GetProfileRequest(
        person=common_pb2.PersonRef(person_token="partner:7"), purpose=common_pb2.PURPOSE_TARGETING
    )
    answer = await partner.GetProfile(request)
    assert answer.profile.WhichOneof("person") == "person_token"
    assert answer.profile.person_token == "partner:7"
    await second.stop(0.1)
