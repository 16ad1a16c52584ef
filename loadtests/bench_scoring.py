"""
Microseconds a row of the response model: compiled trees beside `Booster.predict` and MLServer over gRPC, in one run.

The model is 100 trees of 31 leaves on every feature, trained on synthetic rows (`scoring_rows`), and the same for all.
`us_per_row` and `booster_us_per_row` are the trees alone on one core, in turns, medians; `response_us_per_row` is the
whole response around them (linear logit, trees, calibration) and `booster_response_us_per_row` the same without
compiled trees. `mlserver_us_per_row` is what a client waits for MLServer's LightGBM runtime, `grpc_us_per_row` what it
waits for our BatchScore, which builds the features of 100 persons x 200 candidates from their profiles as well; both
servers have one core, the client the other one. Queries over audiences and look-alike stand in `bench_tag_index` and
`bench_lookalike`; each runs in a process of its own, so that its memory is given back, and `part_s` says how long.
`missed` names what is not reached, and 1 is returned then. Run it with `make bench-scoring`; it writes
`.bihuan/bench/scoring.json`.
"""

import argparse
import importlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import figures
import lightgbm
import numpy as np
from mlserver_peer import ask_mlserver
from rich.console import Console
from rich.table import Table
from scoring_process import ask_ours
from scoring_rows import Labels, Rows, feature_rows

from bihuan_scoring.domain.features import CATEGORICAL_COLUMNS, FEATURES, LINEAR_COLUMNS
from bihuan_scoring.domain.linear import LinearLogit, PlattScale, Standardiser
from bihuan_scoring.domain.model_keys import ModelSigner, ModelTrust
from bihuan_scoring.model_files import sample_of
from bihuan_scoring.predictor import CalibratedResponse, LoadedModel
from bihuan_scoring.registry_store import DiskModelRegistry, TrainedVersion
from bihuan_scoring.training import ResponseModel
from bihuan_scoring.tree_cache import TreeCache

BENCH = Path(".bihuan/bench")
TREES = 100
LEAVES = 31
REPEATS = 7
WANTED_RATIO = 2.5
WANTED_DUCKDB_RATIO = 20
MOST_QUERY_MS = 60.0
MOST_LOOKALIKE_S = 120.0
MOST_LOOKALIKE_MIB = 4_096
SIGNER = ModelSigner({1: bytes(32)})
OTHERS = ("bench_tag_index", "bench_lookalike")


def measure(count: int, *, with_mlserver: bool) -> dict[str, object]:
    """Every figure of predicting so many rows."""
    cores = sorted(os.sched_getaffinity(0))
    mine, servers = cores[-1], cores[0]
    rows, labels = feature_rows(count)
    with tempfile.TemporaryDirectory(prefix="bihuan-bench-") as folder:
        state = Path(folder)
        plain, fast, found = _models(state, rows, labels)
        os.sched_setaffinity(0, {mine})
        try:
            found |= _trees(plain, fast, rows)
        finally:
            os.sched_setaffinity(0, set(cores))
        found |= ask_ours(state, SIGNER.public_keys(), (servers, mine))
        if with_mlserver:
            text = plain.click.trees.text if isinstance(plain.click, CalibratedResponse) and plain.click.trees else ""
            found |= _peer(ask_mlserver(BENCH, state, text, rows, (servers, mine)), plain, rows)
    return found


def _models(state: Path, rows: Rows, labels: Labels) -> tuple[LoadedModel, LoadedModel, dict[str, object]]:
    """The model on LightGBM's own predictor, on compiled trees, and what compiling took."""
    parameters = {"objective": "binary", "num_leaves": LEAVES, "verbosity": -1, "seed": 1, "boost_from_average": False}
    data = lightgbm.Dataset(
        rows, label=labels, feature_name=list(FEATURES), categorical_feature=list(CATEGORICAL_COLUMNS)
    )
    text = lightgbm.train(parameters, data, num_boost_round=TREES).model_to_string()
    linear = LinearLogit(Standardiser.fit(rows), np.full(len(LINEAR_COLUMNS), 0.01), -1.0)
    click = ResponseModel(linear, text, PlattScale(), {})
    registry = DiskModelRegistry(state / "scoring" / "models", ModelTrust.parse(SIGNER.public_keys()))
    registry.add(TrainedVersion("bench", 1, click, 0.02, {}, {}, sample_of(rows)), SIGNER)
    plain = registry.load("bench")
    started_s = time.perf_counter()
    fast = TreeCache(state / "scoring" / "models", b"", 600.0).faster(plain)
    took_s = time.perf_counter() - started_s
    return plain, fast, {"trees": TREES, "leaves": LEAVES, "predictor": fast.predictor, "compile_s": round(took_s, 1)}


def _trees(plain: LoadedModel, fast: LoadedModel, rows: Rows) -> dict[str, object]:
    compiled, booster = fast.click, plain.click
    assert isinstance(compiled, CalibratedResponse)
    assert isinstance(booster, CalibratedResponse)
    assert compiled.fast is not None, "the trees of the benchmark compile"
    assert booster.trees is not None
    difference = np.abs(compiled.fast.scores(rows) - booster.trees.scores(rows)).max()
    us, booster_us = _in_turns(rows, compiled.fast.scores, booster.trees.scores)
    whole_us, booster_whole_us = _in_turns(rows, compiled.probabilities, booster.probabilities)
    few_us, booster_few_us = _in_turns(np.ascontiguousarray(rows[:50]), compiled.fast.scores, booster.trees.scores, 200)
    return {
        "rows": len(rows),
        "us_per_row": round(us, 3),
        "booster_us_per_row": round(booster_us, 3),
        "booster_ratio": round(booster_us / us, 2),
        "wanted_booster_ratio": WANTED_RATIO,
        "largest_difference": float(difference),
        "response_us_per_row": round(whole_us, 3),
        "booster_response_us_per_row": round(booster_whole_us, 3),
        "us_per_row_of_50": round(few_us, 3),
        "booster_us_per_row_of_50": round(booster_few_us, 3),
    }


def _in_turns(
    rows: Rows, one: Callable[[Rows], object], other: Callable[[Rows], object], repeats: int = REPEATS
) -> tuple[float, float]:
    """Medians of microseconds a row of both, measured in turns."""
    took: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for times, score in zip(took, (one, other), strict=True):
            started_s = time.perf_counter()
            score(rows)
            times.append(time.perf_counter() - started_s)
    ours_s, theirs_s = map(statistics.median, took)
    return ours_s / len(rows) * 1e6, theirs_s / len(rows) * 1e6


def _peer(peer: Mapping[str, Any], plain: LoadedModel, rows: Rows) -> dict[str, object]:
    if "reason" in peer:
        return {"mlserver_us_per_row": None, "mlserver_reason": peer["reason"]}
    click = plain.click
    assert isinstance(click, CalibratedResponse)
    assert click.trees is not None
    ours = 1.0 / (1.0 + np.exp(-click.trees.scores(rows[:100])))
    by_size = {size: round(us, 3) for size, us in peer["us_per_row"].items()}
    return {
        "mlserver_us_per_row": min(by_size.values()),
        "mlserver_us_per_row_by_request_rows": by_size,
        "mlserver_largest_difference": float(np.abs(ours - np.array(peer["first"])).max()),
        "mlserver": peer["package"],
    }


def others(names: Sequence[str]) -> dict[str, object]:
    """The figures of the other parts, each measured in a process of its own, and the seconds that it took."""
    found: dict[str, object] = {}
    took_s: dict[str, float] = {}
    for name in names:
        with tempfile.TemporaryDirectory(prefix="bihuan-bench-") as folder:
            out = Path(folder) / "figures.json"
            started_s = time.monotonic()
            command = [sys.executable, __file__, "--part", name, "--out", str(out)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
            took_s[name] = round(time.monotonic() - started_s, 1)
            found |= json.loads(out.read_text())
    return found | {"part_s": took_s}


def missed(found: Mapping[str, Any]) -> list[str]:
    """What is wanted and not reached; what was not measured is not reached."""
    most = {
        "us_per_row": found["booster_us_per_row"] / WANTED_RATIO,
        "query_ms_1e8": min(MOST_QUERY_MS, found.get("duckdb_query_ms_1e8", 0.0) / WANTED_DUCKDB_RATIO),
        "lookalike_s_1e7": MOST_LOOKALIKE_S,
        "lookalike_peak_mib": MOST_LOOKALIKE_MIB,
        "mlserver_us_per_row": math.inf,
    }
    return [name for name, limit in most.items() if found.get(name) is None or found[name] > limit]


def main() -> int:
    """Measure, print and write; 1 where something is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--without-mlserver", action="store_true")
    parser.add_argument("--only-rows", action="store_true", help="leave out audiences and look-alike")
    parser.add_argument("--out", type=Path, default=BENCH / "scoring.json")
    parser.add_argument("--part", choices=OTHERS, help="measure this part only, and write its figures")
    asked = parser.parse_args()
    if asked.part is not None:
        figures.write(asked.out, importlib.import_module(asked.part).run())
        return 0
    started_s = time.monotonic()
    found = {"data": "synthetic, seeded"} | measure(asked.rows, with_mlserver=not asked.without_mlserver)
    found |= others(() if asked.only_rows else OTHERS)
    found["missed"] = missed(found)
    found |= {"machine": figures.machine(), "commit": figures.commit()}
    found["duration_s"] = round(time.monotonic() - started_s, 1)
    table = Table("figure", "value", title="Scoring")
    for name, value in found.items():
        table.add_row(name, str(value))
    Console().print(table)
    figures.write(asked.out, found)
    return int(bool(found["missed"]))


if __name__ == "__main__":
    sys.exit(main())
