"""
What a partner's messages look like on this side of the wire: its tokens become person ids, and person ids its tokens.

The rules are read from the descriptors once. In any message, `x_person_id` and `x_person_token` (or both in the
plural) are two names of one person. A person id that has no such sibling, and every sighting id, is for internal
callers only and is taken out of what a partner gets; so a field that is added later is hidden until it has a token.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from bihuan_shared.errors import FailedPrecondition, FieldViolation, InvalidArgument
from bihuan_shared.person_tokens import PersonTokens, TokenHolder, TokenStatus

ID_ENDINGS: Final = ("person_id", "person_ids")
TOKEN_ENDINGS: Final = ("person_token", "person_tokens")
INTERNAL_ENDINGS: Final = (*ID_ENDINGS, "sighting_id", "sighting_ids")
_MAX_VIOLATIONS: Final = 32
_FAULTS: Final = {
    TokenStatus.INVALID: "is not a token of this partner",
    TokenStatus.EXPIRED: "is of a key that is retired or revoked",
    TokenStatus.WITHDRAWN: "stands for a person that was erased or opted out",
}


@dataclass(frozen=True, slots=True)
class _Names:
    """One person, or several, in a message: the two fields that may hold it."""

    ids: str
    tokens: str
    repeated: bool
    explicit: bool
    """Whether an empty token differs from none, as in a oneof."""


@dataclass(slots=True)
class _Shape:
    """Where persons stand in one message type."""

    names: list[_Names] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    children: list["_Child"] = field(default_factory=list)


class _Child(NamedTuple):
    """A field that holds messages of a shape: one, a list, or a map of them."""

    name: str
    shape: _Shape
    repeated: bool
    keyed: bool


class _Part(NamedTuple):
    """One message inside of another, with the path that leads to it (empty, or with a dot at its end)."""

    message: Message
    shape: _Shape
    path: str


class Pseudonymity:
    """The translation of the messages of one type; `concerned` is False where no person can stand in them."""

    __slots__ = ("_shape", "concerned")

    def __init__(self, message: Descriptor) -> None:
        self._shape = _shape_of(message, {})
        self.concerned = reaches(message, INTERNAL_ENDINGS)

    async def open_tokens(self, tokens: PersonTokens, partner: str, request: Message) -> None:
        """
        Put person ids in place of the tokens of a request.

        Raises InvalidArgument (TOKEN_INVALID, TOKEN_EXPIRED) or FailedPrecondition (PERSON_ERASED) with the path of
        every token at fault, up to 32, and what `resolve` raises. Nothing of the request is used then.
        """
        named = [(part, names, _texts(part.message, names)) for part, names in self._names_in(request)]
        wanted = dict.fromkeys(text for _, _, texts in named for text in texts)
        if not wanted:
            return
        found = await tokens.resolve(partner, list(wanted))
        _refuse_faults(found, named)
        for part, names, texts in named:
            if names.repeated:
                getattr(part.message, names.ids).extend(found[text].person_id for text in texts)
                part.message.ClearField(names.tokens)
            elif texts:
                part.message.ClearField(names.tokens)
                setattr(part.message, names.ids, found[texts[0]].person_id)

    async def close_ids(self, tokens: PersonTokens, partner: str, response: Message) -> Message:
        """
        Return a copy of the response with the partner's tokens in place of person ids, and without internal fields.

        A person without a token is left out. Raises what `issue` raises.
        """
        answer = type(response)()
        answer.CopyFrom(response)
        named = [(part, names, _ids(part.message, names)) for part, names in self._names_in(answer)]
        wanted = dict.fromkeys(person_id for _, _, ids in named for person_id in ids)
        issued = await tokens.issue(partner, list(wanted)) if wanted else {}
        for part, names, ids in named:
            texts = [issued[person_id] for person_id in ids if person_id in issued]
            part.message.ClearField(names.ids)
            if names.repeated:
                getattr(part.message, names.tokens).extend(texts)
            elif texts:
                setattr(part.message, names.tokens, texts[0])
        for part in _parts(_Part(answer, self._shape, "")):
            for name in part.shape.hidden:
                part.message.ClearField(name)
        return answer

    def _names_in(self, message: Message) -> list[tuple[_Part, _Names]]:
        return [(part, names) for part in _parts(_Part(message, self._shape, "")) for names in part.shape.names]


def reaches(message: Descriptor, endings: tuple[str, ...]) -> bool:
    """Whether a field whose name ends so can stand anywhere inside of the message."""
    seen: set[str] = set()
    waiting = [message]
    while waiting:
        current = waiting.pop()
        if current.full_name in seen:
            continue
        seen.add(current.full_name)
        for one in current.fields:
            if one.name.endswith(endings):
                return True
            if one.message_type is not None:
                waiting.append(one.message_type)
    return False


def _shape_of(message: Descriptor, shapes: dict[str, _Shape]) -> _Shape:
    known = shapes.get(message.full_name)
    if known is not None:
        return known
    shape = shapes[message.full_name] = _Shape()
    for one in message.fields:
        if one.message_type is not None:
            if reaches(one.message_type, INTERNAL_ENDINGS):
                keyed = one.message_type.GetOptions().map_entry
                content = one.message_type.fields_by_name["value"].message_type if keyed else one.message_type
                assert content is not None, "an entry whose value is no message reaches no person"
                shape.children.append(_Child(one.name, _shape_of(content, shapes), one.is_repeated, keyed))
        elif one.name.endswith(INTERNAL_ENDINGS):
            sibling = message.fields_by_name.get(one.name.replace("person_id", "person_token"))
            if sibling is None or sibling is one:
                shape.hidden.append(one.name)
            else:
                shape.names.append(_Names(one.name, sibling.name, one.is_repeated, sibling.has_presence))
    return shape


def _parts(part: _Part) -> Iterator[_Part]:
    """The message and every message inside of it."""
    yield part
    for name, shape, repeated, keyed in part.shape.children:
        value = getattr(part.message, name)
        if keyed:
            for key, child in value.items():
                yield from _parts(_Part(child, shape, f"{part.path}{name}[{key!r}]."))
        elif repeated:
            for at, child in enumerate(value):
                yield from _parts(_Part(child, shape, f"{part.path}{name}[{at}]."))
        elif part.message.HasField(name):
            yield from _parts(_Part(value, shape, f"{part.path}{name}."))


def _texts(message: Message, names: _Names) -> Sequence[str]:
    value = getattr(message, names.tokens)
    if names.repeated:
        return list(value)
    return [value] if value or (names.explicit and message.HasField(names.tokens)) else []


def _ids(message: Message, names: _Names) -> Sequence[int]:
    value = getattr(message, names.ids)
    if names.repeated:
        return list(value)
    return [value] if value else []


def _refuse_faults(found: Mapping[str, TokenHolder], named: Sequence[tuple[_Part, _Names, Sequence[str]]]) -> None:
    violations: list[FieldViolation] = []
    worst = TokenStatus.RESOLVED
    for part, names, texts in named:
        for at, text in enumerate(texts):
            status = found[text].status
            if status is not TokenStatus.RESOLVED:
                worst = status if worst is TokenStatus.RESOLVED else worst
                place = f"{part.path}{names.tokens}" + (f"[{at}]" if names.repeated else "")
                violations.append(FieldViolation(place, _FAULTS[status]))
    if not violations:
        return
    detail = f"{violations[0].field}: {violations[0].description}"
    if worst is TokenStatus.WITHDRAWN:
        raise FailedPrecondition(detail, *violations[:_MAX_VIOLATIONS], reason="PERSON_ERASED")
    raise InvalidArgument(detail, *violations[:_MAX_VIOLATIONS], reason=f"TOKEN_{worst.name}")
