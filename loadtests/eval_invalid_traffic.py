"""
How well the rules of invalid traffic tell people from robots, on a made-up day whose truth is known.

SYNTHETIC: nobody clicked anything. `traffic_population` makes requests and, apart from them, the truth; the requests
alone go through what really runs (the gateway's watch, intake, the event log and billing on SQLite, default limits),
and only then is the outcome compared with the truth. The rules were not adjusted to it. Run it with
`make eval-invalid-traffic`; it writes `.bihuan/eval/invalid-traffic.json`.

A click counts as found where it is not billed. What a person did not mean as a click of its own (the second half of a
double click) is left out of every figure. People whose clicks are not billed are false positives whatever the reason.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from figures import commit, machine, write
from rich.console import Console
from rich.table import Table
from traffic_population import LISTED_CLOUDS, Population, Request, Truth, behaviours

from bihuan.attribution.v1 import event_pb2
from bihuan.common.v1 import common_pb2
from bihuan_attribution import schema
from bihuan_attribution.billing_store import SqlBilling
from bihuan_attribution.domain.terms import CampaignTerms
from bihuan_attribution.event_log_store import SqlEventLog, prepare_heads
from bihuan_attribution.settings import AttributionSettings
from bihuan_attribution.terms_store import SqlTerms
from bihuan_attribution.use_cases.ports import TermsBatch
from bihuan_attribution.use_cases.record_events import Recorder
from bihuan_attribution.wire import incoming_event
from bihuan_gateway.data.domain.traffic import AddressRanges, Visit
from bihuan_gateway.data.robots import RobotList
from bihuan_gateway.data.use_cases.watch import TrafficWatch
from bihuan_shared.clock import DAY_US, FixedClock, to_timestamp
from bihuan_shared.sql import Database
from bihuan_shared.tokens import KeyRing, TrackingToken

START_US = 1_750_032_000_000_000
BATCH = 500
SEED = 20_250_616
BILLED, REPEATED = "billed", "repeated_token"
WHAT = (
    "synthetic: people and robots are made up, and so is their mix; recall and false positives by kind say more than "
    "the totals, which follow from the mix"
)
TERMS = CampaignTerms(
    campaign_id="c",
    advertiser_id="a",
    version=1,
    effective_time_us=0,
    currency="USD",
    time_zone="UTC",
    pricing_model="cpc",
    bid_micros=500_000,
    commission_rate_ppm=0,
    promoter_share_ppm=0,
    bills_viewable=False,
    daily_micros=0,
    total_micros=0,
    click_window_us=DAY_US,
    view_window_us=DAY_US,
    caps=(),
    stopped=False,
)


class Pipeline:
    """What really runs between a request and the ledger; it is told nothing of the truth."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._clock = FixedClock(START_US + 2 * DAY_US)
        self._keys = KeyRing({"k1": b"k" * 32})
        self._watch = TrafficWatch(RobotList(), b"a" * 32, AddressRanges(LISTED_CLOUDS))
        self._recorder = Recorder(SqlEventLog(database), self._keys, self._clock, lambda: None)
        self._tokens: dict[int, str] = {}

    async def run(self, requests: Sequence[Request]) -> list[str]:
        """What became of each request: `billed` or counted, a repetition, or why it is invalid or free."""
        await prepare_heads(self._database)
        await SqlTerms(self._database).put(TermsBatch([TERMS]))
        fates: list[str] = []
        for start in range(0, len(requests), BATCH):
            some = [incoming_event(self._event(one)) for one in requests[start : start + BATCH]]
            fates += [one.outcome.value for one in await self._recorder.record(some)]
        await self._recorder.close()
        billing = SqlBilling(self._database, self._clock, AttributionSettings().traffic_limits)
        while await billing.bill(2_000):
            pass
        reasons = await self._reasons()
        return [
            reasons.get((request.kind, f"v{request.view}"), BILLED) if fate == "ACCEPTED" else REPEATED
            for request, fate in zip(requests, fates, strict=True)
        ]

    def _event(self, request: Request) -> event_pb2.Event:
        purposes = (request.purpose,) if request.purpose else ()
        visit = Visit(user_agent=request.user_agent, purposes=purposes, peer=request.address)
        traffic = self._watch.judge(visit, request.at_us)
        return event_pb2.Event(
            event_type=common_pb2.EventType.Value(f"EVENT_TYPE_{request.kind.upper()}"),
            token=self._token(request),
            receive_time=to_timestamp(request.at_us),
            signals=event_pb2.TrafficSignals(
                address_hash=traffic.address_hash,
                known_bot=traffic.known_bot,
                prefetch=traffic.prefetch,
                data_centre=traffic.data_centre,
            ),
        )

    def _token(self, request: Request) -> str:
        if request.view not in self._tokens:
            name = f"v{request.view}"
            facts = TrackingToken(
                name, f"d-{name}", f"cr{request.creative}", f"pl{request.placement}", "c", "a", "g", 1, "cpc", 500_000,
                "USD", request.person, request.at_us, request.at_us + 7 * DAY_US, 0, "",
            )  # fmt: skip
            self._tokens[request.view] = self._keys.seal(facts, request.view.to_bytes(12, "big"))
        return self._tokens[request.view]

    async def _reasons(self) -> dict[tuple[str, str], str]:
        """Why touches are invalid or free, by kind and token."""
        table = schema.touches
        kinds = {1: "impression", 3: "click"}
        rows = await self._database.read(lambda c: c.execute(table.select()).all())
        return {
            (kinds[row.event_type], row.token_id): row.invalid or row.excess
            for row in rows
            if row.invalid or row.excess
        }


def judge(kind: str, requests: Sequence[Request], fates: Sequence[str], truths: Sequence[Truth]) -> dict[str, object]:
    """Compare what became of the requests of one kind with the truth; shares are rounded to 4 digits."""
    by_actor: dict[str, Counter[str]] = defaultdict(Counter)
    humans = {one.actor for one in truths if one.human}
    for request, fate, truth in zip(requests, fates, truths, strict=True):
        if request.kind == kind and not truth.repeats:
            by_actor[truth.actor][fate] += 1
    by_reason: dict[str, Counter[str]] = defaultdict(Counter)
    for actor, counts in by_actor.items():
        for reason in counts.keys() - {BILLED}:
            by_reason[reason]["people" if actor in humans else "robots"] += counts[reason]
    found = sum(counts.total() - counts[BILLED] for actor, counts in by_actor.items() if actor not in humans)
    missed = sum(counts[BILLED] for actor, counts in by_actor.items() if actor not in humans)
    wrong = sum(counts.total() - counts[BILLED] for actor, counts in by_actor.items() if actor in humans)
    right = sum(counts[BILLED] for actor, counts in by_actor.items() if actor in humans)
    return {
        "of_people": right + wrong,
        "of_robots": found + missed,
        "precision": _share(found, found + wrong),
        "recall": _share(found, found + missed),
        "false_positive_rate": _share(wrong, right + wrong),
        "reasons": {reason: dict(sorted(counts.items())) for reason, counts in sorted(by_reason.items())},
        "actors": {
            actor: {
                "human": actor in humans,
                "count": by_actor[actor].total(),
                "not_billed": _share(by_actor[actor].total() - by_actor[actor][BILLED], by_actor[actor].total()),
                "reasons": {name: count for name, count in by_actor[actor].most_common() if name != BILLED},
            }
            for actor in behaviours()
            if actor in by_actor
        },
    }


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


async def evaluate(people: int, seed: int) -> dict[str, object]:
    """Play the day, run it, judge it."""
    requests, truths = Population(seed, people, START_US).play().in_time()
    with tempfile.TemporaryDirectory(prefix="bihuan-traffic-") as folder:
        database = await Database.open(f"sqlite:///{folder}/a.db", schema.metadata, schema="attribution")
        try:
            fates = await Pipeline(database).run(requests)
        finally:
            await database.close()
    clicks = judge("click", requests, fates, truths)
    impressions = judge("impression", requests, fates, truths)
    return {
        "what": WHAT,
        "people": people,
        "seed": seed,
        "requests": len(requests),
        "precision": clicks["precision"],
        "recall": clicks["recall"],
        "false_positive_rate": clicks["false_positive_rate"],
        "clicks": clicks,
        "impressions": impressions,
    }


def show(figures: dict[str, object], console: Console) -> None:
    """Print a table of clicks by what was behind them."""
    clicks = figures["clicks"]
    assert isinstance(clicks, dict)
    table = Table(
        "clicks of", "who", "number", "not billed", "mostly because", title="SYNTHETIC traffic, real pipeline"
    )
    for actor, row in clicks["actors"].items():
        because = next(iter(row["reasons"]), "")
        who = "people" if row["human"] else "robots"
        table.add_row(actor, who, str(row["count"]), f"{row['not_billed']:.2%}", because)
    console.print(table)
    console.print(
        f"precision {clicks['precision']:.4f}, recall {clicks['recall']:.4f}, false positives among people's clicks "
        f"{clicks['false_positive_rate']:.4f}. {WHAT}."
    )


def main() -> int:
    """Run, print, write the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path, default=Path(".bihuan/eval/invalid-traffic.json"))
    options = parser.parse_args()
    started_s = time.monotonic()
    figures = asyncio.run(evaluate(options.people, options.seed))
    show(figures, Console(stderr=True))
    taken_s = round(time.monotonic() - started_s, 1)
    write(options.out, figures | {"machine": machine(), "commit": commit(), "duration_s": taken_s})
    return 0


if __name__ == "__main__":
    sys.exit(main())
