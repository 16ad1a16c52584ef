"""The whole contract as messages and services that a test can make up."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, cast

import grpc
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from bihuan.attribution.v1 import attribution_pb2, attribution_pb2_grpc
from bihuan.common.v1 import options_pb2
from bihuan.identity.v1 import identity_pb2, identity_pb2_grpc
from bihuan.profile.v1 import profile_pb2, profile_pb2_grpc
from bihuan.scoring.v1 import audience_pb2, audience_pb2_grpc, scoring_pb2, scoring_pb2_grpc
from bihuan_shared.rpc.server import Registration

PERSON: Final = 7
_INTERNAL: Final = ("person_id", "person_ids", "sighting_id", "sighting_ids")
_ROWS: Final = (
    (identity_pb2, identity_pb2_grpc, "IdentityService"),
    (profile_pb2, profile_pb2_grpc, "ProfileService"),
    (scoring_pb2, scoring_pb2_grpc, "ScoringService"),
    (audience_pb2, audience_pb2_grpc, "AudienceService"),
    (attribution_pb2, attribution_pb2_grpc, "AttributionService"),
)
OPEN_TO_PARTNERS: Final = [
    method
    for module, _, name in _ROWS
    for method in module.DESCRIPTOR.services_by_name[name].methods
    if options_pb2.CALLER_ROLE_PARTNER in method.GetOptions().Extensions[options_pb2.callers]
]


def full(descriptor: Descriptor, person_id: int = PERSON, chain: tuple[str, ...] = ()) -> Message:
    """A message with every field set: persons to `person_id`, lists to two elements, oneofs to their first member."""
    message = GetMessageClass(descriptor)()
    for one in descriptor.fields:
        if one.containing_oneof is not None and one.containing_oneof.fields[0] is not one:
            continue
        if one.message_type is not None:
            if one.message_type.full_name not in chain and not one.message_type.GetOptions().map_entry:
                child = full(one.message_type, person_id, (*chain, descriptor.full_name))
                values = getattr(message, one.name)
                if one.is_repeated:
                    values.extend([child, child])
                else:
                    values.CopyFrom(child)
        elif not one.name.endswith(("person_token", "person_tokens")):
            value = _value(one, person_id)
            if one.is_repeated:
                getattr(message, one.name).extend([value, value])
            else:
                setattr(message, one.name, value)
    return message


def _value(one: FieldDescriptor, person_id: int) -> object:
    if one.type == FieldDescriptor.TYPE_STRING:
        return "text"
    if one.type == FieldDescriptor.TYPE_BYTES:
        return b"bytes"
    if one.enum_type is not None:
        return one.enum_type.values[-1].number
    return person_id


def naming(descriptor: Descriptor, token: str, chain: tuple[str, ...] = ()) -> Message:
    """A message in which every person is named by the token, and nothing else is set."""
    message = GetMessageClass(descriptor)()
    for one in descriptor.fields:
        if one.message_type is not None and one.message_type.full_name not in chain:
            child = naming(one.message_type, token, (*chain, descriptor.full_name))
            if child.ListFields():
                values = getattr(message, one.name)
                values.append(child) if one.is_repeated else values.CopyFrom(child)
        elif one.name == "person_token":
            message.person_token = token  # type: ignore[attr-defined]  # as it is named
        elif one.name == "person_tokens":
            message.person_tokens.append(token)  # type: ignore[attr-defined]  # as above
    return message


def told(message: Message) -> dict[str, list[object]]:
    """Every value of a message by the name of its field, however deep."""
    values: dict[str, list[object]] = {}
    for one, value in message.ListFields():
        for single in value if one.is_repeated else [value]:
            if isinstance(single, Message):
                for name, inner in told(single).items():
                    values.setdefault(name, []).extend(inner)
            else:
                values.setdefault(one.name, []).append(single)
    return values


def services(received: list[Message], answer: Callable[[Descriptor], Message] = full) -> list[Registration]:
    """Every service of the contract, each method answering with a message of its type."""
    made = []
    for module, stubs, name in _ROWS:
        servicer = getattr(stubs, f"{name}Servicer")
        methods = module.DESCRIPTOR.services_by_name[name].methods
        built = {method.name: _handler(method, received, answer) for method in methods}
        own = type(name, (cast("Any", servicer),), built)
        made.append((own(), getattr(stubs, f"add_{name}Servicer_to_server"), methods[0].containing_service.full_name))
    return made


def _handler(
    method: MethodDescriptor, received: list[Message], answer: Callable[[Descriptor], Message]
) -> Callable[[object, Any, object], object]:
    async def one(_self: object, request: Any, _context: object) -> Message:
        if method.client_streaming:
            received.extend([message async for message in request])
        else:
            received.append(request)
        return answer(method.output_type)

    async def many(_self: object, request: Any, _context: object) -> AsyncIterator[Message]:
        received.append(request)
        yield answer(method.output_type)
        yield answer(method.output_type)

    return many if method.server_streaming else one


async def call(channel: grpc.aio.Channel, method: MethodDescriptor, request: Message | None = None) -> Message:
    """The answer to a request (sent twice where the method takes a stream), parsed."""
    raw = request.SerializeToString() if request is not None else b""

    async def parts() -> AsyncIterator[bytes]:
        yield raw
        yield raw

    shape = channel.stream_unary if method.client_streaming else channel.unary_unary
    send: Any = shape(f"/{method.containing_service.full_name}/{method.name}")
    answer = await cast("Awaitable[bytes]", send(parts() if method.client_streaming else raw))
    return GetMessageClass(method.output_type).FromString(answer)


def ids_in(message: Message) -> list[str]:
    """Names of the fields of a message that only internal callers may see and that are set, however deep."""
    return [name for name in told(message) if name.endswith(_INTERNAL)]


def messages_in(message: Descriptor, seen: set[str] | None = None) -> list[Descriptor]:
    """The types of a message and of everything inside of it."""
    seen = set() if seen is None else seen
    if message.full_name in seen:
        return []
    seen.add(message.full_name)
    return [message, *(d for one in message.fields if one.message_type for d in messages_in(one.message_type, seen))]
