"""Slices of the full runs of `make chaos-identity` and `make bench-identity`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(300)
LOADTESTS = Path(__file__).parents[2] / "loadtests"


def run_script(name: str, out: Path, *options: str) -> dict[str, object]:
    """Run a script of loadtests/ as its own process, and read the figures it wrote."""
    command = [sys.executable, str(LOADTESTS / name), "--out", str(out), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    figures: dict[str, object] = json.loads(out.read_text())
    return figures


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
