"""Who is calling: roles, the credentials they come from, and the caller of the running call."""

import hashlib
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum

from bihuan_shared.errors import Unauthenticated

_SCHEME = "Bearer "


class Role(StrEnum):
    """What a caller is; the values are what configuration writes."""

    INTERNAL = "internal"
    PARTNER = "partner"


@dataclass(frozen=True, slots=True)
class Caller:
    """A known caller. `name` is unique among the configured ones."""

    role: Role
    name: str


@dataclass(frozen=True, slots=True)
class Credential:
    """One caller that configuration admits; the secret itself is not kept, only the SHA-256 of it (64 hex digits)."""

    name: str
    role: Role
    secret_sha256: str


class CallerRegistry:
    """Finds the caller behind the text of an `authorization` header."""

    def __init__(self, credentials: Iterable[Credential]) -> None:
        self._callers: dict[str, Caller] = {}
        for credential in credentials:
            self._callers[credential.secret_sha256.lower()] = Caller(credential.role, credential.name)

    def authenticate(self, authorization: str | None) -> Caller:
        """
        Caller of `Bearer <secret>`.

        Looking up by the secret's digest leaks nothing of it through timing. Raises Unauthenticated.
        """
        if authorization is None or not authorization.startswith(_SCHEME):
            raise Unauthenticated("a bearer credential is required")
        caller = self._callers.get(secret_sha256(authorization[len(_SCHEME) :]))
        if caller is None:
            raise Unauthenticated("the credential is not known")
        return caller


def secret_sha256(secret: str) -> str:
    """What configuration holds in place of a secret: lower-case hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


_current: ContextVar[Caller | None] = ContextVar("bihuan_caller", default=None)


def current_caller() -> Caller:
    """The caller of the running call. Raises Unauthenticated outside of one, so that no code runs for nobody."""
    caller = _current.get()
    if caller is None:
        raise Unauthenticated("there is no caller here")
    return caller


def set_caller(caller: Caller) -> None:
    """Names the caller for the rest of this task; the server assembly does it for each call."""
    _current.set(caller)
