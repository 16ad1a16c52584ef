"""
Traces: W3C trace context from hop to hop, and OpenTelemetry spans where somebody collects them.

Spans exist only when `OTEL_EXPORTER_OTLP_ENDPOINT` is set (or a test passes an exporter). Otherwise the trace context
is carried along as the text that came in, so that log lines of one request share a trace id at next to no cost.
"""

import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags, Tracer

TRACEPARENT = "traceparent"
_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_PATTERN = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")

_traceparent: ContextVar[str | None] = ContextVar("bihuan_traceparent", default=None)


class _State:
    """What `configure` set; one a process."""

    provider: TracerProvider | None = None
    tracer: Tracer | None = None


def configure(service_name: str, *, exporter: SpanExporter | None = None) -> None:
    """
    Turns spans on for this process, if there is somewhere to send them.

    `exporter` gets each span as it ends; without one, spans go in batches to the OTLP endpoint of the environment, and
    where there is none, nothing is created at all. A second call replaces the first.
    """
    shutdown()
    if exporter is None and not os.environ.get(_ENDPOINT):
        return
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service_name}), shutdown_on_exit=False)
    if exporter is not None:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    else:
        # Only here, because the exporter brings a gRPC stack of its own that most processes never need.
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _State.provider, _State.tracer = provider, provider.get_tracer("bihuan")


def shutdown() -> None:
    """Sends what is left and turns spans off."""
    provider, _State.provider, _State.tracer = _State.provider, None, None
    if provider is not None:
        provider.shutdown()


def tracer() -> Tracer | None:
    """The tracer, or None where spans are off."""
    return _State.tracer


def receive(traceparent: str | None) -> None:
    """Takes over the trace context of an incoming call for the rest of this task; ill-formed text counts as none."""
    valid = traceparent is not None and _PATTERN.fullmatch(traceparent) is not None
    _traceparent.set(traceparent if valid else None)


def current_traceparent() -> str:
    """The trace context to send on; a new trace begins where there is none."""
    if _State.tracer is not None:
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
    known = _traceparent.get()
    if known is None:
        known = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-{1 if _State.tracer is not None else 0:02x}"
        _traceparent.set(known)
    return known


def trace_id() -> str | None:
    """The running trace as 32 hex digits, or None where there is none."""
    if _State.tracer is not None:
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            return f"{context.trace_id:032x}"
    known = _traceparent.get()
    return None if known is None else known[3:35]


@contextmanager
def server_span(name: str, traceparent: str | None, attributes: Mapping[str, str] | None = None) -> Iterator[Span]:
    """
    A span around the handling of one incoming request, child of the caller's; exceptions mark it as failed.

    Where spans are off, only the trace context is taken over, and the span given records nothing.
    """
    receive(traceparent)
    if _State.tracer is None:
        yield trace.INVALID_SPAN
        return
    with _State.tracer.start_as_current_span(
        name, context=_parent(), kind=SpanKind.SERVER, attributes=dict(attributes or {})
    ) as span:
        yield span


@contextmanager
def client_span(name: str, attributes: Mapping[str, str] | None = None) -> Iterator[Span]:
    """A span around one outgoing call, child of the running span."""
    if _State.tracer is None:
        yield trace.INVALID_SPAN
        return
    with _State.tracer.start_as_current_span(name, kind=SpanKind.CLIENT, attributes=dict(attributes or {})) as span:
        yield span


def _parent() -> Context:
    match = _PATTERN.fullmatch(_traceparent.get() or "")
    if match is None:
        return Context()
    remote = SpanContext(
        int(match[1], 16), int(match[2], 16), is_remote=True, trace_flags=TraceFlags(int(match[3], 16) & 1)
    )
    return trace.set_span_in_context(NonRecordingSpan(remote), Context())
