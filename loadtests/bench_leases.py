"""
The budget step of a decision (validate eight candidates, reserve the first that has money) with leases and with calls.

One process decides, as a gateway does, against attribution as a process of its own on a real Valkey and SQLite; both
ways take turns in one run, so their ratio can be compared between machines and the absolute figures cannot. Calls are
merged as the gateway merges them. CPU is that of the deciding process. Writes `.bihuan/bench/leases.json`.
"""

import argparse
import asyncio
import json
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from figures import commit, machine, write

from bihuan.attribution.v1 import attribution_pb2 as pb
from bihuan.attribution.v1 import terms_pb2
from bihuan.attribution.v1.attribution_pb2_grpc import AttributionServiceStub
from bihuan.common.v1 import common_pb2
from bihuan_gateway.control.snapshot import AdGroup, Advertiser, Campaign, Creative
from bihuan_gateway.data.hops.attribution import GrpcBudgets
from bihuan_gateway.data.hops.leases import GrpcLeases
from bihuan_gateway.data.ports import Budgets, ReserveQuery
from bihuan_gateway.data.use_cases.lease_wallet import LeaseWallet
from bihuan_shared.callers import Credential, Role, secret_sha256
from bihuan_shared.clock import DAY_US, SystemClock, to_timestamp
from bihuan_shared.embedded import EmbeddedValkey, free_port, tied_to_parent
from bihuan_shared.rpc.client import open_channel

OUT = Path(".bihuan/bench/leases.json")
SECRET = "secret of the load"  # noqa: S105 - of a server that lives as long as this script
CALL_S = 30.0
START_S = 30.0
ADVERTISERS = 2
CAMPAIGNS = 8
PRICE_NANOS = 500_000
DEPOSIT_MICROS = 10**12


@dataclass(frozen=True, slots=True)
class Lap:
    """Decisions a second, and microseconds of CPU each."""

    per_s: float
    cpu_us: float


async def run(decisions: int, deciders: int, laps: int, state: Path) -> dict[str, object]:
    """Measure both ways in turn."""
    began_s = time.monotonic()
    counts: Counter[tuple[str, str]] = Counter()

    def count(step: str, source: str) -> None:
        counts[step, source] += 1

    async with _attribution(state) as port:
        channel = open_channel(f"127.0.0.1:{port}", secret=SECRET, service="attribution")
        stub = AttributionServiceStub(channel)
        creatives = await _advertise(stub)
        calls = GrpcBudgets(stub, timeout_s=CALL_S)
        wallet = LeaseWallet(
            calls, GrpcLeases(stub, timeout_s=CALL_S), SystemClock(), lambda: secrets.token_hex(12), count
        )
        keeping = asyncio.create_task(wallet.run())
        found: dict[str, list[Lap]] = {"call": [], "lease": []}
        for lap in range(-1, laps):
            for name, budgets in (("call", calls), ("lease", wallet)):
                done = await _lap(budgets, creatives, f"{name}{lap}", decisions, deciders)
                if lap >= 0:
                    found[name].append(done)
                elif name == "lease":
                    counts.clear()
        keeping.cancel()
        await wallet.close()
        await calls.close()
        await channel.close()
    return {
        "decisions_a_lap": decisions,
        "deciders": deciders,
        "laps": laps,
        "candidates": CAMPAIGNS,
        **{f"{name}_per_s": round(statistics.median(lap.per_s for lap in some), 1) for name, some in found.items()},
        **{f"{name}_cpu_us": round(statistics.median(lap.cpu_us for lap in some), 1) for name, some in found.items()},
        "ratio": round(
            statistics.median(
                lease.per_s / call.per_s for lease, call in zip(found["lease"], found["call"], strict=True)
            ),
            2,
        ),
        "answered_by_lease": round(
            sum(counts[step, "lease"] for step in ("validate", "reserve")) / (2 * laps * decisions), 4
        ),
        "machine": f"{machine()}, attribution on the same machine",
        "commit": commit(),
        "duration_s": round(time.monotonic() - began_s, 1),
    }


async def _lap(budgets: Budgets, creatives: list[Creative], name: str, decisions: int, deciders: int) -> Lap:
    numbers = iter(range(decisions))

    async def decide() -> None:
        for number in numbers:
            turn = number % len(creatives)
            ranked = creatives[turn:] + creatives[:turn]
            reservation_id = f"{name}-{number}"
            await budgets.validate(ReserveQuery(reservation_id, 0, tuple((one, 1) for one in ranked)))
            query = ReserveQuery(reservation_id, 0, tuple((one, PRICE_NANOS) for one in ranked))
            if (await budgets.reserve(query)).index is None:
                raise RuntimeError(f"decision {number} got nothing")
            # Whatever else a decision waits for lets others run.
            await asyncio.sleep(0)

    began_s, cpu_s = time.perf_counter(), time.process_time()
    await asyncio.gather(*(decide() for _ in range(deciders)))
    return Lap(decisions / (time.perf_counter() - began_s), (time.process_time() - cpu_s) / decisions * 1e6)


async def _advertise(stub: AttributionServiceStub) -> list[Creative]:
    creatives: list[Creative] = []
    for number in range(ADVERTISERS):
        amount = common_pb2.Money(currency="CNY", micros=DEPOSIT_MICROS)
        deposit = pb.DepositRequest(advertiser_id=f"a{number}", deposit_id=f"d{number}", amount=amount)
        await stub.Deposit(deposit, timeout=CALL_S)
    for number in range(CAMPAIGNS):
        advertiser = Advertiser(f"a{number % ADVERTISERS}", "CNY", "Asia/Shanghai")
        message = terms_pb2.CampaignTerms(
            campaign_id=f"c{number}", advertiser_id=advertiser.id, version=1, currency="CNY", time_zone="Asia/Shanghai"
        )
        message.effective_time.CopyFrom(to_timestamp(SystemClock().now_us() - DAY_US))
        message.pricing.model = terms_pb2.PRICING_MODEL_CPM
        message.budget.daily_micros = message.budget.total_micros = DEPOSIT_MICROS // 10
        await stub.PutTerms(pb.PutTermsRequest(terms=[message]), timeout=CALL_S)
        campaign = Campaign(
            message.campaign_id, advertiser, "cpm", 1, 0, 0, "impression", 1, 0, 0, "asap", DAY_US, capped=False
        )
        group = AdGroup("g", campaign, None, frozenset(), frozenset(), frozenset(), frozenset(), 1)
        creatives.append(Creative(f"k{number}", group, "", (), 0, 0, "{}"))
    return creatives


@asynccontextmanager
async def _attribution(state: Path) -> AsyncIterator[int]:
    """A server on a Valkey of its own; its port."""
    port = free_port()
    valkey = EmbeddedValkey.start(state / "valkey")
    environment = os.environ | {
        "BIHUAN_STATE_DIR": str(state),
        "BIHUAN_ATTRIBUTION_LISTEN": f"127.0.0.1:{port}",
        "BIHUAN_ATTRIBUTION_PORT_FILE": str(state / "port"),
        "BIHUAN_REDIS_URL": valkey.url,
        "BIHUAN_TOKEN_KEYS": "k1:" + "A" * 43,
        "BIHUAN_CALLERS": json.dumps([asdict(Credential("bench", Role.INTERNAL, secret_sha256(SECRET)))]),
        "BIHUAN_LOG_LEVEL": "ERROR",
    }
    command = tied_to_parent([sys.executable, "-m", "bihuan_attribution"])
    server = await asyncio.create_subprocess_exec(*command, env=environment)
    try:
        deadline_s = time.monotonic() + START_S
        while not (state / "port").exists():
            if time.monotonic() > deadline_s or server.returncode is not None:
                raise RuntimeError("attribution did not start")
            await asyncio.sleep(0.05)
        yield port
    finally:
        server.terminate()
        await asyncio.wait_for(server.wait(), START_S)
        valkey.stop()


def main() -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--decisions", type=int, default=5_000)
    parser.add_argument("--deciders", type=int, default=64)
    parser.add_argument("--laps", type=int, default=5)
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bihuan-leases-") as folder:
        write(given.out, asyncio.run(run(given.decisions, given.deciders, given.laps, Path(folder))))


if __name__ == "__main__":
    main()
