"""
Decisions, beacons and behaviour per second of a local stack, beside the gateway's bare HTTP rate in the same run.

Client and services share the machine, so the absolute figures are its, not the software's; the ratios to `/healthz`,
which does nothing but answer, can be compared between machines. Run it with `make bench`; it writes
`.bihuan/bench/loop.json`.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from figures import commit, machine, write

from bihuan_cli.api import GatewayClient
from bihuan_cli.replay.decisions import decide
from bihuan_cli.replay.people import tell
from bihuan_cli.replay.world import World
from bihuan_cli.stack.local import local_stack
from bihuan_shared.clock import format_rfc3339

CONSENT = {
    "purposes": ["targeting", "measurement"],
    "data_classes": ["registration", "operation", "transaction"],
    "source": "bench",
}
CAMPAIGNS = 10
PEOPLE = 2_000


@dataclass(frozen=True, slots=True)
class Lap:
    """One kind of call: how many a second, and the latencies in milliseconds."""

    per_s: float
    p50_ms: float
    p99_ms: float


async def run(requests: int, connections: int, state: Path) -> dict[str, object]:
    """Bring up a stack with ten competing campaigns, and measure one kind of call after the other."""
    started_s = time.monotonic()
    async with (
        local_stack(state, clock="system", say=lambda _: None) as stack,
        GatewayClient(stack.running.gateway_url, stack.secrets.admin_key, connections=connections) as client,
    ):
        await _make_world(World(client, None))
        await _make_people(client)
        urls: list[str] = []

        async def visit(number: int) -> None:
            urls.append(await _decide(client, number))

        laps = {
            "healthz": await _lap(
                requests, connections, lambda _: client.follow(f"{stack.running.gateway_url}/healthz")
            ),
            "decisions": await _lap(requests, connections, visit),
            "beacons": await _lap(requests, connections, lambda number: client.follow(urls[number])),
        }
    base = laps["healthz"].per_s
    return {
        "requests": requests,
        "connections": connections,
        **{f"{name}_per_s": round(lap.per_s, 1) for name, lap in laps.items()},
        **{f"{name}_p50_ms": round(lap.p50_ms, 2) for name, lap in laps.items()},
        **{f"{name}_p99_ms": round(lap.p99_ms, 2) for name, lap in laps.items()},
        "decisions_to_healthz": round(laps["decisions"].per_s / base, 4),
        "beacons_to_healthz": round(laps["beacons"].per_s / base, 4),
        "machine": f"{machine()}, client on the same machine",
        "commit": commit(),
        "duration_s": round(time.monotonic() - started_s, 1),
    }


async def _lap(requests: int, connections: int, call: Callable[[int], Awaitable[None]]) -> Lap:
    numbers = iter(range(requests))
    latencies_s: list[float] = []

    async def one_connection() -> None:
        for number in numbers:
            began_s = time.perf_counter()
            await call(number)
            latencies_s.append(time.perf_counter() - began_s)

    began_s = time.perf_counter()
    await asyncio.gather(*(one_connection() for _ in range(connections)))
    took_s = time.perf_counter() - began_s
    latencies_s.sort()
    return Lap(requests / took_s, latencies_s[requests // 2] * 1e3, latencies_s[int(requests * 0.99)] * 1e3)


async def _decide(client: GatewayClient, number: int) -> str:
    body: dict[str, object] = {
        "request_id": f"bench:{number}",
        "identifiers": [{"namespace": "cookie", "value": f"bench-{number % PEOPLE}"}],
        "placements": [{"placement_id": "bench"}],
        "consent": CONSENT,
    }
    placement, _ = await decide(client, body, None)
    if placement.impression_url is None:
        raise RuntimeError(f"decision {number} was not filled: {placement.reason}")
    return placement.impression_url


async def _make_people(client: GatewayClient) -> None:
    now_us = time.time_ns() // 1_000
    events: list[dict[str, object]] = [
        {
            "event_id": f"bench:{number}",
            "identifiers": [{"namespace": "cookie", "value": f"bench-{number % PEOPLE}"}],
            "behaviour": "view",
            "event_time": format_rfc3339(now_us),
            "tags": [f"category:{(number * 7) % 40}", f"category:{(number * 11) % 40}"],
            "consent": CONSENT,
        }
        for number in range(PEOPLE * 5)
    ]
    for start in range(0, len(events), 1_000):
        await tell(client, events[start : start + 1_000], None)


async def _make_world(world: World) -> None:
    await world.advertiser("bench", "Bench (synthetic)", 1_000_000_000_000)
    await world.placement("bench", "feed", "portal", 100_000)
    for number in range(CAMPAIGNS):
        name = f"bench-{number}"
        campaign: dict[str, object] = {
            "id": name,
            "advertiser_id": "bench",
            "pricing": {"model": "cpm", "bid_micros": 4_000_000 + number * 1_000},
            "budget": {"daily_micros": 10_000_000_000, "total_micros": 10_000_000_000},
            "frequency_caps": [{"level": "campaign", "window": "day", "max_impressions": 1_000}],
        }
        creative: dict[str, object] = {
            "landing_url": "https://shop.example/",
            "tags": [f"category:{(number * 3 + place) % 40}" for place in range(5)],
        }
        await world.line(campaign, {"placement_ids": ["bench"]}, creative)


def main() -> int:
    """Run, print, write the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--requests", type=int, default=3_000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--out", type=Path, default=Path(".bihuan/bench/loop.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bihuan-bench-") as state:
        figures = asyncio.run(run(options.requests, options.connections, Path(state)))
    write(options.out, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
