"""
The population in Redis, Valkey or a cluster of either.

Keys: `pf:{population}:current` holds the newest generation (see `population_blob`), `pf:{population}:lease` who may
build the next one. Both share a slot, so that a builder publishes only while the lease is its own, in one script: a
lease of `jobs` lies in another slot of a cluster and could be lost between the look and the write.
"""

from typing import Final

from bihuan_profile.domain.population import Population
from bihuan_profile.profile_store.population_blob import MARK_BYTES, decode_population, encode_population
from bihuan_shared.redis import RedisClient, store_errors

CURRENT: Final = "pf:{population}:current"
LEASE: Final = "pf:{population}:lease"

# KEYS: lease. ARGV: holder, milliseconds.
_RENEW: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
# KEYS: lease, current. ARGV: holder, generation.
_PUBLISH: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2])
return 1
"""


class RedisPopulationStore:
    """A PopulationStore over one client, which the composition root opens and closes."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def claim(self, holder: str, ttl_s: float) -> bool:
        """Take the right to build; False while anybody has it."""
        with store_errors():
            return bool(await self._client.set(LEASE, holder, nx=True, px=_milliseconds(ttl_s)))

    async def renew(self, holder: str, ttl_s: float) -> bool:
        """Keep the right."""
        with store_errors():
            return bool(await self._client.execute_command("EVAL", _RENEW, 1, LEASE, holder, _milliseconds(ttl_s)))

    async def publish(self, holder: str, population: Population) -> bool:
        """Replace the generation, in one step."""
        generation = encode_population(population)
        with store_errors():
            done = await self._client.execute_command("EVAL", _PUBLISH, 2, LEASE, CURRENT, holder, generation)
        return bool(done)

    async def mark(self) -> bytes:
        """What tells generations apart: eight bytes."""
        with store_errors():
            found = await self._client.getrange(CURRENT, 0, MARK_BYTES - 1)
        assert isinstance(found, bytes), "the client answers in bytes"
        return found

    async def read(self) -> Population | None:
        """The newest generation."""
        with store_errors():
            held = await self._client.get(CURRENT)
        assert not isinstance(held, str), "the client answers in bytes"
        return decode_population(held)


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1_000))
