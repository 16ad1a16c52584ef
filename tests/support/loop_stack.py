"""A whole stack as a test starts and reaches it: `bihuan up` as a process, with a collector for its spans."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import httpx
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2

from bihuan_cli.stack.layout import RunningStack, StateFolder
from bihuan_cli.stack.secrets import StackSecrets, load_or_create

START_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Span:
    """A span as it was exported."""

    service: str
    name: str
    trace_id: bytes
    span_id: bytes
    parent_id: bytes


class SpanCollector(trace_service_pb2_grpc.TraceServiceServicer):
    """An OTLP receiver that keeps what arrives."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._arrived = threading.Condition()
        self.target = ""

    def Export(  # noqa: N802 - the name of the RPC
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        with self._arrived:
            for resource in request.resource_spans:
                service = _attribute(resource, "service.name").removeprefix("bihuan-")
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        found = Span(service, span.name, span.trace_id, span.span_id, span.parent_span_id)
                        self._spans.append(found)
            self._arrived.notify_all()
        return trace_service_pb2.ExportTraceServiceResponse()

    def wait_for_trace(self, root_name: str, services: set[str], timeout_s: float = 20.0) -> list[Span]:
        """The spans of a trace that has a span of this name and touches all of `services`."""
        with self._arrived:
            found = self._arrived.wait_for(lambda: self._trace(root_name, services), timeout_s)
            assert found, f"no trace of {root_name} through {services}; have {self._seen()}"
            return found

    def _trace(self, root_name: str, services: set[str]) -> list[Span] | None:
        for root in self._spans:
            if root.name == root_name:
                trace = [span for span in self._spans if span.trace_id == root.trace_id]
                if services <= {span.service for span in trace}:
                    return trace
        return None

    def _seen(self) -> set[tuple[str, str]]:
        return {(span.service, span.name) for span in self._spans}


def _attribute(resource: trace_pb2.ResourceSpans, name: str) -> str:
    return next((item.value.string_value for item in resource.resource.attributes if item.key == name), "")


@dataclass(slots=True)
class Stack:
    """A stack that runs, as a test reaches it."""

    state: Path
    process: subprocess.Popen[bytes]
    spans: SpanCollector
    environment: dict[str, str] = field(default_factory=dict)
    clients: list[httpx.Client] = field(default_factory=list)

    @property
    def running(self) -> RunningStack:
        running = RunningStack.read(StateFolder(self.state).stack)
        assert running is not None
        return running

    @property
    def secrets(self) -> StackSecrets:
        return load_or_create(StateFolder(self.state).secrets)

    @property
    def url(self) -> str:
        return self.running.gateway_url

    def client(self) -> httpx.Client:
        headers = {"authorization": f"Bearer {self.secrets.admin_key}"}
        client = httpx.Client(base_url=self.url, headers=headers, timeout=30)
        self.clients.append(client)
        return client

    def close_clients(self) -> None:
        for client in self.clients:
            client.close()

    def kill(self) -> None:
        """End the command without a chance to clean up; its children are for the kernel."""
        self.process.kill()
        self.process.wait()
        self.close_clients()

    def stop(self) -> int:
        self.close_clients()
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


def start_stack(state: Path, spans: SpanCollector, environment: dict[str, str], *options: str) -> Stack:
    """Run `bihuan up` and return when it says that it is up."""
    state.mkdir(parents=True, exist_ok=True)
    said = state / "up.log"
    with said.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "bihuan_cli", "up", "--state", str(state), *options],
            env=os.environ | environment,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    start, deadline_s = said.stat().st_size, time.monotonic() + START_TIMEOUT_S
    while "Ctrl-C" not in said.read_text()[start:]:
        if process.poll() is not None or time.monotonic() > deadline_s:
            process.kill()
            process.wait()
            logs = "\n".join(f"{log.name}: {log.read_text()[-1500:]}" for log in (state / "logs").glob("*.log"))
            raise AssertionError(f"bihuan up did not come up: {said.read_text()}\n{logs}")
        time.sleep(0.05)
    return Stack(state, process, spans, environment)
