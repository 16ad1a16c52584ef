"""A published population in memory: the contract of the Redis one without Redis."""

import time
from collections.abc import Callable

from bihuan_profile.domain.population import Population
from bihuan_profile.profile_store.population_blob import MARK_BYTES, decode_population, encode_population


class MemoryPopulationStore:
    """A PopulationStore for one process; `now_s` is a clock that only goes forward."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._holder = ""
        self._until_s = 0.0
        self._held: bytes | None = None

    async def claim(self, holder: str, ttl_s: float) -> bool:
        """Take the right to build; False while anybody has it."""
        if self._now_s() < self._until_s:
            return False
        self._holder, self._until_s = holder, self._now_s() + ttl_s
        return True

    async def renew(self, holder: str, ttl_s: float) -> bool:
        """Keep the right."""
        if not self._has_right(holder):
            return False
        self._until_s = self._now_s() + ttl_s
        return True

    async def publish(self, holder: str, population: Population) -> bool:
        """Replace the generation."""
        if not self._has_right(holder):
            return False
        self._held = encode_population(population)
        return True

    async def mark(self) -> bytes:
        """What tells generations apart."""
        return (self._held or b"")[:MARK_BYTES]

    async def read(self) -> Population | None:
        """The newest generation."""
        return decode_population(self._held)

    def _has_right(self, holder: str) -> bool:
        return holder == self._holder and self._now_s() < self._until_s
