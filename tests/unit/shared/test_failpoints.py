"""A process dies exactly where its environment says."""

import os
import signal
import subprocess
import sys

import pytest

PASS_THREE = (
    "from bihuan_shared.failpoints import failpoint; [failpoint(n) for n in ('one', 'two', 'one')]; print('end')"
)


@pytest.mark.parametrize(
    ("armed", "passed_name"),
    [("one", "one"), ("one:2", "one"), ("two:1", "two"), ("*:2", "two"), ("*:3", "one")],
)
def test_armed_place_kills_the_process(armed: str, passed_name: str) -> None:
    done = _run(armed)
    assert done.returncode == -signal.SIGKILL
    assert (done.stdout, done.stderr) == ("", f"failpoint {passed_name}\n")


@pytest.mark.parametrize("armed", ["", "three", "one:3", "*:4"])
def test_place_that_is_not_reached_changes_nothing(armed: str) -> None:
    done = _run(armed)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


def _run(armed: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PASS_THREE],
        env=os.environ | {"BIHUAN_FAILPOINT": armed},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
