"""One whole stack for every end-to-end test of a worker."""

from collections.abc import Iterator
from concurrent import futures

import grpc
import pytest
from loop_stack import SpanCollector, Stack, start_stack
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc


@pytest.fixture(scope="session")
def spans() -> Iterator[SpanCollector]:
    """A collector on a free loopback port; its address is its `target`."""
    collector = SpanCollector()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
    collector.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield collector
    server.stop(None).wait()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, spans: SpanCollector) -> Iterator[Stack]:
    """A stack on a replay clock, shared by the tests of a worker: each uses ids of its own."""
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{spans.target}",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    running = start_stack(tmp_path_factory.mktemp("stack"), spans, environment, "--clock", "replay")
    yield running
    assert running.stop() == 0
