"""API keys: who is behind a bearer credential. Only hashes of keys are stored and compared."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from starlette.requests import Request
from starlette.types import Scope

from bihuan_gateway.control.access import Principal, Role
from bihuan_shared.callers import secret_sha256
from bihuan_shared.errors import Unauthenticated

_SCHEME = "bearer "
_MAX_KEY_CHARS = 256
_SCOPE_KEY = "bihuan.principal"
CACHE_KEYS = 10_000
CACHE_TTL_S = 5.0


class KeySource(Protocol):
    """Where API keys are kept."""

    async def find_key(self, secret_sha256: str) -> Principal | None:
        """Return the holder of the key with this hash."""
        ...


class Authenticator:
    """
    Finds the principal behind an `authorization` header.

    Answers, also negative ones, are held for five seconds and for at most 10,000 keys, so that a flood of guesses
    neither grows memory nor hides a new key for long. `bootstrap_sha256` is the hash of the first admin key.
    """

    def __init__(
        self, keys: KeySource, *, bootstrap_sha256: str = "", monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._keys = keys
        self._bootstrap = bootstrap_sha256
        self._monotonic = monotonic
        self._generation = 0
        self._cache: OrderedDict[str, tuple[float, Principal | None]] = OrderedDict()

    async def authenticate(self, authorization: str | None) -> Principal:
        """Return the holder of the credential (Unauthenticated)."""
        if authorization is None or authorization[: len(_SCHEME)].lower() != _SCHEME:
            raise Unauthenticated("a bearer API key is required")
        secret = authorization[len(_SCHEME) :].strip()
        if not secret or len(secret) > _MAX_KEY_CHARS:
            raise Unauthenticated("the API key is not known")
        principal = await self._find(secret_sha256(secret))
        if principal is None:
            raise Unauthenticated("the API key is not known")
        return principal

    async def _find(self, digest: str) -> Principal | None:
        if self._bootstrap and digest == self._bootstrap:
            return Principal("bootstrap", Role.ADMIN)
        now, generation = self._monotonic(), self._generation
        known = self._cache.get(digest)
        if known is not None and known[0] > now:
            return known[1]
        principal = await asyncio.shield(self._keys.find_key(digest))
        if generation != self._generation:
            # What was read may be older than the change that had everything forgotten.
            return await self._find(digest)
        self._cache[digest] = (now + CACHE_TTL_S, principal)
        self._cache.move_to_end(digest)
        if len(self._cache) > CACHE_KEYS:
            self._cache.popitem(last=False)
        return principal

    def forget(self) -> None:
        """Drop what is held, so that a key that was just made or revoked is known, or no longer."""
        self._generation += 1
        self._cache.clear()


def put_principal(scope: Scope, principal: Principal) -> None:
    """Note who makes a request in its ASGI scope."""
    scope[_SCOPE_KEY] = principal


def principal_of(request: Request) -> Principal:
    """
    Return who makes the request (Unauthenticated).

    Set by the edge for every route but the public ones; fit as a FastAPI dependency and for Starlette routes alike.
    """
    principal = request.scope.get(_SCOPE_KEY)
    if not isinstance(principal, Principal):
        raise Unauthenticated("an API key is required")
    return principal
