"""The embedded Valkey keeps its data, guards its folder, and never outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bihuan_shared import embedded
from bihuan_shared.embedded import EmbeddedValkey, free_port
from bihuan_shared.errors import Unavailable

PARENT = """
import sys, time
from pathlib import Path
from bihuan_shared.embedded import EmbeddedValkey
server = EmbeddedValkey.start(Path(sys.argv[1]))
print(server.pid, flush=True)
time.sleep(60)
"""


def test_data_survives_a_stop_and_a_start(tmp_path: Path) -> None:
    for expected in (b":1\r\n", b":2\r\n"):
        server = EmbeddedValkey.start(tmp_path / "data")
        try:
            assert server.is_running()
            assert server.command("INCR", "n") == expected
        finally:
            server.stop()
        assert not server.is_running()
        server.stop()


def test_server_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    try:
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    _wait_until_gone(pid)


def test_folder_in_use_is_refused_and_free_again_after_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_LOCK_TIMEOUT_S", 0.05)
    first = EmbeddedValkey.start(tmp_path)
    try:
        with pytest.raises(Unavailable, match="another server"):
            EmbeddedValkey.start(tmp_path)
        os.kill(first.pid, signal.SIGKILL)
        first.stop()
        first = EmbeddedValkey.start(tmp_path)
    finally:
        first.stop()


def test_port_that_is_taken_is_refused_even_where_another_server_answers_there(tmp_path: Path) -> None:
    first = EmbeddedValkey.start(tmp_path / "first")
    try:
        with pytest.raises(Unavailable, match="did not start"):
            EmbeddedValkey.start(tmp_path / "second", first.port)
    finally:
        first.stop()


def test_given_port_is_used(tmp_path: Path) -> None:
    port = free_port()
    server = EmbeddedValkey.start(tmp_path, port)
    try:
        assert server.url == f"redis://127.0.0.1:{port}/0"
    finally:
        server.stop()


def _wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return
        if state == "Z":
            return
        time.sleep(0.01)
    raise AssertionError("the server outlived its parent")
