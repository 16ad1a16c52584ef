"""
Kill processes in the middle of the loop, and see that nothing is lost and nothing is billed twice.

The same synthetic traffic runs twice on one stack: under a calm advertiser undisturbed, then under a stormy one while
random processes get SIGKILL. What the reports and the ledger then say of the two must be equal, and the books must
reconcile. Run it with `make chaos-loop`; it writes `.bihuan/chaos/loop.json` and ends with 1 where they differ.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
from figures import commit, machine, write

from bihuan_cli.api import GatewayClient
from bihuan_cli.replay.bounded import bounded
from bihuan_cli.replay.decisions import decide
from bihuan_cli.replay.settle import wait_for_events
from bihuan_cli.replay.totals import ReportRow, add_up, books_total, reconciliation, report
from bihuan_cli.replay.world import World
from bihuan_cli.stack.layout import RunningStack
from bihuan_cli.stack.local import LocalStack, local_stack
from bihuan_shared.clock import format_rfc3339

START_US = 1_700_000_000_000_000
SECOND_US = 1_000_000
AT_ONCE = 16
PRICINGS: dict[str, dict[str, object]] = {
    "cpm": {"model": "cpm", "bid_micros": 4_000_000},
    "cpc": {"model": "cpc", "bid_micros": 900_000},
    "cps": {"model": "cps", "commission_rate_ppm": 100_000, "expected_order_micros": 30_000_000},
}
CONSENT = {
    "purposes": ["targeting", "measurement"],
    "data_classes": ["registration", "operation", "transaction"],
    "source": "chaos",
}
# Attribution holds the money, so it is hit most.
VICTIMS = ("attribution",) * 6 + ("gateway", "identity", "profile", "scoring")


@dataclass(frozen=True, slots=True)
class ChaosFigures:
    """What a run found; both differences and `totals_differ` must be 0."""

    kills: int
    visits: int
    calm: dict[str, int]
    stormy: dict[str, int]
    totals_differ: int
    difference_nanos: int
    machine: str
    commit: str
    duration_s: float


async def run(kills: int, visits: int, seed: int, state: Path) -> ChaosFigures:
    """Bring up a stack on `state`, run both passes, and compare what the platform says of them."""
    started_s = time.monotonic()
    # A killed process answers late, not wrong: decisions wait rather than degrade, so both passes decide alike.
    overrides = {"BIHUAN_GATEWAY_DECISION_TIMEOUT_MS": "10000", "BIHUAN_GATEWAY_REQUEST_TIMEOUT_S": "30"}
    async with (
        local_stack(state, clock="replay", overrides=overrides, say=lambda _: None) as stack,
        GatewayClient(stack.running.gateway_url, stack.secrets.admin_key) as client,
    ):
        for name in ("calm", "stormy"):
            await _make_world(World(client, START_US), name)
        await _traffic(client, "calm", visits)
        storm = asyncio.create_task(_storm(stack, kills, random.Random(seed)))
        passes = 0
        while not storm.done() or passes == 0:
            # Repeats are part of the test: the same ids again must change nothing.
            await _traffic(client, "stormy", visits)
            passes += 1
        await storm
        await wait_for_events(client)
        rows = await report(client, "advertiser", "campaign", "pricing_model")
        books = await reconciliation(client)
    calm, stormy = (asdict_totals(rows, name) for name in ("calm", "stormy"))
    return ChaosFigures(
        kills=kills,
        visits=visits,
        calm=calm,
        stormy=stormy,
        totals_differ=sum(calm[key] != stormy[key] for key in calm),
        difference_nanos=books_total(books)["difference_nanos"],
        machine=machine(),
        commit=commit(),
        duration_s=round(time.monotonic() - started_s, 1),
    )


def asdict_totals(rows: list[ReportRow], advertiser_id: str) -> dict[str, int]:
    """Totals of one advertiser by name."""
    return asdict(add_up(rows, advertiser_prefix=advertiser_id))


async def _make_world(world: World, name: str) -> None:
    await world.advertiser(name, f"{name} (synthetic)", 1_000_000_000)
    for model, pricing in PRICINGS.items():
        place = f"{name}-{model}"
        await world.placement(place, "feed", "portal", 100_000)
        campaign = {
            "id": place,
            "advertiser_id": name,
            "pricing": pricing,
            "budget": {"daily_micros": 100_000_000, "total_micros": 900_000_000},
            "frequency_caps": [{"level": "campaign", "window": "day", "max_impressions": 100}],
        }
        await world.line(campaign, {"placement_ids": [place]}, {"landing_url": f"https://shop.example/{model}"})


async def _traffic(client: GatewayClient, name: str, visits: int) -> None:
    await bounded(AT_ONCE, [_visit(client, name, number) for number in range(visits)])


async def _visit(client: GatewayClient, name: str, number: int) -> None:
    model = tuple(PRICINGS)[number % 3]
    at_us = START_US + number * SECOND_US
    person = {"namespace": "cookie", "value": f"{name}-{number // 6}"}
    body = {
        "request_id": f"{name}:{number}",
        "identifiers": [person],
        "placements": [{"placement_id": f"{name}-{model}"}],
        "consent": CONSENT,
    }
    shown, _ = await decide(client, body, at_us)
    if shown.impression_url is None or shown.click_url is None:
        raise RuntimeError(f"visit {number} of {name} was not served: {shown.reason}")
    await client.follow(shown.impression_url, time_us=at_us + SECOND_US)
    if number % 4 == 0:
        await client.follow(shown.click_url, time_us=at_us + 5 * SECOND_US)
    if number % 12 == 8:  # noqa: PLR2004 - a click of the CPS campaign
        order = {
            "type": "order",
            "order_id": f"{name}-{number}",
            "advertiser_id": name,
            "order_time": format_rfc3339(at_us + 60 * SECOND_US),
            "currency": "USD",
            "identifiers": [person],
            "consent": CONSENT,
            "items": [{"item_id": "tea", "quantity": 1, "paid_micros": 10_000_000 + number}],
        }
        await client.post("/v1/orders", order, msgspec.Raw, time_us=at_us + 60 * SECOND_US)


async def _storm(stack: LocalStack, kills: int, dice: random.Random) -> None:
    """Kill one process after the other, each once the one before it is back."""
    for _ in range(kills):
        await asyncio.sleep(dice.uniform(0.1, 0.6))
        victim = dice.choice(VICTIMS)
        running = RunningStack.read(stack.folder.stack)
        assert running is not None
        pid = running.pids[victim]
        os.kill(pid, signal.SIGKILL)
        while running is not None and running.pids.get(victim) == pid:
            await asyncio.sleep(0.05)
            running = RunningStack.read(stack.folder.stack)


def main() -> int:
    """Run, print, write the figures; 1 where an invariant broke."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--visits", type=int, default=1_200)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path(".bihuan/chaos/loop.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bihuan-chaos-") as state:
        figures = asyncio.run(run(options.kills, options.visits, options.seed, Path(state)))
    write(options.out, asdict(figures))
    return int(figures.totals_differ or figures.difference_nanos)


if __name__ == "__main__":
    sys.exit(main())
