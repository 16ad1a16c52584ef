"""Load on an identity server: making persons, looking them up, merging and splitting them."""

import asyncio
import os
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import grpc
import numpy as np
from identity_population import ITEMS_A_CALL, lookups, requests
from identity_process import IdentityProcess
from rich.progress import track

from bihuan.common.v1.common_pb2 import Identifier
from bihuan.identity.v1 import identity_pb2 as pb
from bihuan.identity.v1.identity_pb2_grpc import IdentityServiceStub
from bihuan_shared.embedded import tied_to_parent

BATCHES_AT_ONCE = 4
CALLS_AT_ONCE = 64
WARM_UP = 0.1
TIMEOUT_S = 60.0


async def load(server: IdentityProcess, people: Iterator[list[Identifier]], calls: int) -> None:
    """Make persons, one call after the other, in the order in which they are told."""
    for request in track(requests(people), "making persons", total=calls, transient=True):
        answer = await server.call(server.stub.BatchResolve, request, TIMEOUT_S)
        assert all(result.person_id for result in answer.results)


def database_bytes(path: Path) -> int:
    """The pages of an SQLite file, with what is still in its log."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        ((pages,), (size,)) = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    connection.close()
    return int(pages) * int(size)


async def lookup_rate(server: IdentityProcess, known: Sequence[Identifier], batches: int) -> float:
    """Known identifiers resolved a second, a thousand a call."""
    prepared = lookups(known, batches, seed=1)

    async def ask(at: int) -> None:
        answer = await server.call(server.stub.BatchResolve, prepared[at], TIMEOUT_S)
        assert all(result.person_id for result in answer.results)

    return await _rate(batches, BATCHES_AT_ONCE, ask) * ITEMS_A_CALL


async def naive_rate(redis_url: str, known: Sequence[Identifier], calls: int, *, server_core: int | None) -> float:
    """Known identifiers resolved a second by the naive server, one a call."""
    script = str(Path(__file__).with_name("naive_identity.py"))
    process = await asyncio.create_subprocess_exec(
        *tied_to_parent([sys.executable, script, redis_url]), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    if server_core is not None:
        # Before it answers it has one thread, whose core those to come take over.
        os.sched_setaffinity(process.pid, {server_core})
    port = int(await process.stdout.readline())
    chosen = np.random.default_rng(1).integers(len(known), size=calls)
    prepared = [pb.ResolveRequest(item=pb.ResolveItem(identifiers=[known[at]])) for at in chosen]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = IdentityServiceStub(channel)

        async def ask(at: int) -> None:
            answer = await stub.Resolve(prepared[at], timeout=TIMEOUT_S)
            assert answer.result.person_id

        rate = await _rate(calls, CALLS_AT_ONCE, ask)
    process.kill()
    await process.wait()
    return rate


async def merge_and_split(server: IdentityProcess, size: int, repeats: int) -> dict[str, float]:
    """Merge two persons of `size` identifiers together into one and split them again; milliseconds at p50 and p99."""
    halves = [[Identifier(namespace="login", value=f"{size}-{half}-{at}") for at in range(size // 2)] for half in "ab"]
    for half in halves:
        # A chain, so that no identifier has more neighbours than its namespace allows.
        for start in range(0, len(half), 31):
            item = pb.ResolveItem(identifiers=half[max(0, start - 1) : start + 31], create=True)
            await server.call(server.stub.Resolve, pb.ResolveRequest(item=item), TIMEOUT_S)
    pair = [half[0] for half in halves]
    evidence = pb.Evidence(kind=pb.EVIDENCE_KIND_DETERMINISTIC, source="bench", confidence=1)
    merges_s, splits_s = [], []
    for at in range(repeats):
        link = pb.LinkRequest(identifiers=pair, evidence=evidence, request_id=f"merge {size} {at}")
        began_s = time.perf_counter()
        linked = await server.call(server.stub.Link, link, TIMEOUT_S)
        merges_s.append(time.perf_counter() - began_s)
        assert len(linked.merged_person_ids) == 1
        unlink = pb.UnlinkRequest(evidence_id=linked.evidence_id, request_id=f"split {size} {at}")
        began_s = time.perf_counter()
        split = await server.call(server.stub.Unlink, unlink, TIMEOUT_S)
        splits_s.append(time.perf_counter() - began_s)
        assert len(split.person_ids) == len(halves)
    return {
        f"{name}_{size}_{label}_ms": round(float(np.quantile(taken_s, q)) * 1e3, 2)
        for name, taken_s in (("merge", merges_s), ("split", splits_s))
        for label, q in (("p50", 0.5), ("p99", 0.99))
    }


async def _rate(count: int, at_once: int, call: Callable[[int], Awaitable[None]]) -> float:
    """Calls a second, after the first tenth of them."""
    warm_up = max(1, int(count * WARM_UP))
    for at in range(warm_up):
        await call(at)
    numbers = iter(range(warm_up, count))

    async def one_after_the_other() -> None:
        for at in numbers:
            await call(at)

    began_s = time.perf_counter()
    await asyncio.gather(*(one_after_the_other() for _ in range(at_once)))
    return (count - warm_up) / (time.perf_counter() - began_s)
