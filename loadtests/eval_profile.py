"""
What profile says of everyone's orders beside what DuckDB reads in the files, and what it expected beside what came.

Every basket of Complete Journey and every purchase of the 2,357 customers of CDNOW goes through the real service
(`IngestEvents`, embedded Valkey) at the times of the files: the service runs on a replayed clock, so no date is moved.
CDNOW's lines are real purchases, joined by day as its summary joins them. Run it with `make eval-profile`; it writes
`.bihuan/eval/profile.json` and ends with 1 where a target is missed.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from figures import commit, machine, write
from numpy.typing import NDArray
from profile_lifetime import SHARES, choose_share, error, expected, fit, interval, judgement, published_fit
from profile_process import ProfileForks, ProfileProcess, profile_environment
from profile_replay import CURRENCY, ReplayedService
from profile_truth import DAY_US, HORIZON_DAYS, Histories, Truth, Truths, rank_error, values_of
from rich.console import Console

from bihuan.profile.v1 import profile_pb2 as pb
from bihuan_cli.datasets.catalog import CDNOW, JOURNEY
from bihuan_cli.datasets.fetch import fetch, fetch_progress
from bihuan_profile.domain.lifetime import RECENT_SHARE
from bihuan_profile.domain.population import Population
from bihuan_profile.domain.rfm import QUINTILE_SHARES, TERCILE_SHARES, part
from bihuan_profile.profile_store.population_in_redis import RedisPopulationStore
from bihuan_shared.clock import to_us
from bihuan_shared.embedded import EmbeddedValkey
from bihuan_shared.redis import open_redis


def _us(year: int, month: int, day: int) -> int:
    return int(datetime(year, month, day, tzinfo=UTC).timestamp()) * 1_000_000


JOURNEY_START_US = _us(2017, 1, 1)
JOURNEY_SPLIT_US = _us(2017, 10, 3)
JOURNEY_END_US = _us(2018, 1, 2)
FOLD_DAYS = (95, 140, 185)
"""Splits inside the training period, days after its start; the 90 days after each end before the test begins."""
CDNOW_START_US = _us(1997, 1, 1)
CDNOW_SPLIT_US = _us(1997, 10, 1)


def mismatches(profiles: Mapping[int, pb.Profile], truths: Mapping[int, Truth]) -> int:
    """How many persons differ from the files in recency, frequency or monetary value."""
    told = {
        person_id: Truth(to_us(rfm.last_order_time), rfm.frequency, sum(money.micros for money in rfm.monetary))
        for person_id, rfm in ((one, profile.rfm) for one, profile in profiles.items())
    }
    return sum(told.get(person_id) != truth for person_id, truth in truths.items()) + len(told.keys() - truths.keys())


def compare(
    profiles: Mapping[int, pb.Profile], truths: Mapping[int, Truth], population: Population
) -> dict[str, object]:
    """R, F and M of everyone, the ranks of the cuts, and how many are in another quintile than exactly."""
    exact, scales = values_of(truths), population.currencies[CURRENCY]
    measures = {
        "recency": (population.recency.cuts, QUINTILE_SHARES),
        "frequency": (population.frequency.cuts, QUINTILE_SHARES),
        "monetary": (scales.monetary.cuts, QUINTILE_SHARES),
        "order_value": (scales.order_value.cuts, TERCILE_SHARES),
    }
    errors = {name: rank_error(cuts, shares, exact[name]) for name, (cuts, shares) in measures.items()}
    # The value at or below which at least that share lies, as `rfm` has it.
    true_cuts = {
        name: np.quantile(exact[name], shares, method="inverted_cdf") for name, (_, shares) in measures.items()
    }
    other = sum(
        (rfm.recency_quintile, rfm.frequency_quintile, rfm.monetary_quintile)
        != (
            part(truth.last_us, true_cuts["recency"]),
            part(truth.frequency, true_cuts["frequency"]),
            part(truth.micros, true_cuts["monetary"]),
        )
        for rfm, truth in ((profiles[person_id].rfm, truth) for person_id, truth in truths.items())
    )
    return {
        "persons": len(truths),
        "rfm_mismatches": mismatches(profiles, truths),
        "rank_errors": {name: round(one, 5) for name, one in errors.items()},
        "rank_bound": round(population.rank_error, 5),
        "persons_in_another_quintile": other,
    }


def _told_spend(profiles: Mapping[int, pb.Profile], histories: Histories) -> NDArray[np.float64]:
    return np.array([profiles[int(one)].rfm.expected_spend.micros for one in histories.person_ids], np.float64)


def lifetime(
    told: NDArray[np.float64], histories: Histories, folds: Sequence[Histories], population: Population
) -> dict[str, object]:
    """The forecasts of Complete Journey that were served, judged once; the weight is chosen on what came before."""
    chosen, tried = choose_share(folds)
    models = population.purchases, population.currencies[CURRENCY].spending
    assert models[0] is not None
    assert models[1] is not None
    return {
        "ltv_mae": round(error(told, histories.actual), 3),
        "naive_ltv_mae": round(error(histories.naive, histories.actual), 3),
        **interval(told, histories),
        "ltv": judgement(told, histories),
        "naive_ltv": judgement(histories.naive, histories),
        "models_alone_ltv": judgement(expected((models[0], models[1]), histories, 0.0), histories),
        "ltv_test_from": "2017-10-03",
        "ltv_horizon_days": HORIZON_DAYS,
        "recent_share": RECENT_SHARE,
        "recent_share_chosen": chosen,
        "recent_share_tried": tried,
        "recent_share_chosen_by": f"mean of error beside naive error over splits on days {FOLD_DAYS} of {SHARES}",
    }


async def journey(service: ReplayedService, truths: Truths, console: Console) -> dict[str, object]:
    """Complete Journey: up to the split, what is expected then, the rest, and everything compared."""
    histories = truths.histories("journey", JOURNEY_SPLIT_US)
    folds = [truths.histories("journey", JOURNEY_START_US + days * DAY_US) for days in FOLD_DAYS]
    started_s = time.monotonic()
    before = truths.purchases("journey", JOURNEY_START_US, JOURNEY_SPLIT_US)
    await service.tell(before, JOURNEY_SPLIT_US)
    population = await service.population(JOURNEY_SPLIT_US + 1, len(histories.person_ids))
    told = _told_spend(await service.read(histories.person_ids.tolist(), JOURNEY_SPLIT_US), histories)
    after = truths.purchases("journey", JOURNEY_SPLIT_US, JOURNEY_END_US)
    await service.tell(after, JOURNEY_END_US)
    spent_s = time.monotonic() - started_s
    console.print(f"Complete Journey: {len(before) + len(after):,} orders in {spent_s:.0f} s")
    exact = truths.journey()
    last = await service.population(JOURNEY_END_US + 1, len(exact))
    compared = compare(await service.read(list(exact), JOURNEY_END_US), exact, last)
    return {**lifetime(told, histories, folds, population), "journey": {"orders": len(before) + len(after), **compared}}


async def cdnow(service: ReplayedService, truths: Truths, console: Console) -> dict[str, object]:
    """CDNOW: everything up to the end of the summary compared, and what is expected then."""
    purchases = truths.purchases("cdnow", CDNOW_START_US, CDNOW_SPLIT_US)
    await service.tell(purchases, CDNOW_SPLIT_US)
    exact = truths.cdnow(CDNOW_SPLIT_US)
    population = await service.population(CDNOW_SPLIT_US + 1, len(exact))
    profiles = await service.read(list(exact), CDNOW_SPLIT_US)
    console.print(f"CDNOW: {len(purchases):,} days with purchases")
    histories = truths.histories("cdnow", CDNOW_SPLIT_US)
    found = {"orders": len(purchases), **compare(profiles, exact, population), **published_fit(truths.cdnow_weeks())}
    return {
        "cdnow": found
        | {
            "ltv": judgement(_told_spend(profiles, histories), histories),
            "naive_ltv": judgement(histories.naive, histories),
            "models_alone_ltv": judgement(expected(fit(histories), histories, 0.0), histories),
        }
    }


async def run(data: Path, state: Path, console: Console) -> dict[str, object]:
    """Both sets, each in a service of its own."""
    with fetch_progress() as progress:
        truths = Truths(fetch(JOURNEY, data, progress), fetch(CDNOW, data, progress))
    valkey = EmbeddedValkey.start(state / "valkey", options=("--appendonly", "no"))
    forks = ProfileForks()
    found: dict[str, object] = {}
    try:
        for name, evaluate in (("cdnow", cdnow), ("journey", journey)):
            assert valkey.command("FLUSHALL") == b"+OK\r\n"
            environment = profile_environment(state / name, valkey.url, clock="replay")
            server = await ProfileProcess.start(forks, environment, state / f"{name}.log")
            client = await open_redis(valkey.url)
            found |= await evaluate(ReplayedService(server, RedisPopulationStore(client)), truths, console)
            await client.aclose()
            await server.stop()
    finally:
        forks.close()
        valkey.stop()
    return found


def main() -> int:
    """Run, write the figures; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--cache", type=Path, default=Path(".bihuan/data"))
    parser.add_argument("--out", type=Path, default=Path(".bihuan/eval/profile.json"))
    options = parser.parse_args()
    started_s = time.monotonic()
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="bihuan-eval-") as folder:
        found = asyncio.run(run(options.cache, Path(folder), console))
    figures = summary(found) | found
    figures |= {"machine": machine(), "commit": commit(), "duration_s": round(time.monotonic() - started_s, 1)}
    write(options.out, figures)
    missed = figures["missed"]
    assert isinstance(missed, list)
    for name in missed:
        console.print(f"[red]missed: {name}[/]")
    return int(bool(missed))


def summary(found: Mapping[str, object]) -> dict[str, object]:
    """The headline figures over both sets, and which targets are missed."""
    sets = [one for one in (found["journey"], found["cdnow"]) if isinstance(one, dict)]
    wrong = sum(one["rfm_mismatches"] for one in sets)
    furthest = max(max(one["rank_errors"].values()) for one in sets)
    bound = min(one["rank_bound"] for one in sets)
    ours, naive = float(str(found["ltv_mae"])), float(str(found["naive_ltv_mae"]))
    held = {
        "rfm_mismatches": wrong == 0,
        "quintile_rank_error": furthest <= bound,
        "ltv_mae": ours < naive,
        "bgnbd": sets[1]["bgnbd_is_published"],
        "recent_share": found["recent_share"] == found["recent_share_chosen"],
    }
    return {
        "rfm_mismatches": wrong,
        "quintile_rank_error": furthest,
        "quintile_rank_bound": bound,
        "ltv_mae": ours,
        "naive_ltv_mae": naive,
        "missed": [name for name, holds in held.items() if not holds],
    }


if __name__ == "__main__":
    sys.exit(main())
