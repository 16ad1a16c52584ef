"""What surrounds a call: deadlines, replay time, errors, traces, metrics."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from prometheus_client import REGISTRY

from bihuan.common.v1 import common_pb2
from bihuan.identity.v1 import identity_pb2, identity_pb2_grpc
from bihuan.profile.v1 import profile_pb2
from bihuan_shared import telemetry
from bihuan_shared.callers import current_caller
from bihuan_shared.clock import Clock, FixedClock, ReplayClock, replay_time_us, set_replay_time_us
from bihuan_shared.errors import (
    DeadlineExceeded,
    FieldViolation,
    Internal,
    InvalidArgument,
    NotFound,
    NotYet,
    PermissionDenied,
    ResourceExhausted,
)
from bihuan_shared.rpc.deadline import DEFAULT_TIMEOUT_S, deadline_scope, remaining_s

if TYPE_CHECKING:
    from tests.integration.shared_rpc.conftest import Stage

REQUEST = identity_pb2.ResolveRequest(
    item=identity_pb2.ResolveItem(identifiers=[common_pb2.Identifier(namespace="cookie", value="c1")])
)
PROFILE_REQUEST = profile_pb2.GetProfileRequest(
    person=common_pb2.PersonRef(person_id=1), purpose=common_pb2.PURPOSE_TARGETING
)


async def forever() -> None:
    await asyncio.Event().wait()


async def test_handler_knows_its_caller(stage: "Stage") -> None:
    seen: list[str] = []
    stub = await stage.identity_stub(stage.identity(lambda: seen.append(current_caller().name)))
    assert (await stub.Resolve(REQUEST)).result.person_id == 7
    assert seen == ["internal"]


async def test_errors_of_handlers_arrive_typed(stage: "Stage") -> None:
    error = InvalidArgument("no", FieldViolation("item", "is odd"), reason="EXPRESSION_INVALID")
    stub = await stage.identity_stub(stage.identity_raising(error))
    with pytest.raises(InvalidArgument) as caught:
        await stub.Resolve(REQUEST)
    assert (caught.value.reason, caught.value.violations) == ("EXPRESSION_INVALID", error.violations)


async def test_longest_error_still_arrives_typed(stage: "Stage") -> None:
    error = InvalidArgument("漢" * 20_000, *[FieldViolation("f" * 300, "d" * 300) for _ in range(32)])
    stub = await stage.identity_stub(stage.identity_raising(*[error] * 50))
    for _ in range(50):  # clients drop trailers that are too long at random
        with pytest.raises(InvalidArgument) as caught:
            await stub.Resolve(REQUEST)
        assert len(caught.value.violations) >= 4


async def test_unknown_exceptions_leak_nothing(stage: "Stage") -> None:
    stub = await stage.identity_stub(stage.identity_raising(RuntimeError("password=hunter2")))
    with pytest.raises(Internal) as caught:
        await stub.Resolve(REQUEST)
    assert "hunter2" not in str(caught.value)


async def test_unbuilt_method_answers_not_yet(stage: "Stage") -> None:
    stub = await stage.identity_stub(stage.identity())
    with pytest.raises(NotYet) as caught:
        await stub.GetPerson(identity_pb2.GetPersonRequest(person=common_pb2.PersonRef(person_id=1)))
    assert caught.value.reason == "NOT_YET"


async def test_streamed_requests_are_judged_message_by_message(stage: "Stage") -> None:
    stub = await stage.identity_stub(stage.identity())

    async def parts(*namespaces: str) -> AsyncIterator[identity_pb2.MatchIdentifiersRequest]:
        for namespace in namespaces:
            yield identity_pb2.MatchIdentifiersRequest(
                identifiers=[common_pb2.Identifier(namespace=namespace, value="v")]
            )

    assert (await stub.MatchIdentifiers(parts("cookie", "login"))).sent_count == 2
    with pytest.raises(InvalidArgument) as caught:
        await stub.MatchIdentifiers(parts("cookie", "LOGIN"))
    assert caught.value.violations[0].field == "identifiers[0].namespace"


async def test_streamed_answers_arrive_before_a_typed_error(stage: "Stage") -> None:
    stub = await stage.profile_stub(stage.identity())
    seen = 0
    with pytest.raises(NotFound):  # noqa: PT012  # what is seen before the error is the point
        async for _ in stub.ScanProfiles(profile_pb2.ScanProfilesRequest(purpose=common_pb2.PURPOSE_TARGETING)):
            seen += 1
    assert seen == 3


async def test_passed_deadline_cancels_the_handler(stage: "Stage") -> None:
    servicer = stage.identity(forever)
    stub = await stage.identity_stub(servicer)
    with pytest.raises(DeadlineExceeded):
        await stub.Resolve(REQUEST, timeout=0.1)
    await asyncio.wait_for(servicer.cancelled.wait(), 5)


async def test_call_without_a_deadline_gets_the_default(stage: "Stage") -> None:
    seen: list[float | None] = []
    server = await stage.serve_identity(stage.identity(lambda: seen.append(remaining_s())))
    stub = identity_pb2_grpc.IdentityServiceStub(stage.plain_channel(server))
    await stub.Resolve(REQUEST, metadata=(("authorization", "Bearer internal-secret"),))
    assert seen[0] is not None
    assert DEFAULT_TIMEOUT_S - 1 < seen[0] <= DEFAULT_TIMEOUT_S


async def test_deadline_travels_along_two_hops(stage: "Stage") -> None:
    seen: list[float | None] = []
    stub = await stage.profile_stub(stage.identity(lambda: seen.append(remaining_s())))
    await stub.GetProfile(PROFILE_REQUEST, timeout=2.0)
    assert seen[0] is not None
    # gRPC rounds a time-out up on the wire; a hop that had no deadline of its caller would have the default of 10 s.
    assert 0 < seen[0] < 2.5


async def test_deadline_of_the_first_caller_cancels_the_second_hop(stage: "Stage") -> None:
    identity = stage.identity(forever)
    stub = await stage.profile_stub(identity)
    with pytest.raises(DeadlineExceeded):
        await stub.GetProfile(PROFILE_REQUEST, timeout=0.2)
    await asyncio.wait_for(identity.cancelled.wait(), 5)


async def test_spent_deadline_sends_nothing(stage: "Stage") -> None:
    servicer = stage.identity()
    stub = await stage.identity_stub(servicer)
    with deadline_scope(0.001), pytest.raises(DeadlineExceeded):
        await stub.Resolve(REQUEST)
    assert servicer.calls == 0


async def test_inner_scope_cannot_lengthen_the_outer_one() -> None:
    with deadline_scope(1.0), deadline_scope(60.0):
        left = remaining_s()
        assert left is not None
        assert left <= 1.0
    assert remaining_s() is None


@pytest.mark.parametrize("clock", [None, FixedClock(1)])
async def test_replay_time_is_refused_outside_of_replay(stage: "Stage", clock: Clock | None) -> None:
    servicer = stage.identity()
    stub = await stage.identity_stub(servicer, clock=clock)
    with pytest.raises(InvalidArgument) as caught:
        await stub.Resolve(REQUEST, metadata=(("bihuan-time", "2017-08-15T00:00:00Z"),))
    assert caught.value.reason == "REPLAY_TIME_REFUSED"
    assert servicer.calls == 0


async def test_replay_time_reaches_the_clock_of_the_handler(stage: "Stage") -> None:
    seen: list[int] = []
    stub = await stage.identity_stub(stage.identity(lambda: seen.append(ReplayClock().now_us())), clock=ReplayClock())

    async def at(time_us: int) -> None:
        set_replay_time_us(time_us)
        await stub.Resolve(REQUEST)

    await asyncio.create_task(at(1_502_755_200_000_001))
    assert seen == [1_502_755_200_000_001]
    assert replay_time_us() is None


async def test_replay_time_is_well_formed_and_internal(stage: "Stage") -> None:
    server = await stage.serve_identity(stage.identity(), clock=ReplayClock())
    stub = identity_pb2_grpc.IdentityServiceStub(stage.channel(server))
    with pytest.raises(InvalidArgument) as caught:
        await stub.Resolve(REQUEST, metadata=(("bihuan-time", "yesterday"),))
    assert caught.value.violations[0].field == "bihuan-time"
    partner = identity_pb2_grpc.IdentityServiceStub(stage.channel(server, "partner-secret"))
    with pytest.raises(PermissionDenied):
        await partner.Resolve(REQUEST, metadata=(("bihuan-time", "2017-08-15T00:00:00Z"),))


async def test_calls_beyond_the_bound_are_refused_and_the_bound_recovers(stage: "Stage") -> None:
    release, entered = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        entered.set()
        await release.wait()

    servicer = stage.identity(hold)
    stub = await stage.identity_stub(servicer, max_concurrent_calls=1)
    first = asyncio.ensure_future(stub.Resolve(REQUEST))
    await entered.wait()
    with pytest.raises(ResourceExhausted) as caught:
        await stub.Resolve(REQUEST)
    assert caught.value.reason == "OVERLOADED"
    release.set()
    await first
    await stub.Resolve(REQUEST)


async def test_spans_show_the_way_of_a_call(stage: "Stage") -> None:
    exporter = InMemorySpanExporter()
    telemetry.configure("under-test", exporter=exporter)
    stub = await stage.profile_stub(stage.identity())
    await stub.GetProfile(PROFILE_REQUEST)
    spans = {(span.name.rpartition("/")[2], span.kind): span for span in exporter.get_finished_spans()}
    way = [
        spans["GetProfile", SpanKind.CLIENT],
        spans["GetProfile", SpanKind.SERVER],
        spans["Resolve", SpanKind.CLIENT],
        spans["Resolve", SpanKind.SERVER],
    ]
    for above, below in pairwise(way):
        assert below.parent is not None
        assert above.context is not None
        assert below.parent.span_id == above.context.span_id
    assert len({span.context.trace_id for span in way if span.context is not None}) == 1


async def test_trace_id_travels_without_spans(stage: "Stage") -> None:
    seen: list[str | None] = []
    stub = await stage.profile_stub(stage.identity(lambda: seen.append(telemetry.trace_id())))
    telemetry.receive("00-" + "a" * 32 + "-" + "b" * 16 + "-00")
    await stub.GetProfile(PROFILE_REQUEST)
    assert seen == ["a" * 32]


async def test_answers_are_counted_by_method_and_code(stage: "Stage") -> None:
    labels = {"method": "bihuan.identity.v1.IdentityService/Resolve", "code": "NOT_FOUND"}
    name = "bihuan_rpc_server_requests_total"
    before = REGISTRY.get_sample_value(name, labels) or 0.0
    stub = await stage.identity_stub(stage.identity_raising(NotFound("no")))
    with pytest.raises(NotFound):
        await stub.Resolve(REQUEST)
    assert REGISTRY.get_sample_value(name, labels) == before + 1
