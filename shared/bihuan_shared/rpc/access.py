"""
Who may call what: default deny by the method option `callers`, and what a partner may send and receive.

Partners name persons by their own pseudonym only. A partner's request with a person id anywhere is refused; its tokens
become person ids before the handler sees them, and person ids its tokens before the answer leaves. A server that was
given no `PersonTokens` refuses what would need them, before anything runs, so that a refusal has no effects.
"""

from collections.abc import Iterable, Mapping

from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message

from bihuan.common.v1 import options_pb2
from bihuan_shared.callers import Caller, Role
from bihuan_shared.errors import FieldViolation, NotYet, PermissionDenied
from bihuan_shared.person_tokens import PersonTokens
from bihuan_shared.rpc.pseudonymity import INTERNAL_ENDINGS, TOKEN_ENDINGS, Pseudonymity, reaches

_ROLES = {options_pb2.CALLER_ROLE_INTERNAL: Role.INTERNAL, options_pb2.CALLER_ROLE_PARTNER: Role.PARTNER}


class Access:
    """The access rules of one method, read from its descriptor once; `tokens` None means that there are none here."""

    def __init__(self, method: MethodDescriptor, tokens: PersonTokens | None = None) -> None:
        listed = method.GetOptions().Extensions[options_pb2.callers]
        self.roles = frozenset(_ROLES[role] for role in listed if role in _ROLES)
        self._full_name = method.full_name
        self._tokens = tokens
        self._request_names_person = reaches(method.input_type, INTERNAL_ENDINGS + TOKEN_ENDINGS)
        self._requests = Pseudonymity(method.input_type)
        self._responses = Pseudonymity(method.output_type)

    def check_role(self, caller: Caller) -> None:
        """Raises PermissionDenied unless the method lists the caller's role."""
        if caller.role not in self.roles:
            raise PermissionDenied(f"{caller.role} callers may not call {self._full_name}")

    def check_request(self, caller: Caller, request: Message) -> None:
        """
        Holds a partner to its pseudonyms; internal callers pass.

        Raises PermissionDenied (PERSON_ID_FORBIDDEN), and NotYet where persons are named and no tokens exist.
        """
        if caller.role is Role.INTERNAL:
            return
        if self._request_names_person:
            path = find_set(request, INTERNAL_ENDINGS)
            if path is not None:
                violation = FieldViolation(path, "partners name persons by person_token")
                raise PermissionDenied(
                    f"{path}: partners name persons by person_token", violation, reason="PERSON_ID_FORBIDDEN"
                )
            if self._tokens is None and find_set(request, TOKEN_ENDINGS) is not None:
                raise NotYet("person tokens are not known here")
        if self._tokens is None and self._responses.concerned:
            raise NotYet(f"{self._full_name} answers partners where person tokens are known")

    async def open_request(self, partner: Caller, request: Message) -> None:
        """
        Put person ids in place of a partner's tokens, after the request was checked and validated.

        Raises PermissionDenied (PARTNER_NOT_ALLOWED) before the method runs where its answer could name persons to a
        partner that may get no tokens, and what `Pseudonymity.open_tokens` raises.
        """
        if self._tokens is None:
            return
        if self._responses.concerned:
            await self._tokens.admit(partner.name)
        if self._requests.concerned:
            await self._requests.open_tokens(self._tokens, partner.name, request)

    async def close_response(self, partner: Caller, response: Message) -> Message:
        """Return what a partner gets in place of this answer: its own tokens, no person id, nothing internal."""
        if self._tokens is None or not self._responses.concerned:
            return response
        return await self._responses.close_ids(self._tokens, partner.name, response)


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
