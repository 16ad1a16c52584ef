"""Faults and floods on a whole stack: slices of the full runs of `make chaos-loop` and `make eval-loop`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from load_scripts import LOADTESTS, run_script
from loop_stack import Stack

pytestmark = pytest.mark.timeout(300)


def test_killed_processes_change_no_total_and_the_books_agree(tmp_path: Path) -> None:
    figures = run_script("chaos_loop.py", tmp_path / "chaos.json", "--kills", "5", "--visits", "240")
    assert figures["calm"] == figures["stormy"]
    assert figures["totals_differ"] == 0
    assert figures["difference_nanos"] == 0


def test_no_generated_request_is_answered_with_a_server_error(tmp_path: Path) -> None:
    figures = run_script("fuzz_http.py", tmp_path / "fuzz.json", "--requests", "2000")
    assert figures["server_errors"] == 0
    assert isinstance(figures["requests"], int)
    assert figures["requests"] >= 2_000


@pytest.mark.xdist_group("stack")
def test_the_load_mix_runs_without_a_failed_request(stack: Stack) -> None:
    command = [sys.executable, "-m", "locust", "-f", str(LOADTESTS / "locustfile.py"), "--host", stack.url]
    done = subprocess.run(
        [*command, "--headless", "-u", "8", "-r", "8", "-t", "60s", "--only-summary"],
        env=os.environ | {"BIHUAN_KEY": stack.secrets.admin_key, "BIHUAN_REQUESTS": "500"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
