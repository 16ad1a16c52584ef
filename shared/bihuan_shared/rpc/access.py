"""
Who may call what: default deny by the method option `callers`, and what a partner may send and receive.

Partners name persons by their own pseudonym only. A partner's request with a person id anywhere is refused. Until
pseudonyms exist, so is a request that carries one, and every method whose answer could carry a person id: it is
refused before it runs, so that a refusal has no effects.
"""

from collections.abc import Iterable, Mapping

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message

from bihuan.common.v1 import options_pb2
from bihuan_shared.callers import Caller, Role
from bihuan_shared.errors import FieldViolation, NotYet, PermissionDenied

_ROLES = {options_pb2.CALLER_ROLE_INTERNAL: Role.INTERNAL, options_pb2.CALLER_ROLE_PARTNER: Role.PARTNER}
_ID_ENDINGS = ("person_id", "person_ids")
_TOKEN_ENDINGS = ("person_token", "person_tokens")


class Access:
    """The access rules of one method, read from its descriptor once."""

    def __init__(self, method: MethodDescriptor) -> None:
        listed = method.GetOptions().Extensions[options_pb2.callers]
        self.roles = frozenset(_ROLES[role] for role in listed if role in _ROLES)
        self._full_name = method.full_name
        self._request_names_person = reaches(method.input_type, _ID_ENDINGS + _TOKEN_ENDINGS)
        self._response_names_person = reaches(method.output_type, _ID_ENDINGS)

    def check_role(self, caller: Caller) -> None:
        """Raises PermissionDenied unless the method lists the caller's role."""
        if caller.role not in self.roles:
            raise PermissionDenied(f"{caller.role} callers may not call {self._full_name}")

    def check_request(self, caller: Caller, request: Message) -> None:
        """
        Holds a partner to its pseudonyms; internal callers pass.

        Raises PermissionDenied (PERSON_ID_FORBIDDEN) or NotYet.
        """
        if caller.role is Role.INTERNAL:
            return
        if self._request_names_person:
            path = find_set(request, _ID_ENDINGS)
            if path is not None:
                violation = FieldViolation(path, "partners name persons by person_token")
                raise PermissionDenied(
                    f"{path}: partners name persons by person_token", violation, reason="PERSON_ID_FORBIDDEN"
                )
            if find_set(request, _TOKEN_ENDINGS) is not None:
                raise NotYet("person tokens are not issued yet")
        if self._response_names_person:
            raise NotYet(f"{self._full_name} answers partners once person tokens are issued")


def reaches(message: Descriptor, endings: tuple[str, ...]) -> bool:
    """Whether a field whose name ends so can stand anywhere inside of the message."""
    seen: set[str] = set()
    waiting = [message]
    while waiting:
        current = waiting.pop()
        if current.full_name in seen:
            continue
        seen.add(current.full_name)
        for field in current.fields:
            if field.name.endswith(endings):
                return True
            if field.message_type is not None:
                waiting.append(field.message_type)
    return False


def find_set(message: Message, endings: tuple[str, ...]) -> str | None:
    """Path of the first field that is set and whose name ends so, or None."""
    for field, value in message.ListFields():
        if field.name.endswith(endings):
            return str(field.name)
        if field.message_type is None:
            continue
        for suffix, child in _children(field, value):
            inner = find_set(child, endings)
            if inner is not None:
                return f"{field.name}{suffix}.{inner}"
    return None


def _children(field: FieldDescriptor, value: object) -> Iterable[tuple[str, Message]]:
    if isinstance(value, Message):
        return (("", value),)
    if isinstance(value, Mapping):
        return ((f"[{key!r}]", child) for key, child in value.items() if isinstance(child, Message))
    assert isinstance(value, Iterable), field.full_name
    return ((f"[{i}]", child) for i, child in enumerate(value) if isinstance(child, Message))
