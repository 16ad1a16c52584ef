"""
Pseudonyms: what a partner knows a person by.

A token is `version ‖ epoch ‖ AES-SIV(person id)` in URL-safe base64, always 36 characters. The cipher is
deterministic authenticated encryption (RFC 5297): equal for the same person, partner and epoch, and meaningless to
anyone without the key. Each partner and epoch has a key of its own, derived by HKDF-SHA-256 (RFC 5869) from the master
key of the epoch; version, epoch and partner are bound as associated data besides. docs/privacy.md says what follows.
"""

import re
from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bihuan_shared.clock import DAY_US, parse_rfc3339_us

MASTER_KEY_BYTES: Final = 32
MAX_EPOCH: Final = 2**16 - 1
MAX_KEYS: Final = 16
OVERLAP_US: Final = 90 * DAY_US
"""How long tokens of an epoch go on resolving once the next key is in force."""

_VERSION: Final = 1
_PURPOSE: Final = b"bihuan.identity.pseudonym.v1"
_SIV_KEY_BYTES: Final = 64
_EPOCH_BYTES: Final = 2
_ID_BYTES: Final = 8
_HEADER_BYTES: Final = 1 + _EPOCH_BYTES
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{36}", re.ASCII)


class TokenNotGenuineError(ValueError):
    """The text is not a token that was made for this partner under a key that is known here."""


class PseudonymStatus(StrEnum):
    """Whether there is a token, and why not."""

    ISSUED = "issued"
    WITHDRAWN = "withdrawn"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Pseudonym:
    """
    A partner's token of one person; empty unless the status is ISSUED.

    From `refresh_time_us` on a newer one is to be asked for, from `expire_time_us` on this one does not resolve; both
    are None while no newer key is scheduled.
    """

    token: str
    status: PseudonymStatus
    refresh_time_us: int | None = None
    expire_time_us: int | None = None


@dataclass(frozen=True, slots=True)
class OpenToken:
    """What a genuine token says."""

    person_id: int
    epoch: int


@dataclass(frozen=True, slots=True)
class MasterKey:
    """The master key of one epoch, in force from `activate_time_us` until the next one's."""

    epoch: int
    activate_time_us: int
    secret: bytes = field(repr=False)


class PseudonymKeys:
    """
    The master keys of a deployment and their time line.

    The key in force is the newest one whose activation has come, and before the first of them the oldest. A token
    resolves until 90 days after the activation of the key that follows its own.
    """

    __slots__ = ("_ciphers", "_keys", "_position")

    def __init__(self, keys: Sequence[MasterKey]) -> None:
        """Take the keys, newest first. ValueError, without key material, where they are not a proper time line."""
        if not 1 <= len(keys) <= MAX_KEYS:
            raise ValueError(f"there must be 1 to {MAX_KEYS} pseudonym keys")
        if any(not 1 <= key.epoch <= MAX_EPOCH or len(key.secret) != MASTER_KEY_BYTES for key in keys):
            raise ValueError(f"an epoch is 1 to {MAX_EPOCH}, and a key has {MASTER_KEY_BYTES} bytes")
        for newer, older in pairwise(keys):
            if newer.epoch <= older.epoch or newer.activate_time_us <= older.activate_time_us:
                raise ValueError("pseudonym keys are listed newest first: epochs and activation times must descend")
        if len({key.secret for key in keys}) != len(keys):
            raise ValueError("two epochs must not share a key")
        self._keys = tuple(keys)
        self._position = {key.epoch: at for at, key in enumerate(keys)}
        # Bounded by the epochs and the declared partners, the only ones that callers ask for.
        self._ciphers: dict[tuple[str, int], AESSIV] = {}

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Read `2@2026-11-01T00:00:00Z:<base64 of 32 bytes>,1@…:<base64>`, newest first.

        ValueError, without any key material in it, for anything else.
        """
        keys = []
        for part in text.split(","):
            head, colon, encoded = part.strip().rpartition(":")
            epoch, at, activation = head.partition("@")
            if not (colon and at and epoch.isascii() and epoch.isdigit()):
                raise ValueError("a pseudonym key is written as <epoch>@<activation, RFC 3339>:<base64 of 32 bytes>")
            try:
                secret = b64decode(encoded, validate=True)
            except ValueError:
                raise ValueError(f"the pseudonym key of epoch {epoch} is not valid base64") from None
            keys.append(MasterKey(int(epoch), parse_rfc3339_us(activation), secret))
        return cls(keys)

    def epoch_at(self, now_us: int) -> int:
        """The epoch whose key is in force."""
        return next((key.epoch for key in self._keys if key.activate_time_us <= now_us), self._keys[-1].epoch)

    def refresh_time_us(self, epoch: int) -> int | None:
        """When the key that follows comes into force; None where none is scheduled. KeyError for an unknown epoch."""
        at = self._position[epoch]
        return self._keys[at - 1].activate_time_us if at else None

    def expire_time_us(self, epoch: int) -> int | None:
        """From when tokens of the epoch do not resolve; None where no later key is scheduled."""
        refresh_us = self.refresh_time_us(epoch)
        return None if refresh_us is None else refresh_us + OVERLAP_US

    def is_retired(self, epoch: int, now_us: int) -> bool:
        """Whether tokens of the epoch do not resolve any more."""
        expire_us = self.expire_time_us(epoch)
        return expire_us is not None and now_us >= expire_us

    def seal(self, partner: str, person_id: int, epoch: int) -> str:
        """The partner's token of a person (an unsigned 64-bit id) under an epoch that is known here."""
        header = bytes((_VERSION,)) + epoch.to_bytes(_EPOCH_BYTES, "big")
        sealed = self._cipher(partner, epoch).encrypt(person_id.to_bytes(_ID_BYTES, "big"), [header, partner.encode()])
        return urlsafe_b64encode(header + sealed).decode()

    def open(self, partner: str, text: str) -> OpenToken:
        """
        What a token of this partner says, whether its epoch is retired or not.

        Raises TokenNotGenuineError for anything that `seal` has not answered for this partner.
        """
        if _TOKEN.fullmatch(text) is None:
            raise TokenNotGenuineError("is not written as a token")
        raw = urlsafe_b64decode(text)
        header, sealed = raw[:_HEADER_BYTES], raw[_HEADER_BYTES:]
        epoch = int.from_bytes(header[1:], "big")
        if header[0] != _VERSION or epoch not in self._position:
            raise TokenNotGenuineError("is of an unknown version or key")
        try:
            content = self._cipher(partner, epoch).decrypt(sealed, [header, partner.encode()])
        except InvalidTag:
            raise TokenNotGenuineError("is not genuine") from None
        return OpenToken(int.from_bytes(content, "big"), epoch)

    def _cipher(self, partner: str, epoch: int) -> AESSIV:
        cipher = self._ciphers.get((partner, epoch))
        if cipher is None:
            master = self._keys[self._position[epoch]].secret
            cipher = self._ciphers[partner, epoch] = AESSIV(derive_key(master, partner, epoch))
        return cipher


def derive_key(master: bytes, partner: str, epoch: int) -> bytes:
    """
    The 64-byte AES-SIV key of one partner and epoch: HKDF-SHA-256 of the epoch's master key, without a salt.

    `info` is purpose ‖ 0 ‖ epoch (2 bytes, big endian) ‖ partner; only its last part varies in length, so no two
    partners or epochs share one.
    """
    info = _PURPOSE + b"\0" + epoch.to_bytes(_EPOCH_BYTES, "big") + partner.encode()
    return HKDF(SHA256(), _SIV_KEY_BYTES, salt=None, info=info).derive(master)
