"""
Look-alike end to end at 10^5, 10^6 and 10^7 synthetic people: seconds, rows a second and core, and peak memory.

The people are written to Parquet beforehand, which is not counted; what is counted is the whole job, in a process of
its own: drawing, leakage checks, training, judging, scoring everybody, taking the best, on two threads. A hundredth of
the people (1,000 at the least) are seeds, a tenth is the package. Run it with `python loadtests/bench_lookalike.py`.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from figures import commit, machine, write
from lookalike_people import People, make_people
from rich.console import Console
from rich.table import Table

from bihuan_cli.datasets.catalog import JOURNEY
from bihuan_cli.datasets.fetch import fetch, fetch_progress
from bihuan_scoring.lookalike.curve import CurvePoint
from bihuan_scoring.lookalike.job import expand
from bihuan_scoring.lookalike.order import LookAlikeOrder
from bihuan_scoring.lookalike.workers import ThreadWorkers

SIZES = (100_000, 1_000_000, 10_000_000)
THREADS = 2
TARGETS = {"lookalike_s_1e7": 120.0, "lookalike_peak_mib": 4_096.0}
_LEAST_SEEDS = 1_000
_FREE_BYTES_A_PERSON = 600


class Stages:
    """When the job got how far."""

    def __init__(self) -> None:
        self._started_s = time.monotonic()
        self.reached: dict[float, float] = {}

    def progress(self, share: float) -> None:
        """Note the first instant of each twentieth."""
        self.reached.setdefault(round(share * 20) / 20, round(time.monotonic() - self._started_s, 2))

    def stopped(self) -> bool:
        """Never."""
        return False


def measure(people: People, threads: int) -> dict[str, object]:
    """One job in this process."""
    count = sum(1 for _ in people.paths)
    with TemporaryDirectory(prefix="bihuan-look-alike-") as folder:
        stages = Stages()
        started_s, cpu_s = time.monotonic(), time.process_time()
        rows = int(people.paths[0].parent.name.rsplit("-", 1)[-1])
        order = LookAlikeOrder(people.paths, people.seed_ids, people.as_of_us, target_size=rows // 10)
        package = expand(order, ThreadWorkers(threads), Path(folder), stages)
        seconds = time.monotonic() - started_s
    evidence = package.evidence
    return {
        "people": rows,
        "files": count,
        "seeds": len(people.seed_ids),
        "package": len(package.person_ids),
        "seconds": round(seconds, 2),
        "cpu_s": round(time.process_time() - cpu_s, 2),
        "rows_per_s_per_core": round(rows / seconds / threads),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "lift_10": next(each.lift for each in evidence.lifts if each.share == 0.10),  # noqa: PLR2004
        "precision_estimated": _precision_at(evidence.curve, len(package.person_ids)),
        "precision_true": round(float(np.isin(package.person_ids, people.belonging, assume_unique=True).mean()), 3),
        "stages": stages.reached,
        "curve": [asdict(point) for point in evidence.curve],
    }


def _precision_at(curve: Sequence[CurvePoint], size: int) -> float:
    return min(curve, key=lambda point: abs(point.size - size)).precision


def run(
    cache: Path = Path(".bihuan/data"),
    work: Path = Path(".bihuan/bench/people"),
    sizes: tuple[int, ...] = SIZES,
    *,
    keep: bool = False,
) -> dict[str, object]:
    """Every size, each in a process of its own; headline figures are of 10^7."""
    with fetch_progress() as progress:
        journey = fetch(JOURNEY, cache, progress)
    table = Table("synthetic people", "seeds", "package", "s", "rows/s/core", "peak MiB", "lift at 10 %")
    curve: list[dict[str, object]] = []
    for size in sizes:
        folder = work / f"people-{size}"
        work.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(work).free < size * _FREE_BYTES_A_PERSON:
            raise SystemExit(f"{size:,} people do not fit on the disk under {work}")
        make_people(folder, journey, size, _seeds(size))
        command = [sys.executable, __file__, "--one", str(folder), "--cache", str(cache)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
        found: dict[str, object] = json.loads(answer.stdout)
        curve.append(found)
        names = ("people", "seeds", "package", "seconds", "rows_per_s_per_core", "peak_mib", "lift_10")
        table.add_row(*(f"{found[name]:,}" for name in names))
        if not keep:
            shutil.rmtree(folder)
    Console(stderr=True, width=120).print(table)
    last = curve[-1]
    figures: dict[str, object] = {
        f"lookalike_s_1e{len(str(last['people'])) - 1}": last["seconds"],
        "lookalike_peak_mib": last["peak_mib"],
        "lookalike_rows_per_s_per_core": last["rows_per_s_per_core"],
        "lookalike_curve": curve,
        "lookalike_synthetic": True,
        "lookalike_threads": THREADS,
        "lookalike_targets": TARGETS,
    }
    missed = [name for name, most in TARGETS.items() if float(str(figures.get(name, 0.0))) > most]
    return figures | {"lookalike_missed": missed}


def _seeds(size: int) -> int:
    return max(_LEAST_SEEDS, size // 100)


def main() -> int:
    """Run, print, write the figures; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--cache", type=Path, default=Path(".bihuan/data"))
    parser.add_argument("--work", type=Path, default=Path(".bihuan/bench/people"))
    parser.add_argument("--out", type=Path, default=Path(".bihuan/bench/lookalike.json"))
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--keep", action="store_true", help="keep the people that were made")
    parser.add_argument("--one", type=Path, help="measure this folder only, and print its figures")
    options = parser.parse_args()
    if options.one is not None:
        size = int(options.one.name.rsplit("-", 1)[-1])
        with fetch_progress() as progress:
            journey = fetch(JOURNEY, options.cache, progress)
        people = make_people(options.one, journey, size, _seeds(size))
        sys.stdout.write(json.dumps(measure(people, THREADS)))
        return 0
    started_s = time.monotonic()
    found = run(options.cache, options.work, tuple(options.sizes), keep=options.keep)
    duration_s = round(time.monotonic() - started_s, 1)
    write(options.out, {**found, "machine": machine(), "commit": commit(), "duration_s": duration_s})
    return int(bool(found["lookalike_missed"]))


if __name__ == "__main__":
    sys.exit(main())
