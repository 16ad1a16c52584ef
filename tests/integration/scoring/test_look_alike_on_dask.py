"""Look-alike on a Dask cluster of two processes: the same package by one model, and a model as good."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import distributed
import numpy as np
import pytest
from look_alike_people import belonging, order_for, persons

from bihuan_scoring.lookalike.cluster import DaskWorkers
from bihuan_scoring.lookalike.job import Package, expand, score_all
from bihuan_scoring.lookalike.order import LookAlikeOrder, Unwatched
from bihuan_scoring.lookalike.partitions import partitions_of
from bihuan_scoring.lookalike.sampling import Ids
from bihuan_scoring.lookalike.scoring import score_file
from bihuan_scoring.lookalike.selection import take_best
from bihuan_scoring.lookalike.training import LookAlikeConfig
from bihuan_scoring.lookalike.workers import ThreadWorkers

PEOPLE = persons(12_000)
BELONGING = belonging(PEOPLE)
SEEDS = np.sort(np.random.default_rng(1).permutation(BELONGING)[: len(BELONGING) // 2])

pytestmark = [
    pytest.mark.timeout(300),
    # Sockets and event loops of a cluster that goes down are its own.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def client() -> Iterator[distributed.Client]:
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
    )
    with cluster, distributed.Client(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def order(tmp_path_factory: pytest.TempPathFactory) -> LookAlikeOrder:
    config = LookAlikeConfig(small_rows=100, large_rounds=30)
    return order_for(tmp_path_factory.mktemp("people"), PEOPLE, SEEDS, target_size=1_000, config=config)


@pytest.fixture(scope="module")
def local(order: LookAlikeOrder, tmp_path_factory: pytest.TempPathFactory) -> Package:
    return expand(order, ThreadWorkers(), tmp_path_factory.mktemp("local"))


def test_one_model_gives_the_same_package_here_and_there(
    client: distributed.Client, order: LookAlikeOrder, local: Package, tmp_path: Path
) -> None:
    partitions = partitions_of(order.paths)
    score_all(local.model, order, DaskWorkers(client), partitions, tmp_path, Unwatched())
    found: Ids = take_best([score_file(tmp_path, each) for each in partitions], 1_000, order.config.seed)
    assert found.tolist() == local.person_ids.tolist()


def test_model_of_the_cluster_is_as_good_within_the_interval(
    client: distributed.Client, order: LookAlikeOrder, local: Package, tmp_path: Path
) -> None:
    package = expand(order, DaskWorkers(client), tmp_path)
    here, there = local.evidence.lifts[2], package.evidence.lifts[2]
    assert here.low <= there.lift <= here.high
    assert here.low > 1.5
    assert package.evidence.figures["rows"] == local.evidence.figures["rows"]
    assert package.evidence.dropped == local.evidence.dropped


def test_logit_of_small_data_is_the_start_of_the_trees_there_too(
    client: distributed.Client, order: LookAlikeOrder, tmp_path: Path
) -> None:
    config = LookAlikeConfig(folds=2, strengths=(0.01,), tag_shares=(1.0,), small_rounds=10)
    package = expand(replace(order, config=config), DaskWorkers(client), tmp_path)
    assert package.model.logit is not None
    assert package.evidence.lifts[2].lift > 1.5
