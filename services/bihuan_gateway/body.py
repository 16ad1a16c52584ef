"""JSON bodies, read strictly: what two parsers could read differently is refused."""

import json
import re
from collections.abc import Callable, Coroutine
from typing import NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute

from bihuan_gateway.problem import pointer_of
from bihuan_shared.errors import FieldViolation, InvalidArgument

MAX_DEPTH = 32
_MAX_FLOAT_DIGITS = 64
_WITH_BODY = frozenset({"POST", "PATCH", "PUT"})
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_OPENING = frozenset(b"[{")
_SURROGATES = range(0xD800, 0xE000)


def _refuse(pointer: str, detail: str) -> NoReturn:
    raise InvalidArgument(f"the body is not acceptable JSON: {detail}", FieldViolation(pointer, detail))


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                _refuse(pointer_of([name]), "the name stands twice in one object")
            seen.add(name)
    return found


def _constant(name: str) -> NoReturn:
    _refuse("", f"{name} is no JSON")


def _float(text: str) -> float:
    value = float(text) if len(text) <= _MAX_FLOAT_DIGITS else float("inf")
    if value in {float("inf"), float("-inf")}:
        _refuse("", "a number is out of range")
    return value


def _int(text: str) -> int:
    if len(text) > 19:  # noqa: PLR2004 - no 64-bit integer has more digits, sign aside
        value = int(text) if len(text) == 20 else 0  # noqa: PLR2004
        if not -(2**63) <= value < 2**63 or value == 0:
            _refuse("", "an integer is out of range")
        return value
    return int(text)


def _check_depth(raw: bytes) -> None:
    depth = 0
    for bracket in _STRING.sub(b"", raw).translate(None, delete=_NO_BRACKETS):
        depth += 1 if bracket in _OPENING else -1
        if depth > MAX_DEPTH:
            _refuse("", f"nested deeper than {MAX_DEPTH}")


def _check_texts(value: object, steps: tuple[int | str, ...] = ()) -> None:
    if isinstance(value, str):
        if "\0" in value or any(ord(character) in _SURROGATES for character in value):
            _refuse(pointer_of(steps), "holds a character that is no text")
    elif isinstance(value, dict):
        for name, item in value.items():
            _check_texts(name, (*steps, name.encode("ascii", "replace").decode().replace("\0", "?")))
            _check_texts(item, (*steps, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_texts(item, (*steps, index))


def parse(raw: bytes) -> object:
    """
    Parse a JSON body.

    Refuses (InvalidArgument) what is not UTF-8 JSON, NaN and infinities, numbers beyond 64 bits, duplicate names,
    nesting deeper than 32, lone surrogates and NUL characters.
    """
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH:
        _check_depth(raw)
    try:
        parsed: object = json.loads(
            raw.decode(), object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_int
        )
    except UnicodeDecodeError:
        _refuse("", "not UTF-8")
    except json.JSONDecodeError as error:
        _refuse("", f"{error.msg} at character {error.pos}")
    except RecursionError:
        _refuse("", f"nested deeper than {MAX_DEPTH}")
    if b"\\u" in raw or b"\0" in raw:
        _check_texts(parsed)
    return parsed


class StrictRequest(Request):
    """A request whose body was parsed by `parse` before its route asks for it."""

    _parsed: object = None

    async def prepare(self) -> None:
        """Read and parse the body (InvalidArgument)."""
        raw = await self.body()
        self._parsed = parse(raw) if raw else None

    async def json(self) -> object:
        """Return the parsed body."""
        return self._parsed


class StrictRoute(APIRoute):
    """A route whose JSON body is read strictly. Use it as the `route_class` of a router."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[None, None, Response]]:
        """Hand the route a strict request; parsing before FastAPI does keeps the type of a failure."""
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            strict_request = StrictRequest(request.scope, request.receive)
            if request.method in _WITH_BODY:
                await strict_request.prepare()
            return await handle(strict_request)

        return strict
