"""Attribution under fire: a slice of `make chaos-attribution`, and that its benchmark runs."""

from pathlib import Path

import pytest
from load_scripts import run_script

pytestmark = pytest.mark.timeout(300)
INVARIANTS = ("acknowledged_lost", "double_billed", "difference_nanos", "overspend_nanos", "cap_excess")


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_kills_of_service_and_engines_break_no_invariant(tmp_path: Path, engine: str) -> None:
    figures = run_script("chaos_attribution.py", tmp_path / "chaos.json", "--kills", "8", "--engine", engine)
    found = figures[engine]
    assert isinstance(found, dict)
    assert {name: found[name] for name in INVARIANTS} == dict.fromkeys(INVARIANTS, 0)
    assert found["kills"] >= 8
    assert found["acknowledged"] > 0


def test_benchmark_compares_with_one_transaction_an_event(tmp_path: Path) -> None:
    options = ("--events", "2000", "--naive-events", "200", "--paths", "0")
    figures = run_script("bench_attribution.py", tmp_path / "bench.json", *options)
    assert {"events_per_cpu_s", "naive_events_per_cpu_s", "ratio", "fsync_ms"} <= figures.keys()
    assert figures["events"] == 2_000
