"""Bodies to structs; whatever is wrong answers 400 with a pointer."""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Generic, NoReturn, Protocol, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from bihuan_gateway.body import parse
from bihuan_gateway.problem import MAX_ERRORS, pointer_of
from bihuan_shared.errors import FieldViolation, InvalidArgument

_PATH = re.compile(r" - at `(key in )?\$([^`]*)`$")
_STEP = re.compile(r"\[(\d+|\.\.\.)\]|\.([^.\[\]]+)")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`$", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`$", re.DOTALL)
ENCODER = msgspec.json.Encoder()
SORTED_ENCODER = msgspec.json.Encoder(order="deterministic")


class Checked(Protocol):
    """A body that knows what its types cannot say."""

    def breaches(self) -> Iterator[tuple[str, str]]:
        """Yield pointer and detail of what is wrong."""
        ...


T = TypeVar("T", bound=Checked)


def violation_of(message: str) -> FieldViolation:
    """Turn a message of msgspec into a violation whose field is a JSON pointer."""
    match = _PATH.search(message)
    detail = message[: match.start()] if match else message
    steps = [index or name for index, name in _STEP.findall(match.group(2))] if match else []
    for pattern, text in ((_UNKNOWN, "is not known here"), (_MISSING, "is required")):
        named = pattern.match(detail)
        if named:
            steps.append(named.group(1)[:64])
            detail = text
    return FieldViolation(pointer_of(steps), detail)


def _refuse(violation: FieldViolation) -> NoReturn:
    where = violation.field or "the body"
    raise InvalidArgument(f"{where}: {violation.description}", violation)


class BodyReader(Generic[T]):
    """
    Reads bodies of one type.

    `strict` also refuses what two parsers could read differently, duplicate names above all; without it (for long
    batches, where that costs too much) the last of two equal names counts.
    """

    def __init__(self, kind: type[T], *, strict: bool) -> None:
        self._decoder = msgspec.json.Decoder(kind)
        self._strict = strict

    async def read(self, request: Request) -> T:
        """Return the body (InvalidArgument)."""
        return self.decode(await raw_body(request))

    def decode(self, raw: bytes) -> T:
        """Return what a body says (InvalidArgument with at most 32 violations)."""
        if self._strict:
            parse(raw)
        try:
            body = self._decoder.decode(raw)
        except msgspec.DecodeError as error:
            _refuse(violation_of(str(error)))
        except UnicodeDecodeError:
            _refuse(FieldViolation("", "is not UTF-8"))
        except RecursionError:
            _refuse(FieldViolation("", "is nested too deep"))
        violations = [FieldViolation(*breach) for breach in islice(body.breaches(), MAX_ERRORS)]
        if violations:
            first = violations[0]
            raise InvalidArgument(f"{first.field}: {first.description}", *violations)
        return body


async def raw_body(request: Request) -> bytes:
    """Return the bytes of a body; a caller that went away sent nothing that could be used."""
    try:
        return await request.body()
    except ClientDisconnect:
        _refuse(FieldViolation("", "was not sent to its end"))


def json_response(body: msgspec.Struct) -> Response:
    """Answer 200 with a struct."""
    return Response(ENCODER.encode(body), media_type="application/json")
