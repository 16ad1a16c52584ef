"""
Named places at which a process kills itself when its environment says so, to see what a crash there leaves behind.

`BIHUAN_FAILPOINT=<name>:<nth>` ends the process by SIGKILL the nth time that it passes that place; `*` stands for any
place. Without the variable, passing one costs a call and nothing happens.
"""

import os
import signal
from functools import cache
from typing import Final

VARIABLE: Final = "BIHUAN_FAILPOINT"
ANY: Final = "*"


class _Failpoint:
    def __init__(self, text: str) -> None:
        self.name, _, nth = text.partition(":")
        self.left = int(nth or 1)


def failpoint(name: str) -> None:
    """Mark a place. The name goes to standard error before the process ends."""
    armed = _armed()
    if armed is None or armed.name not in {ANY, name}:
        return
    armed.left -= 1
    if armed.left == 0:
        os.write(2, f"failpoint {name}\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)


@cache
def _armed() -> _Failpoint | None:
    text = os.environ.get(VARIABLE)
    return _Failpoint(text) if text else None
