"""
What happens around every handler, in one piece, because the price of a call is the layers around it.

In order: the bound on calls in flight, the caller and its role, the deadline, the replay time, parsing, the partner
rules, the field rules, a partner's tokens in its request, the handler, the partner's tokens in the answer; then one
place where every failure becomes a typed status, is counted and timed.
Handlers are wrapped once, when they are registered.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import grpc
import structlog
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from opentelemetry.trace import Span

from bihuan_shared import metrics, telemetry
from bihuan_shared.callers import Caller, CallerRegistry, Role, set_caller
from bihuan_shared.clock import REPLAY_TIME_KEY, Clock, ReplayClock, parse_rfc3339_us, set_replay_time_us
from bihuan_shared.errors import (
    BihuanError,
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    NotYet,
    PermissionDenied,
    ResourceExhausted,
)
from bihuan_shared.person_tokens import PersonTokens
from bihuan_shared.rpc.access import Access
from bihuan_shared.rpc.deadline import DEFAULT_TIMEOUT_S, set_deadline_in
from bihuan_shared.rpc.status import DETAILS_KEY, grpc_code, to_grpc_status, wire_detail
from bihuan_shared.rpc.validation import Validator

Context = grpc.aio.ServicerContext[bytes, Message]

_log = structlog.get_logger("bihuan.rpc")


@dataclass(slots=True)
class Runtime:
    """What all methods of one server share. `in_flight` counts the calls that run now."""

    registry: CallerRegistry
    clock: Clock
    max_in_flight: int
    tokens: PersonTokens | None = None
    in_flight: int = 0
    validator: Validator = field(default_factory=Validator)


class Method:
    """One method of the contract and everything that is known about it before the first call."""

    def __init__(self, descriptor: MethodDescriptor, runtime: Runtime) -> None:
        self.name = f"{descriptor.containing_service.full_name}/{descriptor.name}"
        self.runtime = runtime
        self.access = Access(descriptor, runtime.tokens)
        self.parse: Callable[[bytes], Message] = GetMessageClass(descriptor.input_type).FromString
        self.duration = metrics.RPC_SERVER_DURATION.labels(self.name)
        self._counts = {code: metrics.RPC_SERVER_REQUESTS.labels(self.name, code.name) for code in grpc.StatusCode}
        self.span_attributes = {
            "rpc.system": "grpc",
            "rpc.service": descriptor.containing_service.full_name,
            "rpc.method": descriptor.name,
        }
        runtime.validator.prepare(descriptor.input_type)

    def count(self, code: grpc.StatusCode) -> None:
        """Notes one answer."""
        self._counts[code].inc()


class Call:
    """One call on its way through: enter, `admit`, `read` each message, run the handler, leave."""

    __slots__ = ("_caller", "_context", "_metadata", "_method", "_span", "_span_scope", "_start", "_timeout")

    def __init__(self, method: Method, context: Context) -> None:
        self._method = method
        self._context = context
        self._metadata: Mapping[str, str | bytes] = {}
        self._caller: Caller | None = None
        self._span_scope: AbstractContextManager[Span] | None = None
        self._span: Span | None = None

    async def __aenter__(self) -> Self:
        self._start = time.perf_counter()
        self._method.runtime.in_flight += 1
        self._metadata = dict(self._context.invocation_metadata() or ())
        left: float | None = self._context.time_remaining()  # the stubs forget calls without a deadline
        timeout_s = DEFAULT_TIMEOUT_S if left is None else left
        set_deadline_in(timeout_s)
        traceparent = self._text(telemetry.TRACEPARENT)
        if telemetry.tracer() is None:
            telemetry.receive(traceparent)
        else:
            method = self._method
            self._span_scope = telemetry.server_span(method.name, traceparent, method.span_attributes)
            self._span = self._span_scope.__enter__()
        self._timeout = asyncio.timeout(timeout_s)
        await self._timeout.__aenter__()
        return self

    def admit(self) -> None:
        """Decides whether the call may run at all; reads nothing of its request."""
        runtime = self._method.runtime
        if runtime.in_flight > runtime.max_in_flight:
            raise ResourceExhausted("too many calls are in flight")
        caller = runtime.registry.authenticate(self._text("authorization"))
        self._method.access.check_role(caller)
        set_caller(caller)
        self._caller = caller
        replay_time = self._text(REPLAY_TIME_KEY)
        if replay_time is not None:
            self._replay(replay_time, caller)

    async def read(self, raw: bytes) -> Message:
        """Parses and judges one message of the request; a partner's tokens in it become person ids."""
        assert self._caller is not None, "admit comes first"
        try:
            request = self._method.parse(raw)
        except DecodeError as error:
            raise InvalidArgument("the request is not a message of this method") from error
        self._method.access.check_request(self._caller, request)
        self._method.runtime.validator.validate(request)
        if self._caller.role is Role.PARTNER:
            await self._method.access.open_request(self._caller, request)
        return request

    async def answer(self, response: Message) -> Message:
        """What the caller gets in place of one message of the handler's: a partner sees its own pseudonyms."""
        assert self._caller is not None, "admit comes first"
        if self._caller.role is Role.PARTNER:
            return await self._method.access.close_response(self._caller, response)
        return response

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            error = DeadlineExceeded("the deadline of the call passed")
        try:
            if error is None:
                self._finish(grpc.StatusCode.OK)
            elif isinstance(error, asyncio.CancelledError | GeneratorExit):
                self._finish(grpc.StatusCode.CANCELLED)
            elif isinstance(error, Exception):
                await self._fail(error)
        finally:
            self._method.runtime.in_flight -= 1

    async def _fail(self, error: Exception) -> None:
        if isinstance(error, grpc.aio.AbortError):  # the handler chose its status itself
            self._finish(grpc.StatusCode(self._context.code()))
            return
        known = error if isinstance(error, BihuanError) else Internal("the service failed inside")
        trace_id = telemetry.trace_id()
        if isinstance(known, Internal):
            telemetry.current_traceparent()
            trace_id = telemetry.trace_id()
            _log.error("call failed", method=self._method.name, exc_info=error)
        code = grpc_code(known)
        self._finish(code)
        status = to_grpc_status(known, trace_id=trace_id)
        await self._context.abort(code, wire_detail(known), ((DETAILS_KEY, status.SerializeToString()),))

    def _finish(self, code: grpc.StatusCode) -> None:
        self._method.count(code)
        self._method.duration.observe(time.perf_counter() - self._start)
        if self._span is not None and self._span_scope is not None:
            self._span.set_attribute("rpc.grpc.status_code", code.value[0])
            if self._caller is not None:
                self._span.set_attribute("bihuan.caller", self._caller.name)
            self._span_scope.__exit__(None, None, None)
            self._span = self._span_scope = None

    def _replay(self, text: str, caller: Caller) -> None:
        runtime = self._method.runtime
        if not isinstance(runtime.clock, ReplayClock):
            raise InvalidArgument(f"{REPLAY_TIME_KEY} is only taken in replay", reason="REPLAY_TIME_REFUSED")
        if caller.role is not Role.INTERNAL:
            raise PermissionDenied(f"{caller.role} callers may not set {REPLAY_TIME_KEY}")
        try:
            set_replay_time_us(parse_rfc3339_us(text))
        except ValueError as error:
            raise InvalidArgument.of(REPLAY_TIME_KEY, str(error)) from error

    def _text(self, key: str) -> str | None:
        value = self._metadata.get(key)
        return value if isinstance(value, str) else None


def wrap(
    handler: "grpc.RpcMethodHandler[Message, Message]", descriptor: MethodDescriptor, runtime: Runtime
) -> "grpc.RpcMethodHandler[bytes, Message]":
    """The handler with the whole pipeline around it; it takes raw bytes, so that parsing fails as typed as the rest."""
    method = Method(descriptor, runtime)
    shape = ("stream" if descriptor.client_streaming else "unary", "stream" if descriptor.server_streaming else "unary")
    behaviour = getattr(handler, "_".join(shape))
    if getattr(behaviour, "__module__", "").endswith("_pb2_grpc"):
        behaviour = _not_yet(method.name)
    make = _streaming if descriptor.server_streaming else _single
    register = getattr(grpc, f"{'_'.join(shape)}_rpc_method_handler")
    wrapped: grpc.RpcMethodHandler[bytes, Message] = register(
        make(method, behaviour, client_streaming=descriptor.client_streaming),
        request_deserializer=None,
        response_serializer=handler.response_serializer,
    )
    return wrapped


def _not_yet(name: str) -> Callable[[object, Context], Awaitable[Message]]:
    async def behaviour(_request: object, _context: Context) -> Message:
        raise NotYet(f"{name} is not built yet")

    return behaviour


async def _messages(call: Call, raw: AsyncIterator[bytes]) -> AsyncIterator[Message]:
    async for one in raw:
        yield await call.read(one)


def _single(
    method: Method, behaviour: Callable[[object, Context], Awaitable[Message]], *, client_streaming: bool
) -> Callable[[object, Context], Awaitable[Message]]:
    if client_streaming:

        async def take_stream(raw: AsyncIterator[bytes], context: Context) -> Message:
            async with Call(method, context) as call:
                call.admit()
                return await call.answer(await behaviour(_messages(call, raw), context))
            raise AssertionError("leaving a call with an error aborts it")

        return take_stream  # type: ignore[return-value]  # grpc gives a stream where it was told of one

    async def take_one(raw: bytes, context: Context) -> Message:
        async with Call(method, context) as call:
            call.admit()
            return await call.answer(await behaviour(await call.read(raw), context))
        raise AssertionError("leaving a call with an error aborts it")

    return take_one  # type: ignore[return-value]  # as above


def _streaming(
    method: Method, behaviour: Callable[[object, Context], object], *, client_streaming: bool
) -> Callable[[object, Context], AsyncIterator[Message]]:
    async def give_stream(raw: object, context: Context) -> AsyncIterator[Message]:
        async with Call(method, context) as call:
            call.admit()
            request = _messages(call, raw) if client_streaming else await call.read(raw)  # type: ignore[arg-type]  # as above
            answer = behaviour(request, context)
            if isinstance(answer, AsyncIterator):
                async for message in answer:
                    yield await call.answer(message)
            else:  # a coroutine that writes to the context, as the unbuilt ones are
                await answer  # type: ignore[misc]  # what is not an iterator is awaitable

    return give_stream
