"""
Events acknowledged and billed a second of CPU, beside the straightforward way: one call and one transaction each.

The traffic is synthetic and seeded (`attribution_traffic`). CPU is that of all processes: the client, the server, and
for ours Valkey; ours also hands every event on to the streams and the lake, which the naive one does not. An event
counts once it is billed. The naive one runs the product's own stores and rules on one event at a time. Run it with
`make bench-attribution`; it writes `.bihuan/bench/attribution.json`, with the figures of `bench_credit_models.py` in
it.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import figures
import grpc
import psutil
from attribution_process import AttributionForks, AttributionProcess, attribution_environment
from attribution_traffic import events, terms
from bench_credit_models import figures as credit_figures
from rich.console import Console
from rich.table import Table

from bihuan.attribution.v1 import attribution_pb2 as pb
from bihuan.attribution.v1 import event_pb2
from bihuan.attribution.v1.attribution_pb2_grpc import AttributionServiceStub
from bihuan_shared.clock import HOUR_US, SystemClock
from bihuan_shared.embedded import EmbeddedValkey, tied_to_parent

BATCH = 500
AT_ONCE = 4
NAIVE_AT_ONCE = 32
CALL_S = 60.0


@dataclass(frozen=True, slots=True)
class Run:
    """What one run took: CPU of all processes and the time until everything was billed, in seconds."""

    events: int
    cpu_s: float
    wall_s: float

    @property
    def per_cpu_s(self) -> float:
        """Events a second of CPU."""
        return self.events / self.cpu_s


async def measure(count: int, naive_count: int, paths: int, state: Path) -> dict[str, object]:
    """Ours, then the naive way, on the same traffic; then the models."""
    started_s = time.monotonic()
    now_us = SystemClock().now_us()
    traffic = events(count, now_us - 4 * HOUR_US, seed=7)
    ours = await _ours(traffic, now_us, state / "ours")
    naive = await _naive(traffic[:naive_count], now_us, state / "naive")
    found: dict[str, object] = {
        "events": ours.events,
        "naive_events": naive.events,
        "traffic": "synthetic, seed 7",
        "events_per_cpu_s": round(ours.per_cpu_s),
        "naive_events_per_cpu_s": round(naive.per_cpu_s),
        "ratio": round(ours.per_cpu_s / naive.per_cpu_s, 2),
        "events_per_s": round(ours.events / ours.wall_s),
        "naive_events_per_s": round(naive.events / naive.wall_s),
        "fsync_ms": round(fsync_ms(state), 3),
    }
    if paths:
        found |= credit_figures(paths)
    return found | {
        "machine": figures.machine(),
        "commit": figures.commit(),
        "duration_s": round(time.monotonic() - started_s, 1),
    }


async def _ours(traffic: list[event_pb2.Event], now_us: int, state: Path) -> Run:
    state.mkdir()
    valkey = EmbeddedValkey.start(state / "valkey")
    forks = AttributionForks()
    environment = attribution_environment(state, f"sqlite:///{state / 'attribution.db'}", valkey.url)
    server = await AttributionProcess.start(forks, environment, state / "attribution.log")
    try:
        await server.stub.PutTerms(terms(now_us), timeout=CALL_S)
        batches = [traffic[at : at + BATCH] for at in range(0, len(traffic), BATCH)]
        requests = [pb.RecordEventsRequest(events=some) for some in batches]
        with _cpu_of([server.pid, valkey.process.pid]) as spent:
            await _send(requests, AT_ONCE, server.stub.RecordEvents)
            await _billed(server.stub, len(traffic))
        return Run(len(traffic), *spent)
    finally:
        await server.stop()
        forks.close()
        valkey.stop()


async def _billed(stub: AttributionServiceStub, count: int) -> None:
    """Wait until billing, and all that follows it, has dealt with everything."""
    while True:
        books = await stub.Reconcile(pb.ReconcileRequest(), timeout=CALL_S)
        if all(one.position >= count for one in books.consumers) and books.consumers:
            assert all(one.difference_nanos == 0 for one in books.currencies), books
            return
        await asyncio.sleep(0.2)


async def _naive(traffic: list[event_pb2.Event], now_us: int, state: Path) -> Run:
    state.mkdir()
    port_file = state / "port"
    script = str(Path(__file__).with_name("naive_attribution.py"))
    command = [sys.executable, script, f"sqlite:///{state / 'attribution.db'}", str(port_file)]
    process = _started(command)
    try:
        while not port_file.exists():
            await asyncio.sleep(0.05)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port_file.read_text()}") as channel:
            stub = AttributionServiceStub(channel)
            await stub.PutTerms(terms(now_us), timeout=CALL_S)
            requests = [pb.RecordEventsRequest(events=[event]) for event in traffic]
            with _cpu_of([process.pid]) as spent:
                await _send(requests, NAIVE_AT_ONCE, stub.RecordEvents)
            return Run(len(traffic), *spent)
    finally:
        process.kill()
        process.wait()


def _started(command: list[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(tied_to_parent(command))  # noqa: S603 - our own script


Method = Callable[..., Awaitable[pb.RecordEventsResponse]]


async def _send(requests: Sequence[pb.RecordEventsRequest], at_once: int, method: Method) -> None:
    waiting = iter(requests)

    async def work() -> None:
        for request in waiting:
            answer = await method(request, timeout=CALL_S)
            assert all(one.outcome == event_pb2.EVENT_OUTCOME_ACCEPTED for one in answer.results), answer

    await asyncio.gather(*(work() for _ in range(at_once)))


@contextmanager
def _cpu_of(pids: Sequence[int]) -> Iterator[list[float]]:
    """CPU of this process and of others while the block runs, and the time that it took; filled in at its end."""
    processes = [psutil.Process(), *(psutil.Process(pid) for pid in pids)]
    before, spent = [_cpu_s(one) for one in processes], []
    began_s = time.perf_counter()
    yield spent
    spent.append(sum(_cpu_s(one) for one in processes) - sum(before))
    spent.append(time.perf_counter() - began_s)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def fsync_ms(folder: Path, times: int = 50) -> float:
    """The median time that an append of 4 KiB and an fsync take on this disk, in milliseconds."""
    taken = []
    with (folder / "fsync").open("wb") as file:
        for _ in range(times):
            began_s = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            taken.append((time.perf_counter() - began_s) * 1000)
    return sorted(taken)[times // 2]


def show(found: dict[str, object]) -> None:
    """Print the figures as a table."""
    table = Table("figure", "value", title="Attribution")
    for name, value in found.items():
        table.add_row(name, f"{value:,}" if isinstance(value, int | float) else str(value))
    Console().print(table)


def main() -> None:
    """Run, print, write the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--naive-events", type=int, default=10_000)
    parser.add_argument("--paths", type=int, default=1_000_000, help="0 leaves the models out")
    parser.add_argument("--out", type=Path, default=Path(".bihuan/bench/attribution.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bihuan-bench-") as state:
        found = asyncio.run(measure(options.events, options.naive_events, options.paths, Path(state)))
    show(found)
    figures.write(options.out, found)


if __name__ == "__main__":
    main()
