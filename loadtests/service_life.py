"""
The process that servers of one service are forked from: it has imported everything and started nothing.

Its argument names the service. It reads one JSON object a line (`environment`, `log`), forks a server that lives with
these settings, and answers with the pid. It ends with its standard input, and takes its children along.
"""

import ctypes
import importlib
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from bihuan_shared.memory import settle_memory

_PR_SET_PDEATHSIG = 1


def serve(main: Callable[[], None], environment: Mapping[str, str], log: str) -> None:
    """Live as a server with these settings, all output going to `log`."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with Path(log).open("ab", buffering=0) as output, Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    for name in [name for name in os.environ if name.startswith("BIHUAN_")]:
        del os.environ[name]
    os.environ.update(environment)
    main()


def fork_on_demand(service: str) -> None:
    """Fork a server for every line of standard input."""
    main = importlib.import_module(f"bihuan_{service}.__main__").main
    # A collection after the fork would copy every page, so it is done before; nobody waits for the dead.
    settle_memory()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while line := sys.stdin.readline():
        wanted = json.loads(line)
        pid = os.fork()
        if pid == 0:
            try:
                serve(main, wanted["environment"], wanted["log"])
            finally:
                os._exit(1)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    fork_on_demand(sys.argv[1])
