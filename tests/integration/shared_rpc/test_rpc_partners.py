"""Partners see their own pseudonyms and no person id, on every RPC of the contract."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from bihuan.identity.v1 import identity_pb2
from bihuan.profile.v1 import profile_pb2
from bihuan_shared.errors import BihuanError, FailedPrecondition, InvalidArgument, PermissionDenied
from bihuan_shared.person_tokens import TokenHolder, TokenStatus
from bihuan_shared.rpc.server import Registration, RunningServer
from bihuan_shared.rpc.validation import Validator
from tests.integration.shared_rpc.contract_messages import (
    OPEN_TO_PARTNERS,
    PERSON,
    call,
    full,
    ids_in,
    messages_in,
    naming,
    services,
    told,
)

FAULTS = {"bad": TokenStatus.INVALID, "old": TokenStatus.EXPIRED, "gone": TokenStatus.WITHDRAWN}
UNKNOWN_PERSON = 13


class Stage(Protocol):
    """What these tests need of the stage."""

    async def serve(self, *registrations: Registration, **options: object) -> RunningServer: ...
    def channel(self, server: RunningServer, secret: str = ...) -> grpc.aio.Channel: ...


@dataclass
class FakeTokens:
    """`partner:7` is the token of person 7; partners in `barred` are refused. Notes what it is asked."""

    barred: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    async def admit(self, partner: str) -> None:
        self.asked.append(partner)
        if partner in self.barred:
            raise PermissionDenied("not this one", reason="PARTNER_NOT_ALLOWED")

    async def resolve(self, partner: str, tokens: Sequence[str]) -> Mapping[str, TokenHolder]:
        self.asked.append(partner)
        return {token: self._holder(partner, token) for token in tokens}

    async def issue(self, partner: str, person_ids: Sequence[int]) -> Mapping[int, str]:
        self.asked.append(partner)
        return {person_id: f"{partner}:{person_id}" for person_id in person_ids if person_id != UNKNOWN_PERSON}

    @staticmethod
    def _holder(partner: str, token: str) -> TokenHolder:
        if token in FAULTS:
            return TokenHolder(0, FAULTS[token])
        owner, _, person_id = token.partition(":")
        return TokenHolder(int(person_id), TokenStatus.RESOLVED) if owner == partner else TokenHolder(0, FAULTS["bad"])


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """Requests as handlers got them; field rules are off, since messages here are filled by shape and not by sense."""
    monkeypatch.setattr(Validator, "validate", lambda *_: None)
    return []


def test_partners_may_call_what_the_contract_lists() -> None:
    assert {method.name for method in OPEN_TO_PARTNERS} >= {
        "Resolve",
        "Link",
        "MatchIdentifiers",
        "GetProfile",
        "RecordEvents",
    }


@pytest.mark.parametrize("method", OPEN_TO_PARTNERS, ids=lambda method: method.full_name)
async def test_no_answer_to_a_partner_carries_a_person_id(
    stage: Stage, received: list[Message], method: MethodDescriptor
) -> None:
    server = await stage.serve(*services(received), tokens=FakeTokens())
    whole = full(method.output_type)
    mine = await call(stage.channel(server, "partner-secret"), method)
    assert ids_in(mine) == []
    named = told(whole).get("person_id", [])
    assert told(mine).get("person_token", []) == ["partner:7"] * len(named)
    kept = {name: values for name, values in told(whole).items() if name not in ids_in(whole)}
    assert {name: values for name, values in told(mine).items() if name in kept} == kept, "nothing else is lost"

    assert await call(stage.channel(server), method) == whole, "internal callers get it as it is"


@pytest.mark.parametrize("method", OPEN_TO_PARTNERS, ids=lambda method: method.full_name)
async def test_handlers_get_person_ids_in_place_of_a_partners_tokens(
    stage: Stage, received: list[Message], method: MethodDescriptor
) -> None:
    request = naming(method.input_type, f"partner:{PERSON}")
    server = await stage.serve(*services(received), tokens=FakeTokens())
    await call(stage.channel(server, "partner-secret"), method, request)
    (got, *_) = received
    before, after = told(request), told(got)
    assert not {"person_token", "person_tokens"} & set(after)
    assert after.get("person_id", []) == [PERSON] * len(before.get("person_token", []))
    assert after.get("person_ids", []) == [PERSON] * len(before.get("person_tokens", []))


@pytest.mark.parametrize("method", OPEN_TO_PARTNERS, ids=lambda method: method.full_name)
@pytest.mark.parametrize(
    ("token", "kind", "reason"),
    [
        ("someone-else:7", InvalidArgument, "TOKEN_INVALID"),
        ("bad", InvalidArgument, "TOKEN_INVALID"),
        ("", InvalidArgument, "TOKEN_INVALID"),
        ("old", InvalidArgument, "TOKEN_EXPIRED"),
        ("gone", FailedPrecondition, "PERSON_ERASED"),
    ],
)
async def test_a_token_that_does_not_open_is_refused_by_its_path(
    stage: Stage, received: list[Message], method: MethodDescriptor, token: str, kind: type[BihuanError], reason: str
) -> None:
    request = naming(method.input_type, token)
    if not {"person_token", "person_tokens"} & set(told(request)):
        return
    server = await stage.serve(*services(received), tokens=FakeTokens())
    with pytest.raises(kind) as refused:
        await call(stage.channel(server, "partner-secret"), method, request)
    assert refused.value.reason == reason
    assert "person_token" in refused.value.violations[0].field
    assert received == []


@pytest.mark.parametrize("method", OPEN_TO_PARTNERS, ids=lambda method: method.full_name)
async def test_a_partner_that_may_get_no_tokens_is_refused_before_anything_happens(
    stage: Stage, received: list[Message], method: MethodDescriptor
) -> None:
    server = await stage.serve(*services(received), tokens=FakeTokens(barred={"partner"}))
    channel = stage.channel(server, "partner-secret")
    if ids_in(full(method.output_type)):
        with pytest.raises(PermissionDenied) as refused:
            await call(channel, method)
        assert refused.value.reason == "PARTNER_NOT_ALLOWED"
        assert received == []
    else:
        await call(channel, method)


async def test_a_person_without_a_token_is_left_out(stage: Stage, received: list[Message]) -> None:
    (method,) = [method for method in OPEN_TO_PARTNERS if method.name == "BatchResolve"]
    server = await stage.serve(
        *services(received, lambda descriptor: full(descriptor, UNKNOWN_PERSON)), tokens=FakeTokens()
    )
    answer = await call(stage.channel(server, "partner-secret"), method)
    assert isinstance(answer, identity_pb2.BatchResolveResponse)
    assert [result.WhichOneof("person") for result in answer.results] == [None, None]


async def test_internal_callers_never_reach_the_tokens(stage: Stage, received: list[Message]) -> None:
    tokens = FakeTokens(barred={"internal"})
    channel = stage.channel(await stage.serve(*services(received), tokens=tokens))
    for method in OPEN_TO_PARTNERS:
        await call(channel, method)
    assert tokens.asked == []


async def test_paths_of_bad_tokens_point_into_lists(stage: Stage, received: list[Message]) -> None:
    (method,) = [method for method in OPEN_TO_PARTNERS if method.name == "BatchGetProfiles"]
    request = profile_pb2.BatchGetProfilesRequest()
    for token in ("partner:1", "bad", "old"):
        request.queries.add().person.person_token = token
    server = await stage.serve(*services(received), tokens=FakeTokens())
    with pytest.raises(InvalidArgument) as refused:
        await call(stage.channel(server, "partner-secret"), method, request)
    assert [one.field for one in refused.value.violations] == [
        "queries[1].person.person_token",
        "queries[2].person.person_token",
    ]


async def test_a_handlers_own_message_is_not_changed(stage: Stage, received: list[Message]) -> None:
    kept = full(identity_pb2.ResolveResponse.DESCRIPTOR)
    (method,) = [method for method in OPEN_TO_PARTNERS if method.name == "Resolve"]
    server = await stage.serve(*services(received, lambda _: kept), tokens=FakeTokens())
    await call(stage.channel(server, "partner-secret"), method)
    assert kept == full(identity_pb2.ResolveResponse.DESCRIPTOR)


def test_every_person_that_a_partner_may_name_has_an_id_to_become() -> None:
    for method in OPEN_TO_PARTNERS:
        for message in messages_in(method.input_type):
            for one in message.fields:
                if one.name.endswith(("person_token", "person_tokens")):
                    sibling = message.fields_by_name.get(one.name.replace("_token", "_id"))
                    assert sibling is not None, one.full_name
                    assert sibling.is_repeated == one.is_repeated
