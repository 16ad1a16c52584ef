"""When a call is repeated, and when not."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import grpc
import pytest

from bihuan.common.v1 import common_pb2
from bihuan.identity.v1 import identity_pb2, identity_pb2_grpc
from bihuan_shared.errors import (
    ResourceExhausted,
    Unavailable,
)
from bihuan_shared.rpc.client import open_channel
from bihuan_shared.rpc.retry import RetryBudget, backoff_s

if TYPE_CHECKING:
    from tests.integration.shared_rpc.conftest import Stage

REQUEST = identity_pb2.ResolveRequest(
    item=identity_pb2.ResolveItem(identifiers=[common_pb2.Identifier(namespace="cookie", value="c1")])
)


async def test_idempotent_method_is_repeated_twice_at_most(stage: "Stage") -> None:
    servicer = stage.identity_raising(Unavailable("1"), Unavailable("2"))
    stub = await stage.identity_stub(servicer)
    assert (await stub.Resolve(REQUEST)).result.person_id == 7
    assert servicer.calls == 3
    servicer.act = stage.identity_raising(*[Unavailable(str(i)) for i in range(9)]).act
    with pytest.raises(Unavailable):
        await stub.Resolve(REQUEST)
    assert servicer.calls == 6


async def test_only_unavailability_is_repeated(stage: "Stage") -> None:
    servicer = stage.identity_raising(ResourceExhausted("full"))
    stub = await stage.identity_stub(servicer)
    with pytest.raises(ResourceExhausted):
        await stub.Resolve(REQUEST)
    assert servicer.calls == 1


async def test_streams_are_not_repeated(stage: "Stage") -> None:
    servicer = stage.identity_raising(Unavailable("1"))
    stub = await stage.identity_stub(servicer)

    async def parts() -> AsyncIterator[identity_pb2.MatchIdentifiersRequest]:
        yield identity_pb2.MatchIdentifiersRequest(identifiers=REQUEST.item.identifiers)

    with pytest.raises(Unavailable):
        await stub.MatchIdentifiers(parts())
    assert servicer.calls == 1


async def test_method_that_is_not_idempotent_is_not_repeated() -> None:
    calls: list[bytes] = []

    async def refuse(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        calls.append(request)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "down")

    server = grpc.aio.server()
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {"Pay": grpc.unary_unary_rpc_method_handler(refuse)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Unlisted", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with open_channel(f"127.0.0.1:{port}", secret="s", service="test") as channel:
        with pytest.raises(Unavailable):
            await channel.unary_unary("/test.Unlisted/Pay", bytes, bytes)(b"1")
    await server.stop(None)
    assert len(calls) == 1


async def test_retries_of_an_outage_stay_within_their_budget(stage: "Stage") -> None:
    def down() -> None:
        raise Unavailable("down")

    servicer = stage.identity(down)
    stub = await stage.identity_stub(servicer)
    calls = 200
    for _ in range(calls):
        with pytest.raises(Unavailable):
            await stub.Resolve(REQUEST)
    assert calls < servicer.calls <= calls * 1.1 + 10


async def test_service_that_comes_back_is_found_again(stage: "Stage") -> None:
    first = await stage.serve_identity(stage.identity())
    stub = identity_pb2_grpc.IdentityServiceStub(stage.channel(first))
    await stub.Resolve(REQUEST)
    await first.stop(0)
    with pytest.raises(Unavailable):
        await stub.Resolve(REQUEST)
    await stage.serve_identity(stage.identity(), listen=f"127.0.0.1:{first.port}")
    async with asyncio.timeout(10):
        while True:
            try:
                await stub.Resolve(REQUEST)
            except Unavailable:
                continue
            break


def test_backoff_grows_and_stays_short() -> None:
    randomness = random.Random(1)
    assert all(0.0125 <= backoff_s(0, randomness) <= 0.025 for _ in range(100))
    assert all(0.025 <= backoff_s(1, randomness) <= 0.05 for _ in range(100))


def test_budget_is_bounded_both_ways() -> None:
    budget = RetryBudget()
    for _ in range(1_000):
        budget.earn()
    assert sum(budget.spend() for _ in range(100)) == 10
