"""
Kill attribution and its engines under load, and see that nothing is lost, billed twice, overspent or shown too often.

Visitors reserve, see, click, buy and return, every call repeated until it is answered, while the service dies at random
failpoints and at random instants, and Valkey and PostgreSQL get SIGKILL. Afterwards the database is read beside the
server. First on SQLite, then on PostgreSQL. Run it with `make chaos-attribution`; it writes
`.bihuan/chaos/attribution.json` and ends with 1 where an invariant broke. SIGKILL keeps what the kernel has in its
cache, so this says nothing about a power cut.
"""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import figures
from attribution_audit import audit
from attribution_engines import Engines
from attribution_process import AttributionForks, AttributionProcess, attribution_environment
from attribution_visits import DEPOSIT_MICROS, Visitors, keep_visiting, terms
from rich.console import Console
from rich.progress import Progress
from service_process import DiedError

from bihuan.attribution.v1 import attribution_pb2 as pb
from bihuan.common.v1 import common_pb2
from bihuan_shared.errors import BihuanError, DeadlineExceeded, ResourceExhausted, Unavailable

AT_ONCE = 12
FAILPOINTS_A_LIFE = 150
ENDS_ITSELF = 0.7
CALL_S = 5.0
SETTLE_S = 120.0
INVARIANTS = ("acknowledged_lost", "double_billed", "difference_nanos", "overspend_nanos", "cap_excess")
TRANSIENT = (Unavailable, DeadlineExceeded, ResourceExhausted)


class Survivor:
    """A server that is started again whenever it dies."""

    def __init__(self, forks: AttributionForks, environment: Mapping[str, str], log: Path, dice: random.Random) -> None:
        self._forks = forks
        self._environment = environment
        self._log = log
        self._dice = dice
        self._life: AttributionProcess | None = None
        self._birth = asyncio.Lock()
        self.kills = 0
        self.armed = True
        self.waited = Counter[str]()

    async def ask(self, method: str, request: object) -> object:
        """The answer, however many lives it takes."""
        while True:
            life = await self.alive()
            try:
                return await life.call(getattr(life.stub, method), request, CALL_S)
            except DiedError:
                self.waited["died"] += 1
            except TRANSIENT as error:
                self.waited[error.reason] += 1
                await asyncio.sleep(0.02)

    async def alive(self) -> AttributionProcess:
        """A server that lives, or lived a moment ago."""
        async with self._birth:
            while self._life is None or self._life.is_dead:
                if self._life is not None:
                    await self._life.stop()
                    self.kills += 1
                failpoint = self._failpoint() if self.armed else None
                self._life = await AttributionProcess.start(self._forks, self._environment, self._log, failpoint)
            return self._life

    def _failpoint(self) -> str | None:
        """Where this life ends by itself, in most lives."""
        return f"*:{self._dice.randint(1, FAILPOINTS_A_LIFE)}" if self._dice.random() < ENDS_ITSELF else None

    async def kill(self) -> None:
        """End the life there is, at whatever it is doing."""
        if self._life is not None:
            await self._life.end()

    async def stop(self) -> None:
        """End for good."""
        if self._life is not None:
            await self._life.stop()


async def run(engine: str, kills: int, seed: int, state: Path) -> dict[str, object]:
    """Go on until so many kills have happened; what was found."""
    started_s = time.monotonic()
    engines = Engines.start(state, engine)
    forks = AttributionForks()
    dice = random.Random(seed)
    environment = attribution_environment(
        state, engines.database_url, engines.valkey.url,
        BIHUAN_ATTRIBUTION_MIN_CLICK_DELAY_MS="0", BIHUAN_ATTRIBUTION_CLICKS_PER_CREATIVE_HOUR="0",
        BIHUAN_ATTRIBUTION_CLICKS_PER_PERSON_HOUR="0",
    )  # fmt: skip
    server = Survivor(forks, environment, state / "attribution.log", dice)
    visitors = Visitors(server.ask, seed)
    await _prepare(server)
    stop = asyncio.Event()
    numbers = [0]
    visiting = [asyncio.create_task(keep_visiting(visitors, numbers, stop)) for _ in range(AT_ONCE)]
    await _storm(server, engines, kills, dice, visiting)
    stop.set()
    await asyncio.gather(*visiting)
    server.armed = False
    await server.kill()
    difference = await _settled(server)
    found = audit(engines.connect(), visitors.seen)
    await server.stop()
    forks.close()
    engines.stop()
    return {
        "kills": server.kills + engines.valkey_kills + engines.postgres_kills,
        **{name: {**found, "difference_nanos": difference}[name] for name in INVARIANTS},
        "service_kills": server.kills,
        "valkey_kills": engines.valkey_kills,
        "postgres_kills": engines.postgres_kills,
        "visits": visitors.visits,
        "acknowledged": len(visitors.seen.acknowledged),
        "charged_events": found["charged_events"],
        "outcomes": dict(visitors.seen.outcomes),
        "asked_again": dict(server.waited),
        "killed_at": _died_at(state / "attribution.log"),
        "duration_s": round(time.monotonic() - started_s, 1),
    }


async def _prepare(server: Survivor) -> None:
    server.armed = False
    await server.ask("PutTerms", terms())
    amount = common_pb2.Money(currency="CNY", micros=DEPOSIT_MICROS)
    await server.ask("Deposit", pb.DepositRequest(advertiser_id="poor", deposit_id="first", amount=amount))
    # Without a balance nothing can be set aside, whatever may be owed.
    plenty = common_pb2.Money(currency="CNY", micros=10**12)
    await server.ask("Deposit", pb.DepositRequest(advertiser_id="rich", deposit_id="second", amount=plenty))
    server.armed = True


async def _storm(
    server: Survivor, engines: Engines, kills: int, dice: random.Random, visiting: "list[asyncio.Task[None]]"
) -> None:
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("kills", total=kills)
        while (done := server.kills + engines.valkey_kills + engines.postgres_kills) < kills:
            progress.update(task, completed=done)
            await asyncio.sleep(dice.uniform(0.2, 0.8))
            if failed := next((one for one in visiting if one.done()), None):
                failed.result()
            if dice.random() < 0.25:  # noqa: PLR2004 - a quarter of the blows is for the engines
                await asyncio.to_thread(engines.kill_one, dice) if engines.postgres is None else engines.kill_one(dice)
            elif dice.random() < 0.3:  # noqa: PLR2004 - most die at their failpoints
                await server.kill()
        progress.update(task, completed=kills)


async def _settled(server: Survivor) -> int:
    """Wait until everything is billed, and tell by how much the books differ from the events."""
    deadline_s = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline_s:
        books = await server.ask("Reconcile", pb.ReconcileRequest())
        assert isinstance(books, pb.ReconcileResponse)
        if {one.consumer for one in books.consumers} >= {"billing", "budgets", "fanout", "lake"} and all(
            one.position >= books.head_position for one in books.consumers
        ):
            return sum(one.difference_nanos for one in books.currencies)
        await asyncio.sleep(0.2)
    raise BihuanError("billing does not come to an end")


def _died_at(log: Path) -> dict[str, int]:
    lines = log.read_text(errors="replace").splitlines()
    return dict(Counter(line.removeprefix("failpoint ") for line in lines if line.startswith("failpoint ")))


def main() -> int:
    """Run, print, write the figures; 1 where an invariant broke."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="on each database")
    parser.add_argument("--engine", choices=["sqlite", "postgres", "both"], default="both")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path(".bihuan/chaos/attribution.json"))
    options = parser.parse_args()
    found: dict[str, object] = {}
    broken = 0
    for engine in ("sqlite", "postgres") if options.engine == "both" else (options.engine,):
        # What broke is read in the services' logs, so the folder stays where something did.
        state = Path(tempfile.mkdtemp(prefix="bihuan-chaos-"))
        # PostgreSQL runs as another user.
        state.chmod(0o755)
        sys.stderr.write(f"{engine}: state and logs in {state}\n")
        one = asyncio.run(run(engine, options.kills, options.seed, state))
        found[engine] = one
        if any(one[name] for name in INVARIANTS):
            broken += 1
        else:
            shutil.rmtree(state)
    found |= {"seed": options.seed, "machine": figures.machine(), "commit": figures.commit()}
    figures.write(options.out, found)
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
