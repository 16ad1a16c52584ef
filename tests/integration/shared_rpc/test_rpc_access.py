"""Who may call what, on every RPC of the contract."""

from collections.abc import Awaitable, Iterator
from typing import Protocol, cast

import grpc
import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from bihuan.attribution.v1 import attribution_pb2
from bihuan.common.v1 import options_pb2
from bihuan.identity.v1 import identity_pb2
from bihuan.profile.v1 import profile_pb2
from bihuan.scoring.v1 import audience_pb2, scoring_pb2
from bihuan_shared.callers import Role
from bihuan_shared.errors import (
    BihuanError,
    InvalidArgument,
    NotYet,
    PermissionDenied,
    Unauthenticated,
)
from bihuan_shared.rpc.server import Registration, RunningServer

_METHODS = [
    method
    for module in (identity_pb2, profile_pb2, scoring_pb2, audience_pb2, attribution_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
_ROLE_NUMBERS = {Role.INTERNAL: options_pb2.CALLER_ROLE_INTERNAL, Role.PARTNER: options_pb2.CALLER_ROLE_PARTNER}


class Servers(Protocol):
    """What these tests need of the stage."""

    async def serve(self, *registrations: Registration) -> RunningServer: ...
    def channel(self, server: RunningServer, secret: str = ...) -> grpc.aio.Channel: ...


def open_to(method: MethodDescriptor, role: Role) -> bool:
    return _ROLE_NUMBERS[role] in method.GetOptions().Extensions[options_pb2.callers]


async def failure(channel: grpc.aio.Channel, method: MethodDescriptor, raw: bytes = b"") -> BihuanError | None:
    """How a call of any method ends, whatever its shape."""
    path = f"/{method.containing_service.full_name}/{method.name}"

    async def one() -> object:
        yield raw

    request = one() if method.client_streaming else raw
    shape = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
    pending = getattr(channel, shape)(path)(request)
    try:
        if method.server_streaming:
            async for _ in pending:
                pass
        else:
            await cast("Awaitable[bytes]", pending)
    except BihuanError as error:
        return error
    return None


def way_to(message: Descriptor, name: str, seen: tuple[str, ...] = ()) -> list[FieldDescriptor] | None:
    """Fields from a message down to the first one that is named so or in the plural."""
    if message.full_name in seen:
        return None
    for field in message.fields:
        if field.name in (name, f"{name}s"):
            return [field]
        if field.message_type is not None:
            rest = way_to(field.message_type, name, (*seen, message.full_name))
            if rest is not None:
                return [field, *rest]
    return None


def carrying(message: Message, way: list[FieldDescriptor]) -> Message:
    """Puts a value at the end of the way."""
    field, rest = way[0], way[1:]
    child = getattr(message, field.name)
    if rest:
        carrying(child.add() if field.is_repeated else child, rest)
        if not field.is_repeated:
            child.SetInParent()
        return message
    value = "token" if field.type == FieldDescriptor.TYPE_STRING else 7
    if field.is_repeated:
        child.append(value)
    else:
        setattr(message, field.name, value)
    return message


def requests_with(name: str) -> Iterator[tuple[MethodDescriptor, bytes]]:
    """Every method whose request can carry the field, and such a request."""
    for method in _METHODS:
        way = way_to(method.input_type, name)
        if way is not None:
            yield method, carrying(GetMessageClass(method.input_type)(), way).SerializeToString()


def test_contract_is_whole() -> None:
    assert len(_METHODS) >= 30
    assert all(method.GetOptions().Extensions[options_pb2.callers] for method in _METHODS)
    assert descriptor_pool.Default().FindMethodByName("bihuan.identity.v1.IdentityService.Resolve") in _METHODS


@pytest.mark.parametrize("secret", ["", "wrong", "internal-secret "])
async def test_unknown_callers_reach_no_method(
    stage: Servers, unbuilt_services: list[Registration], secret: str
) -> None:
    channel = stage.channel(await stage.serve(*unbuilt_services), secret)
    for method in _METHODS:
        error = await failure(channel, method)
        assert isinstance(error, Unauthenticated), method.full_name
        assert error.reason == "UNKNOWN_CALLER"


@pytest.mark.parametrize("role", list(Role))
async def test_every_method_refuses_the_roles_that_it_does_not_list(
    stage: Servers, unbuilt_services: list[Registration], role: Role
) -> None:
    channel = stage.channel(await stage.serve(*unbuilt_services), f"{role.value}-secret")
    for method in _METHODS:
        error = await failure(channel, method)
        if open_to(method, role):
            assert isinstance(error, NotYet | InvalidArgument), method.full_name
        else:
            assert isinstance(error, PermissionDenied), method.full_name
            assert error.reason == "ROLE_NOT_ALLOWED"


async def test_partner_with_a_person_id_is_refused_by_every_method(
    stage: Servers, unbuilt_services: list[Registration]
) -> None:
    channel = stage.channel(await stage.serve(*unbuilt_services), "partner-secret")
    judged = 0
    for method, raw in requests_with("person_id"):
        if not open_to(method, Role.PARTNER):
            continue
        error = await failure(channel, method, raw)
        assert isinstance(error, PermissionDenied), method.full_name
        assert error.reason == "PERSON_ID_FORBIDDEN"
        assert error.violations[0].field.rpartition(".")[2].startswith("person_id")
        judged += 1
    assert judged >= 5


async def test_partner_with_a_person_token_is_told_not_yet_by_every_method(
    stage: Servers, unbuilt_services: list[Registration]
) -> None:
    channel = stage.channel(await stage.serve(*unbuilt_services), "partner-secret")
    for method, raw in requests_with("person_token"):
        if open_to(method, Role.PARTNER):
            assert isinstance(await failure(channel, method, raw), NotYet), method.full_name


async def test_partner_is_told_not_yet_where_the_answer_could_carry_a_person_id(
    stage: Servers, unbuilt_services: list[Registration]
) -> None:
    channel = stage.channel(await stage.serve(*unbuilt_services), "partner-secret")
    leaking = [m for m in _METHODS if open_to(m, Role.PARTNER) and way_to(m.output_type, "person_id") is not None]
    assert {m.name for m in leaking} >= {"Resolve", "BatchResolve", "Link", "GetProfile", "BatchGetProfiles"}
    for method in leaking:
        error = await failure(channel, method)
        assert isinstance(error, NotYet), method.full_name
        assert "person tokens" in error.detail


async def test_bytes_that_are_no_message_are_a_typed_error_on_every_method(
    stage: Servers, unbuilt_services: list[Registration]
) -> None:
    channel = stage.channel(await stage.serve(*unbuilt_services))
    for method in _METHODS:
        if method.client_streaming:  # an unbuilt one answers before it reads
            continue
        error = await failure(channel, method, b"\xff\xff\xff")
        assert isinstance(error, InvalidArgument), method.full_name
        assert error.reason == "INVALID_FIELD"
