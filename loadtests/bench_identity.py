"""
Identity's size and speed beside the naive way: one string key an identifier, one call and one GET each.

The population is synthetic and seeded (`identity_population`). The server runs on one core; the client and Valkey share
another. Run it with `make bench-identity`; it writes `.bihuan/bench/identity.json`.
"""

import argparse
import asyncio
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import figures
import numpy as np
from identity_load import database_bytes, load, lookup_rate, merge_and_split, naive_rate
from identity_memory import engine_version, index_bytes, naive_bytes, naive_keys, used_bytes
from identity_population import ITEMS_A_CALL, items_of, persons
from identity_process import IdentityForks, IdentityProcess, identity_environment
from rich.console import Console
from rich.table import Table

from bihuan.common.v1.common_pb2 import Identifier
from bihuan_identity.rebuild import rebuild_index
from bihuan_shared.embedded import EmbeddedValkey
from bihuan_shared.redis import open_redis

T = TypeVar("T")

SEED = 7
SIZES = (2, 8, 32, 128, 512)
BUCKETED = 160
"""Identifiers a bucket may hold on average before more buckets are configured."""
TAGS = 64
MEMORY_ONLY = ("--appendonly", "no")


async def measure(identifiers: int, large: int, repeats: int, calls: int, state: Path) -> dict[str, object]:
    """Measure ours, then the naive way, on the same population."""
    started_s = time.monotonic()
    people = list(persons(identifiers, SEED))
    known = [identifier for person in people for identifier in person]
    found: dict[str, object] = {"identifiers": identifiers, "persons": len(people), "population": "synthetic, seed 7"}
    found |= await _ours(people, known, repeats, calls, state)
    found |= await _naive(known, calls, state)
    batch, naive = found["batch_resolve_per_s"], found["naive_resolve_per_s"]
    assert isinstance(batch, int)
    assert isinstance(naive, int)
    found["batch_to_naive"] = round(batch / naive, 1)
    if large:
        found |= await _large(large, state)
    found |= {"machine": figures.machine(), "commit": figures.commit()}
    return found | {"duration_s": round(time.monotonic() - started_s, 1)}


async def _ours(
    people: list[list[Identifier]], known: list[Identifier], repeats: int, calls: int, state: Path
) -> dict[str, object]:
    with _core(0):
        forks = IdentityForks()
    with _core(1), _engine(state / "valkey") as valkey:
        database = state / "identity.db"
        environment = identity_environment(state, f"sqlite:///{database}", valkey.url)
        server = await IdentityProcess.start(forks, environment, state / "identity.log")
        empty = used_bytes(valkey)
        began_s = time.perf_counter()
        await load(server, iter(people), math.ceil(items_of(people) / ITEMS_A_CALL))
        found: dict[str, object] = {"create_per_s": round(len(known) / (time.perf_counter() - began_s))}
        found["index_bytes_per_id"] = round((used_bytes(valkey) - empty) / len(known), 1)
        found["graph_bytes_per_id"] = round(database_bytes(database) / len(known), 1)
        found["batch_resolve_per_s"] = round(await lookup_rate(server, known, calls // 10))
        for size in SIZES:
            found |= await merge_and_split(server, size, repeats)
        await server.stop()
        redis = await open_redis(valkey.url)
        await redis.flushall()
        await redis.aclose()
        began_s = time.perf_counter()
        rebuilt = await rebuild_index(f"sqlite:///{database}", valkey.url)
        found["rebuild_per_s"] = round(rebuilt.added_count / (time.perf_counter() - began_s))
        found["engine"] = engine_version(valkey)
    forks.close()
    return found


async def _naive(known: list[Identifier], calls: int, state: Path) -> dict[str, object]:
    with _core(1), _engine(state / "naive") as valkey:
        per_id = naive_bytes(valkey, naive_keys(known))
        # The server takes its core over from whoever starts it.
        rate = await naive_rate(valkey.url, known, calls, server_core=0 if _cores() > 1 else None)
        return {"naive_index_bytes_per_id": round(per_id, 1), "naive_resolve_per_s": round(rate)}


async def _large(identifiers: int, state: Path) -> dict[str, object]:
    """The index alone, with as many buckets as so many identifiers want."""
    buckets = 2 ** math.ceil(math.log2(identifiers / TAGS / BUCKETED))
    with _engine(state / "large") as valkey:
        ours = await index_bytes(valkey, identifiers, buckets)
    with _engine(state / "large-naive") as valkey:
        keys = np.random.default_rng(SEED).integers(256, size=(identifiers, 16), dtype=np.uint8)
        naive = naive_bytes(valkey, keys)
    return {
        "large_identifiers": identifiers,
        "large_index_buckets": buckets,
        "large_index_bytes_per_id": round(ours, 1),
        "large_naive_index_bytes_per_id": round(naive, 1),
    }


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
    table = Table("figure", "value", title="Identity beside the naive way")
    for name, value in found.items():
        table.add_row(name, f"{value:,}" if isinstance(value, int | float) else str(value))
    return table


def main() -> int:
    """Run, print, write the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--identifiers", type=int, default=1_000_000)
    parser.add_argument("--large", type=int, default=10_000_000, help="identifiers of the second index; 0 for none")
    parser.add_argument("--repeats", type=int, default=100, help="merges and splits of each size")
    parser.add_argument("--calls", type=int, default=10_000, help="calls of the naive way; a tenth in batches")
    parser.add_argument("--small", action="store_true", help="a slice that takes seconds")
    parser.add_argument("--out", type=Path, default=Path(".bihuan/bench/identity.json"))
    options = parser.parse_args()
    if options.small:
        options.identifiers, options.large, options.repeats, options.calls = 20_000, 0, 10, 1_000
    with tempfile.TemporaryDirectory(prefix="bihuan-bench-") as state:
        found = asyncio.run(measure(options.identifiers, options.large, options.repeats, options.calls, Path(state)))
    Console(stderr=True).print(_table(found))
    figures.write(options.out, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
