"""A slice of `make eval-invalid-traffic`: the generator knows no rule, and the figures are what the pipeline did."""

import json
import subprocess
import sys
from pathlib import Path

LOADTESTS = Path(__file__).parents[3] / "loadtests"


def test_the_population_shares_no_code_with_the_rules() -> None:
    source = (LOADTESTS / "traffic_population.py").read_text()
    imports = [line for line in source.splitlines() if line.startswith(("import ", "from "))]
    assert imports
    assert not any("bihuan" in line for line in imports)


def test_the_evaluation_says_that_it_is_synthetic_and_what_each_kind_came_to(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = [sys.executable, str(LOADTESTS / "eval_invalid_traffic.py"), "--people", "300", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    figures = json.loads(out.read_text())
    assert figures["what"].startswith("synthetic")
    assert "SYNTHETIC" in done.stderr
    actors = figures["clicks"]["actors"]
    for robot in ("declared_crawler", "prefetcher"):
        assert actors[robot]["not_billed"] == 1
    # What general rules cannot tell stays in the figures.
    assert actors["headless_patient"]["not_billed"] == 0
    assert actors["token_replay"]["count"] - sum(actors["token_replay"]["reasons"].values()) == 1
    assert 0 < figures["recall"] < 1
    assert 0 < figures["precision"] <= 1
