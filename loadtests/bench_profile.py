"""
Profile's freshness under load, its size and its speed beside the naive way: one hash a person, one field a tag.

Everything is synthetic and seeded. Freshness and loading are measured on a whole local stack, as `bihuan up` starts it,
with the client on the same cores; reads on one server with a core of its own. Run it with `make bench-profile`; it
writes `.bihuan/bench/profile.json`.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import figures
import psutil
from profile_freshness import freshness
from profile_load import load_rate
from profile_population import Traffic
from profile_process import ProfileForks, ProfileProcess, profile_environment
from profile_reads import BATCH, batch_rate, blob_bytes, fill, naive_copy, naive_rate, single_rate
from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from bihuan_shared.embedded import EmbeddedValkey

SEED = 7
MEMORY_ONLY = ("--appendonly", "no")


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured, and how often: figures are medians of `repeats` runs."""

    traffic: Traffic
    persons: int
    calls: int
    repeats: int


async def measure(size: Size, state: Path) -> dict[str, object]:
    """Measure freshness, then sizes and reads, then loading."""
    started_s = time.monotonic()
    runs = [await freshness(size.traffic, SEED + turn, state / f"stack-{turn}") for turn in range(size.repeats)]
    middle = sorted(runs, key=lambda run: float(str(run["freshness_p99_ms"])))[len(runs) // 2]
    found = middle | {"freshness_p99_ms_runs": [run["freshness_p99_ms"] for run in runs]}
    found |= await _reads(size, state)
    load = await _median(
        size.repeats, lambda turn: load_rate(state / f"load-{turn}", 5 * size.persons, size.persons, SEED + turn)
    )
    found |= {"load_rows_per_s": round(load), "load_rows": 5 * size.persons}
    found |= {"machine": figures.machine(), "commit": figures.commit(), "population": f"synthetic, seed {SEED}"}
    return found | {"repeats": size.repeats, "duration_s": round(time.monotonic() - started_s, 1)}


async def _reads(size: Size, state: Path) -> dict[str, object]:
    with _core(0):
        forks = ProfileForks()
    with _core(1), _engine(state / "valkey") as valkey:
        server = await ProfileProcess.start(
            forks, profile_environment(state, valkey.url, look_over_s=86_400), state / "profile.log"
        )
        redis = Redis.from_url(valkey.url, protocol=2)
        persons = range(10_000_000, 10_000_000 + size.persons)
        buyers = range(20_000_000, 20_000_000 + size.persons // 10)
        await fill(server, persons, SEED, with_order=False)
        await fill(server, buyers, SEED, with_order=True)
        ours, bought = await blob_bytes(redis, persons), await blob_bytes(redis, buyers)
        naive = await naive_copy(server, redis, persons)
        before_s = _cpu_s(server.pid)
        single = await _median(size.repeats, lambda turn: single_rate(server.stub, persons, size.calls, turn))
        between_s = _cpu_s(server.pid)
        batch = await _median(size.repeats, lambda turn: batch_rate(server.stub, persons, size.calls // 20, turn))
        after_s = _cpu_s(server.pid)
        await server.stop()
        # The naive server takes its core over from whoever starts it.
        core = 0 if _cores() > 1 else None
        plain = await _median(size.repeats, lambda turn: naive_rate(valkey.url, persons, size.calls, turn, core=core))
        await redis.aclose()
    forks.close()
    return {
        "profile_bytes": ours["mean"],
        "profile_bytes_max": ours["max"],
        "profile_with_order_bytes": bought["mean"],
        "naive_profile_bytes": naive["mean"],
        "profile_tags": "4 attributes (age, gender, region, device_type), 6 interests of 8 to 20 events",
        "batch_read_per_s": round(batch),
        "single_read_per_s": round(single),
        "naive_read_per_s": round(plain),
        "single_read_cpu_us": round((between_s - before_s) * 1e6 / (size.repeats * size.calls), 1),
        "batch_read_cpu_us": round((after_s - between_s) * 1e6 / (size.repeats * (size.calls // 20) * BATCH), 1),
        "batch_to_single": round(batch / single, 1),
        "batch_to_naive": round(batch / plain, 1),
    }


def _cpu_s(pid: int) -> float:
    """Processor seconds that a process has used: what others do on the machine does not show in it."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


async def _median(repeats: int, run: Callable[[int], Awaitable[float]]) -> float:
    return statistics.median([await run(turn) for turn in range(repeats)])


@contextmanager
def _engine(folder: Path) -> Iterator[EmbeddedValkey]:
    valkey = EmbeddedValkey.start(folder, options=MEMORY_ONLY)
    try:
        yield valkey
    finally:
        valkey.stop()


@contextmanager
def _core(number: int) -> Iterator[None]:
    """Run on one core, and start processes there; everywhere where the machine has one only."""
    before = os.sched_getaffinity(0)
    if len(before) > 1:
        os.sched_setaffinity(0, {sorted(before)[number]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _cores() -> int:
    return os.cpu_count() or 1


def _table(found: dict[str, object]) -> Table:
    table = Table("figure", "value", title="Profile beside the naive way")
    for name, value in found.items():
        table.add_row(name, f"{value:,}" if isinstance(value, int | float) else str(value))
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, write the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--events-per-s", type=int, default=2_000)
    parser.add_argument("--duration-s", type=float, default=30.0, help="of the load under which freshness is measured")
    parser.add_argument("--events-a-batch", type=int, default=50)
    parser.add_argument("--persons", type=int, default=20_000)
    parser.add_argument("--calls", type=int, default=10_000, help="single reads; a twentieth in batches of 500")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="a slice that takes seconds")
    parser.add_argument("--out", type=Path, default=Path(".bihuan/bench/profile.json"))
    options = parser.parse_args(arguments)
    if options.small:
        options.duration_s, options.persons, options.calls, options.repeats = 3.0, 1_000, 1_000, 1
    traffic = Traffic(options.events_per_s, options.duration_s, options.events_a_batch, 20, options.persons)
    size = Size(traffic, options.persons, options.calls, options.repeats)
    with tempfile.TemporaryDirectory(prefix="bihuan-bench-") as state:
        found = asyncio.run(measure(size, Path(state)))
    Console(stderr=True).print(_table(found))
    figures.write(options.out, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
