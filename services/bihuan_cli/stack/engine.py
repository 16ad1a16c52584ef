"""The embedded Valkey of a stack, started again where it dies."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from bihuan_shared.embedded import EmbeddedValkey

POLL_S = 0.2


class WatchedValkey:
    """One Valkey on one port and one folder, for as long as the stack runs. Use it from the main thread."""

    def __init__(self, data_dir: Path, *, on_death: Callable[[str, int], None]) -> None:
        self._data_dir = data_dir
        self._on_death = on_death
        self._valkey = EmbeddedValkey.start(data_dir)

    @property
    def url(self) -> str:
        """Where clients find it, before and after a restart."""
        return self._valkey.url

    @property
    def pid(self) -> int:
        """Its process id now."""
        return self._valkey.pid

    async def watch(self, on_change: Callable[[], None]) -> None:
        """Start it again on the same port whenever it ends; returns when cancelled."""
        while True:
            await asyncio.sleep(POLL_S)
            code = self._valkey.process.poll()
            if code is not None:
                self._on_death("valkey", code)
                # Blocks the loop for the tenth of a second that a start takes: a child must be started by the main
                # thread, which the parent-death signal belongs to.
                self._valkey = EmbeddedValkey.start(self._data_dir, self._valkey.port)
                on_change()

    def stop(self) -> None:
        """End it."""
        self._valkey.stop()
