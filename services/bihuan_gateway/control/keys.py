"""Making, listing and revoking API keys."""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from bihuan_gateway.control.access import Principal, Role, require_admin
from bihuan_gateway.control.ports import ControlStore, KeyStore, KnownKey
from bihuan_gateway.control.specs import Kind
from bihuan_shared.callers import secret_sha256
from bihuan_shared.clock import Clock
from bihuan_shared.errors import InvalidArgument, NotFound

_log = structlog.stdlib.get_logger(__name__)
_SECRET_BYTES = 32
_ID_BYTES = 10


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key as it is shown once; only the hash of `secret` is kept."""

    holder: Principal
    secret: str
    create_time_us: int


@dataclass(frozen=True, slots=True)
class KeyDesk:
    """Keeps the API keys; `forget` drops what the authenticator of this process remembers about them."""

    keys: KeyStore
    store: ControlStore
    clock: Clock
    random_bytes: Callable[[int], bytes]
    forget: Callable[[], None]

    async def create(
        self, principal: Principal, role: Role, *, advertiser_id: str | None, display_name: str, key: str | None
    ) -> NewKey:
        """
        Make a key for a role; an advertiser's key names its tenant, no other does.

        A repeated idempotency key is AlreadyExists, because a secret is shown once.
        """
        require_admin(principal)
        if (role is Role.ADVERTISER) != (advertiser_id is not None):
            raise InvalidArgument.of("/advertiser_id", "is for advertiser keys, which need it")
        if advertiser_id is not None and await self.store.find(Kind.ADVERTISERS, advertiser_id) is None:
            raise InvalidArgument.of("/advertiser_id", "no such advertiser")
        secret = "bhk_" + base64.urlsafe_b64encode(self.random_bytes(_SECRET_BYTES)).decode().rstrip("=")
        seed = self.random_bytes(_ID_BYTES) if key is None else f"{principal.key_id}\0{key}".encode()
        key_id = "key-" + base64.b32encode(hashlib.sha256(seed).digest()[:_ID_BYTES]).decode().lower()
        now_us = self.clock.now_us()
        holder = Principal(key_id, role, advertiser_id or "")
        await self.keys.add_key(
            holder, secret_sha256=secret_sha256(secret), display_name=display_name, create_time_us=now_us
        )
        self.forget()
        return NewKey(holder, secret, now_us)

    async def list(self, principal: Principal, *, size: int, after: str) -> tuple[list[KnownKey], str]:
        """Return a page of keys by id, and the id to go on after, empty at the end (PermissionDenied)."""
        require_admin(principal)
        return await self.keys.list_keys(size=size, after=after)

    async def revoke(self, principal: Principal, key_id: str) -> None:
        """
        Forget a key (PermissionDenied, NotFound).

        This process refuses it at once, the others once they no longer hold it: `auth.CACHE_TTL_S`.
        """
        require_admin(principal)
        if not await self.keys.delete_key(key_id):
            raise NotFound("no such key")
        self.forget()
        _log.info("API key revoked", key_id=key_id, by=principal.key_id)
