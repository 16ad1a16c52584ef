"""
Leases and states of jobs, in Redis and in memory.

Keys: `pf:lease:<job>`, its holder, for a time; `pf:job:<job>`, its state. Both are lost with the profiles.
"""

import time
from hashlib import sha1
from typing import Final

from redis.exceptions import NoScriptError

from bihuan_shared.redis import RedisClient, store_errors

_LEASE: Final = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_RELEASE: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end return 1"
_NOTE: Final = """
local held = redis.call('GET', KEYS[1])
if ARGV[1] == '' then
  if held then return 0 end
elseif held ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""


class RedisJobs:
    """Jobs over one client, which the composition root opens and closes."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def lease(self, job: str, holder: str, ttl_s: float) -> bool:
        """Take or keep a job for a time; False where another one has it."""
        return await self._run(_LEASE, f"pf:lease:{job}", holder, str(round(ttl_s * 1_000)))

    async def release(self, job: str, holder: str) -> None:
        """Let go of a job; nothing where another one has it."""
        await self._run(_RELEASE, f"pf:lease:{job}", holder)

    async def state(self, job: str) -> str | None:
        """What was noted last; None where nothing was."""
        with store_errors():
            held = await self._client.get(f"pf:job:{job}")
        assert not isinstance(held, str)
        return None if held is None else held.decode()

    async def note(self, job: str, before: str | None, after: str) -> bool:
        """Note something, where what was noted is `before`; whether it was."""
        return await self._run(_NOTE, f"pf:job:{job}", before or "", after)

    async def _run(self, script: str, key: str, *arguments: str) -> bool:
        digest = sha1(script.encode(), usedforsecurity=False).hexdigest()
        with store_errors():
            try:
                return bool(await self._client.evalsha(digest, 1, key, *arguments))
            except NoScriptError:
                await self._client.script_load(script)
                return bool(await self._client.evalsha(digest, 1, key, *arguments))


class MemoryJobs:
    """The contract of the Redis jobs without Redis."""

    def __init__(self) -> None:
        self._leases: dict[str, tuple[str, float]] = {}
        self._states: dict[str, str] = {}

    async def lease(self, job: str, holder: str, ttl_s: float) -> bool:
        """Take or keep a job for a time; False where another one has it."""
        now_s = time.monotonic()
        other, until_s = self._leases.get(job, (holder, 0.0))
        if other != holder and until_s > now_s:
            return False
        self._leases[job] = (holder, now_s + ttl_s)
        return True

    async def release(self, job: str, holder: str) -> None:
        """Let go of a job; nothing where another one has it."""
        if self._leases.get(job, ("", 0.0))[0] == holder:
            del self._leases[job]

    async def state(self, job: str) -> str | None:
        """What was noted last; None where nothing was."""
        return self._states.get(job)

    async def note(self, job: str, before: str | None, after: str) -> bool:
        """Note something, where what was noted is `before`; whether it was."""
        if self._states.get(job) != before:
            return False
        self._states[job] = after
        return True
