"""Malformed input to every RPC and every route of a whole stack gets a typed error that names the field."""

from collections.abc import Iterator

import grpc
import httpx
import pytest
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from loop_stack import Stack

from bihuan.attribution.v1 import attribution_pb2
from bihuan.common.v1 import options_pb2
from bihuan.identity.v1 import identity_pb2
from bihuan.profile.v1 import profile_pb2
from bihuan.scoring.v1 import audience_pb2, scoring_pb2

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(120)]

MODULES = (identity_pb2, profile_pb2, scoring_pb2, audience_pb2, attribution_pb2)
METHODS = [
    method
    for module in MODULES
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]


def has_required(method: MethodDescriptor) -> bool:
    return any(
        field.GetOptions().Extensions[options_pb2.rules].required
        or field.GetOptions().Extensions[options_pb2.rules].min_items
        for field in method.input_type.fields
    )


def send(stack: Stack, method: MethodDescriptor, payload: bytes, secret: str | None) -> None:
    """Send raw bytes to a method, as its kind asks, and take the whole answer."""
    area = method.containing_service.file.package.split(".")[1]
    path = f"/{method.containing_service.full_name}/{method.name}"
    metadata = (("authorization", f"Bearer {secret}"),) if secret else ()
    with grpc.insecure_channel(stack.running.targets[area]) as channel:
        if method.client_streaming:
            channel.stream_unary(path, bytes, bytes)(iter([payload]), timeout=10, metadata=metadata)
        elif method.server_streaming:
            list(channel.unary_stream(path, bytes, bytes)(payload, timeout=10, metadata=metadata))
        else:
            channel.unary_unary(path, bytes, bytes)(payload, timeout=10, metadata=metadata)


def call(stack: Stack, method: MethodDescriptor, payload: bytes) -> grpc.RpcError:
    """The error that raw bytes from a known caller are answered with."""
    with pytest.raises(grpc.RpcError) as caught:
        send(stack, method, payload, stack.secrets.cli_secret)
    return caught.value


def violated(error: grpc.RpcError) -> set[str]:
    status = rpc_status.from_call(error)
    assert status is not None, error
    fields: set[str] = set()
    for detail in status.details:
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            fields |= {violation.field for violation in bad.field_violations}
    return fields


@pytest.mark.parametrize("method", [*filter(has_required, METHODS)], ids=lambda method: method.full_name)
def test_an_empty_request_is_refused_by_the_names_of_its_required_fields(
    stack: Stack, method: MethodDescriptor
) -> None:
    error = call(stack, method, b"")
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violated(error) & {field.name for field in method.input_type.fields}


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_bytes_that_are_no_message_are_refused_as_invalid(stack: Stack, method: MethodDescriptor) -> None:
    error = call(stack, method, b"\xff\xff\xff\xff")
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_a_caller_without_a_credential_is_refused(stack: Stack, method: MethodDescriptor) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        send(stack, method, b"", None)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def too_long_strings(method: MethodDescriptor) -> Iterator[Message]:
    for field in method.input_type.fields:
        if field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated:
            message = GetMessageClass(method.input_type)()
            setattr(message, field.name, "x" * 100_000)
            yield message


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_a_string_beyond_its_bound_is_refused_by_name(stack: Stack, method: MethodDescriptor) -> None:
    for message in too_long_strings(method):
        (field,) = [field.name for field, _ in message.ListFields()]
        error = call(stack, method, message.SerializeToString())
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert field in violated(error)


def routes_with_bodies(stack: Stack) -> Iterator[tuple[str, str]]:
    document = httpx.get(f"{stack.url}/openapi.json", timeout=30).json()
    for path, operations in document["paths"].items():
        for verb, operation in operations.items():
            if verb in {"post", "patch", "put"} and "501" not in operation["responses"]:
                yield verb, path


BODIES = {
    "no JSON": b"{",
    "NaN": b'{"id": NaN}',
    "beyond a double": b'{"id": 1e400}',
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "a list": b"[]",
    "null": b"null",
    "not UTF-8": b'{"id": "\xff"}',
    "unknown field": b'{"no_such_field": 1}',
    "duplicate keys": b'{"id": "a", "id": "b"}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_malformed_body_is_refused_as_a_problem_on_every_route(stack: Stack, body: bytes) -> None:
    routes = list(routes_with_bodies(stack))
    assert len(routes) > 10
    with stack.client() as client:
        for verb, path in routes:
            answer = client.request(verb, path, content=body, headers={"content-type": "application/json"})
            assert 400 <= answer.status_code < 500, f"{verb} {path}: {answer.status_code} {answer.text[:300]}"
            assert answer.headers["content-type"] == "application/problem+json", f"{verb} {path}"
            if answer.status_code == httpx.codes.BAD_REQUEST:
                assert answer.json()["errors"], f"{verb} {path}: {answer.text}"
