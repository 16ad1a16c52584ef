"""Slices of the full runs of `make chaos-identity` and `make bench-identity`."""

from pathlib import Path

import pytest
from load_scripts import run_script

pytestmark = pytest.mark.timeout(300)


def test_killed_identity_keeps_to_the_evidence(tmp_path: Path) -> None:
    figures = run_script("chaos_identity.py", tmp_path / "chaos.json", "--kills", "15")
    assert figures["mismatches"] == 0
    assert isinstance(figures["kills"], int)
    assert figures["kills"] >= 15
    assert figures["killed_at"]


def test_benchmark_compares_with_the_naive_way(tmp_path: Path) -> None:
    options = ("--identifiers", "2000", "--large", "0", "--repeats", "2", "--calls", "100")
    figures = run_script("bench_identity.py", tmp_path / "bench.json", *options)
    named = {"index_bytes_per_id", "naive_index_bytes_per_id", "graph_bytes_per_id", "batch_resolve_per_s"}
    named |= {"naive_resolve_per_s", "merge_512_p99_ms", "split_2_p50_ms", "rebuild_per_s"}
    assert named <= figures.keys()
