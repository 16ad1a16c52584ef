"""Failures as RFC 9457 problem documents; the only place where an error becomes an HTTP answer."""

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import NotRequired, TypedDict

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from bihuan_shared.errors import BihuanError, FieldViolation, Internal, Unauthenticated
from bihuan_shared.rpc.status import http_status

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 32
_RETRY = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


class FieldError(BaseModel):
    """
    One field at fault.

    `pointer` is a JSON pointer (RFC 6901) into the body, or starts with `/query`, `/path` or `/header`.
    """

    pointer: str
    detail: str


class Problem(BaseModel):
    """An RFC 9457 problem document; `type` is `urn:bihuan:` and a reason that clients may switch on."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []


class ValidationItem(TypedDict):
    """One entry of a validation error, as pydantic lists it."""

    loc: Sequence[int | str]
    msg: str
    type: NotRequired[str]


def pointer_of(steps: Iterable[int | str]) -> str:
    """Write a path as a JSON pointer; no steps is the whole document."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def pointer_of_path(path: str) -> str:
    """Turn a path of a violation such as `items[3].value` into a JSON pointer; pointers stay as they are."""
    if path.startswith("/") or not path:
        return path
    return pointer_of(index or name for index, name in _STEP.findall(path))


def problem(
    status: int, reason: str, detail: str, errors: Sequence[FieldError] = (), headers: dict[str, str] | None = None
) -> JSONResponse:
    """Render one problem document."""
    content = {
        "type": f"urn:bihuan:{reason}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "errors": [error.model_dump() for error in errors[:MAX_ERRORS]],
    }
    extra = dict(headers or {})
    if status in _RETRY:
        extra.setdefault("retry-after", "1")
    return JSONResponse(content, status_code=status, headers=extra, media_type=MEDIA_TYPE)


def render(error: BihuanError) -> JSONResponse:
    """Render a typed error; what is internal leaves as nothing but its reason."""
    detail = "something inside failed" if isinstance(error, Internal) else error.detail
    headers = {"www-authenticate": "Bearer"} if isinstance(error, Unauthenticated) else None
    return problem(http_status(error), error.reason, detail, [_field_error(v) for v in error.violations], headers)


def _field_error(violation: FieldViolation) -> FieldError:
    return FieldError(pointer=pointer_of_path(violation.field), detail=violation.description)


def validation_errors(items: Iterable[ValidationItem]) -> list[FieldError]:
    """Turn pydantic's list into field errors; values of the caller are not repeated."""
    errors = []
    for item in items:
        source, *steps = item["loc"] or ("body",)
        where = steps if source == "body" else [source, *steps]
        if item.get("type") == "json_invalid":
            where = []
        errors.append(FieldError(pointer=pointer_of(where), detail=item["msg"]))
    return errors


def invalid(items: Iterable[ValidationItem]) -> JSONResponse:
    """Answer a request that breaks its schema."""
    errors = validation_errors(items)
    detail = f"{errors[0].pointer or 'the body'}: {errors[0].detail}" if errors else "the request is not valid"
    return problem(HTTPStatus.BAD_REQUEST, "INVALID_FIELD", detail, errors)


_HTTP_REASONS = {
    HTTPStatus.BAD_REQUEST: ("INVALID_FIELD", "the request cannot be read"),
    HTTPStatus.NOT_FOUND: ("NOT_FOUND", "there is nothing at this address"),
    HTTPStatus.METHOD_NOT_ALLOWED: ("METHOD_NOT_ALLOWED", "this address does not know the method"),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ("BODY_TOO_LARGE", "the body is too large"),
}


async def _on_bihuan_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, BihuanError)
    return render(error)


async def _on_validation_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return invalid(error.errors())


async def _on_http_exception(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    reason, detail = _HTTP_REASONS.get(
        HTTPStatus(error.status_code), (HTTPStatus(error.status_code).name, HTTPStatus(error.status_code).phrase)
    )
    return problem(error.status_code, reason, detail, headers=dict(error.headers or {}))


def install(app: FastAPI) -> None:
    """Make every failure of an application's routes a problem document."""
    app.add_exception_handler(BihuanError, _on_bihuan_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
