"""The edge of the gateway: what holds for every request, whichever route it meets."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import TracebackType

import structlog
from opentelemetry.trace import Span, StatusCode
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bihuan_gateway import metrics
from bihuan_gateway.auth import Authenticator, put_principal
from bihuan_gateway.problem import problem, render
from bihuan_shared import telemetry
from bihuan_shared.clock import REPLAY_TIME_KEY, parse_rfc3339_us, reset_replay_time, set_replay_time_us
from bihuan_shared.errors import BihuanError, DeadlineExceeded, InvalidArgument, ResourceExhausted
from bihuan_shared.rpc.deadline import deadline_scope

_log = structlog.stdlib.get_logger(__name__)
_levels = logging.getLogger(__name__)
_TOO_LARGE = 413
_REFUSED = 400
_FAILED = 500
_SLOW_S = 1.0
_UNKNOWN_ROUTE = "unmatched"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class EdgeRules:
    """
    What the edge holds requests to.

    Paths under `public` need no key; paths in `lists` may bring long member lists and take longer, as those do that end
    in one of `exports`. Routes in `hot`, by template, are in the access log at level INFO only where they fail or are
    slow.
    """

    replay: bool
    public: tuple[str, ...]
    lists: Collection[str]
    max_body_bytes: int
    max_list_body_bytes: int
    timeout_s: float
    list_timeout_s: float
    max_in_flight: int
    hot: Collection[str] = ()
    exports: tuple[str, ...] = ()

    def is_public(self, path: str) -> bool:
        """Tell whether a path is open to everyone."""
        return any(path == prefix or path.startswith(f"{prefix}/") for prefix in self.public)


class ReplayTime(AbstractContextManager[None]):
    """Takes over the time that a request of a replay brings (InvalidArgument)."""

    def __init__(self, text: str) -> None:
        try:
            self._time_us = parse_rfc3339_us(text)
        except ValueError as error:
            raise InvalidArgument.of(f"/header/{REPLAY_TIME_KEY}", str(error)) from None

    def __enter__(self) -> None:
        self._token = set_replay_time_us(self._time_us)

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        reset_replay_time(self._token)


def _replay_time(headers: Headers, *, allowed: bool) -> AbstractContextManager[None]:
    text = headers.get(REPLAY_TIME_KEY)
    if text is None:
        return nullcontext()
    if not allowed:
        raise InvalidArgument(f"{REPLAY_TIME_KEY} is for replays only", reason="REPLAY_TIME_REFUSED")
    return ReplayTime(text)


def _limited(receive: Receive, headers: Headers, max_bytes: int) -> Receive:
    declared = headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and (len(declared) > 15 or int(declared) > max_bytes):  # noqa: PLR2004
        raise HTTPException(_TOO_LARGE)
    seen = 0

    async def limited() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > max_bytes:
            raise HTTPException(_TOO_LARGE)
        return message

    return limited


def route_template(scope: Scope) -> str:
    """Name the route that a request met by its template; requests that met none share one name."""
    path = getattr(scope.get("route"), "path_format", None)
    return path if isinstance(path, str) else _UNKNOWN_ROUTE


class Edge:
    """
    ASGI middleware in front of every route.

    Adds the trace, the deadline, the replay time, the size limit, the principal, the access log (route templates only)
    and the metrics; turns whatever fails into a problem document.
    """

    def __init__(self, app: ASGIApp, *, rules: EdgeRules, authenticator: Callable[[], Authenticator]) -> None:
        self._app = app
        self._rules = rules
        self._authenticator = authenticator
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; lifespan events pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = _FAILED
        answered = False

        async def watched(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], True
            await send(message)

        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        with telemetry.server_span(method, Headers(scope=scope).get(telemetry.TRACEPARENT)) as span:
            self._in_flight += 1
            try:
                await self._serve(scope, receive, watched)
            except Exception as error:
                if answered:
                    raise
                await self._fail(error, scope, receive, watched)
            finally:
                self._in_flight -= 1
                self._note(scope, method, status, time.perf_counter() - started, span)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        rules, headers, path = self._rules, Headers(scope=scope), scope["path"]
        is_list = path in rules.lists
        timeout_s = rules.list_timeout_s if is_list or path.endswith(rules.exports) else rules.timeout_s
        limited = _limited(receive, headers, rules.max_list_body_bytes if is_list else rules.max_body_bytes)
        if self._in_flight > rules.max_in_flight:
            raise ResourceExhausted("too many requests are under way")
        try:
            with _replay_time(headers, allowed=rules.replay), deadline_scope(timeout_s):
                async with asyncio.timeout(timeout_s):
                    if not rules.is_public(path):
                        put_principal(scope, await self._authenticator().authenticate(headers.get("authorization")))
                    await self._app(scope, limited, send)
        except TimeoutError:
            raise DeadlineExceeded("the request took too long") from None

    async def _fail(self, error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
        if isinstance(error, BihuanError):
            response = render(error)
        elif isinstance(error, HTTPException) and error.status_code == _TOO_LARGE:
            response = problem(_TOO_LARGE, "BODY_TOO_LARGE", "the body is too large", headers={"connection": "close"})
        else:
            _log.error("request failed", route=route_template(scope), exc_info=error)
            response = problem(_FAILED, "INTERNAL", "something inside failed")
        await response(scope, receive, send)

    def _note(self, scope: Scope, method: str, status: int, duration_s: float, span: Span) -> None:
        route = route_template(scope)
        metrics.HTTP_REQUESTS.labels(method, route, str(status)).inc()
        metrics.HTTP_DURATION.labels(route).observe(duration_s)
        if span.is_recording():
            span.update_name(f"{method} {route}")
            span.set_attributes(
                {"http.request.method": method, "http.route": route, "http.response.status_code": status}
            )
            if status >= _FAILED:
                span.set_status(StatusCode.ERROR)
        usual = route in self._rules.hot and status < _REFUSED and duration_s <= _SLOW_S
        # Asked first: structlog forms a whole line before it learns that nobody wants it.
        if not usual or _levels.isEnabledFor(logging.DEBUG):
            note = _log.debug if usual else _log.info
            note("request", method=method, route=route, status=status, duration_ms=round(duration_s * 1000, 2))
