"""
Judge the response model on Complete Journey: will a household redeem what is sent to it.

The lake of a stack is written as it would have been logged, and the product trains on it (`train_model`) as it stood on
2017-08-15: the sends of campaigns that ended before that day. Regularisation, trees and calibration are chosen inside.
The test is every send of the campaigns that started on or after that day, winners or not. Intervals are 95 % of
bootstrap draws of whole households. Campaigns that began before the first basket of the set (2017) are left out, for
nothing is known of anybody then. Redemption stands in for the click.

Run it with `make eval-scoring`; it writes `.bihuan/eval/scoring.json` and ends with 1 where a target is missed. The
figures of look-alike come from `eval_lookalike`, where that is there.
"""

import argparse
import importlib
import importlib.util
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from figures import commit, machine, write
from journey_sends import Send, journey_sends, write_lake
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.metrics import log_loss, roc_auc_score

from bihuan_cli.datasets.catalog import JOURNEY
from bihuan_cli.datasets.fetch import fetch, fetch_progress
from bihuan_cli.datasets.journey import JourneyReader
from bihuan_cli.demo import CUT_OFF_US, SEED, is_early, is_later
from bihuan_scoring.app import train_model
from bihuan_scoring.domain.model_keys import ModelTrust
from bihuan_scoring.domain.reliability import expected_calibration_error, lift_at
from bihuan_scoring.fitting import fit_platt
from bihuan_scoring.forward import curves
from bihuan_scoring.predictor import CalibratedResponse
from bihuan_scoring.records import read_labelled_rows
from bihuan_scoring.registry_store import DiskModelRegistry
from bihuan_scoring.training import TrainingConfig, TrainingSet, choose
from bihuan_scoring.training_job import TrainingRows, matrix_of
from bihuan_shared.clock import parse_rfc3339_us

FIRST_BASKET_US = parse_rfc3339_us("2017-01-01T00:00:00Z")
END_US = parse_rfc3339_us("2018-06-01T00:00:00Z")
"""After everything, so that every redemption of the set is known."""
AT_LEAST: Mapping[str, float] = {
    "response_auc": 0.80,
    "lookalike_lift_journey": 3.5,
    "lookalike_lift_movielens": 4.0,
}
AT_MOST: Mapping[str, float] = {"response_ece": 0.03, "leakage_failures": 0.0}
DRAWS = 2_000

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Test:
    """The later sends: whether each was redeemed, by whom, and the probabilities of both models."""

    labels: Ints
    households: Ints
    response: Floats
    linear: Floats


def rows_of(sends: Sequence[Send], folder: Path, known_until_us: int) -> TrainingRows:
    """The feature rows of sends, out of a lake that holds them, as training reads them."""
    write_lake(folder, sends)
    rows = matrix_of(read_labelled_rows(str(folder), known_until_us), known_until_us)
    assert len(rows.clicked) == len(sends), f"{len(rows.clicked)} rows of {len(sends)} sends"
    assert int(rows.clicked.sum()) == sum(send.click_time_us is not None for send in sends)
    return rows


def evaluate(sends: Sequence[Send], folder: Path) -> tuple[dict[str, object], Test]:
    """Train on the early sends, and score the later ones once."""
    early = [one for one in sends if is_early(one.campaign) and one.campaign.start_time_us >= FIRST_BASKET_US]
    later = [one for one in sends if is_later(one.campaign)]
    train = rows_of(early, folder / "early", CUT_OFF_US)
    version = train_model(str(folder / "early"), folder / "models", CUT_OFF_US, seed=SEED)
    click = DiskModelRegistry(folder / "models", ModelTrust(allow_unsigned=True)).load(version.version).click
    assert isinstance(click, CalibratedResponse)
    # The baseline is the linear part alone, with a calibration of its own.
    rows = TrainingSet(train.matrix, train.clicked, train.groups)
    alone = fit_platt(choose(rows, TrainingConfig(seed=SEED, max_rounds=0)).logits, train.clicked)
    test = rows_of(later, folder / "later", END_US)
    linear = alone.probabilities(click.linear.logits(test.matrix))
    told: dict[str, object] = {
        "train_rows": len(early),
        "train_positives": int(train.clicked.sum()),
        "model_version": version.version,
        "inside_training": {name: round(value, 5) for name, value in sorted(version.metrics.items())},
    }
    return told, Test(test.clicked, test.groups, click.probabilities(test.matrix), linear)


def _auc(labels: Ints, probabilities: Floats) -> float:
    return float(roc_auc_score(labels, probabilities))


def _log_loss(labels: Ints, probabilities: Floats) -> float:
    return float(log_loss(labels, probabilities))


def _ece(labels: Ints, probabilities: Floats) -> float:
    return expected_calibration_error(probabilities, labels)


def _lift(labels: Ints, probabilities: Floats) -> float:
    return lift_at(probabilities, labels, 0.1)


MEASURES = {"auc": _auc, "ece": _ece, "log_loss": _log_loss, "top_decile_lift": _lift}


def judge(test: Test) -> dict[str, object]:
    """Every measure of both models with its interval, and the interval of what the trees add."""
    households, inverse = np.unique(test.households, return_inverse=True)
    rows_by_household = np.split(np.argsort(inverse, kind="stable"), np.cumsum(np.bincount(inverse))[:-1])
    random = np.random.default_rng(SEED)
    drawn: dict[str, list[float]] = {f"{who}_{what}": [] for who in ("response", "linear") for what in MEASURES}
    gained: list[float] = []
    for _ in range(DRAWS):
        rows = np.concatenate([rows_by_household[k] for k in random.integers(0, len(households), len(households))])
        for who, probabilities in (("response", test.response), ("linear", test.linear)):
            for what, measure in MEASURES.items():
                drawn[f"{who}_{what}"].append(measure(test.labels[rows], probabilities[rows]))
        gained.append(drawn["response_auc"][-1] - drawn["linear_auc"][-1])
    found: dict[str, object] = {}
    for who, probabilities in (("response", test.response), ("linear", test.linear)):
        for what, measure in MEASURES.items():
            found[f"{who}_{what}"] = round(measure(test.labels, probabilities), 4)
            found[f"{who}_{what}_interval"] = _interval(drawn[f"{who}_{what}"])
    return found | {
        "auc_gain_of_trees_interval": _interval(gained),
        "test_rows": len(test.labels),
        "test_positives": int(test.labels.sum()),
        "test_households": len(households),
        "mean_predicted": round(float(test.response.mean()), 4),
        "observed_rate": round(float(test.labels.mean()), 4),
        "curves": curves(test.response, test.labels),
    }


def _interval(values: Sequence[float]) -> list[float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return [round(float(low), 4), round(float(high), 4)]


def print_table(figures: Mapping[str, object], console: Console) -> None:
    """Both models beside each other."""
    table = Table(
        "figure", "LightGBM on a linear logit", "linear alone", title="Complete Journey, redemption of a send"
    )
    for what in MEASURES:
        cells = [f"{figures[f'{who}_{what}']} {figures[f'{who}_{what}_interval']}" for who in ("response", "linear")]
        table.add_row(what, *cells)
    console.print(table)


def misses(figures: Mapping[str, object]) -> list[str]:
    """The targets that are missed, of those whose figures are there."""
    held = {name: float(str(figures[name])) for name in (*AT_LEAST, *AT_MOST) if name in figures}
    low = [name for name, target in AT_LEAST.items() if held.get(name, target) < target]
    return low + [name for name, target in AT_MOST.items() if held.get(name, target) > target]


def main() -> int:
    """Run, write the figures; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--cache", type=Path, default=Path(".bihuan/data"))
    parser.add_argument("--out", type=Path, default=Path(".bihuan/eval/scoring.json"))
    options = parser.parse_args()
    started_s = time.monotonic()
    console = Console(stderr=True)
    with fetch_progress() as progress:
        reader = JourneyReader(fetch(JOURNEY, options.cache, progress))
    sends = journey_sends(reader)
    reader.close()
    with tempfile.TemporaryDirectory(prefix="bihuan-eval-") as folder:
        told, test = evaluate(sends, Path(folder))
    figures = told | judge(test)
    print_table(figures, console)
    if importlib.util.find_spec("eval_lookalike") is not None:
        figures |= importlib.import_module("eval_lookalike").run()
    missed = misses(figures)
    figures |= {"missed": missed, "machine": machine(), "commit": commit()}
    write(options.out, figures | {"duration_s": round(time.monotonic() - started_s, 1)})
    for name in missed:
        console.print(f"[red]missed: {name}[/]")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
