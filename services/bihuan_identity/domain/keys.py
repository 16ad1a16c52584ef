"""How a raw identifier becomes a key: normalised, then hashed under the pepper; the raw value goes no further."""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from bihuan_identity.domain.graph import KeyedIdentifier
from bihuan_identity.domain.namespaces import find_namespace

PEPPER_BYTES = 32
KEY_BYTES = 16
FIRST_EPOCH = 1
MAX_EPOCH = 255
MAX_PEPPERS = 2
_BLOCK_BYTES = 64
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))
_EPOCH = re.compile(r"[1-9][0-9]{0,2}")


class UnknownNamespaceError(ValueError):
    """No declaration governs the namespace."""


@dataclass(frozen=True, slots=True)
class Pepper:
    """The secret of one epoch. Epochs count from 1 to 255; a later pepper has the greater number."""

    epoch: int
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not FIRST_EPOCH <= self.epoch <= MAX_EPOCH:
            raise ValueError(f"an epoch must lie between {FIRST_EPOCH} and {MAX_EPOCH}")
        if len(self.secret) != PEPPER_BYTES:
            raise ValueError(f"the pepper must be {PEPPER_BYTES} bytes")


def parse_peppers(text: str) -> tuple[Pepper, ...]:
    """
    Read `2:<base64>,1:<base64>`: the current epoch's pepper, then, while it is still read, the previous one's.

    Raises ValueError, which never repeats a pepper, for anything that `check_peppers` refuses or is not of that form.
    """
    return check_peppers([_parse_pepper(part) for part in text.split(",")])


def check_peppers(peppers: Sequence[Pepper]) -> tuple[Pepper, ...]:
    """Return one or two peppers of descending epochs and different secrets; raises ValueError for anything else."""
    if not 1 <= len(peppers) <= MAX_PEPPERS:
        raise ValueError("there must be the current pepper and at most one previous")
    current, previous = peppers[0], peppers[-1]
    if len(peppers) == MAX_PEPPERS and current.epoch <= previous.epoch:
        raise ValueError("the current pepper comes first and has the greater epoch")
    if len(peppers) == MAX_PEPPERS and current.secret == previous.secret:
        raise ValueError("two epochs must not share a pepper")
    return tuple(peppers)


def _parse_pepper(part: str) -> Pepper:
    epoch, _, encoded = part.partition(":")
    if _EPOCH.fullmatch(epoch) is None:
        raise ValueError(f"each pepper must be <epoch>:<base64>, with an epoch of {FIRST_EPOCH} to {MAX_EPOCH}")
    try:
        secret = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) != PEPPER_BYTES:
        raise ValueError(f"each pepper must be base64 of {PEPPER_BYTES} bytes")
    return Pepper(int(epoch), secret)


class KeyHasher:
    """
    Makes keys: the first 16 bytes of HMAC-SHA-256, keyed with a pepper, of namespace, NUL, canonical value.

    Without the pepper a key can neither be computed nor reversed by trying values. A namespace holds no NUL, so two
    namespaces never share an input.
    """

    __slots__ = ("_inner", "_outer", "_previous", "epoch", "previous_epoch")

    def __init__(self, peppers: Sequence[Pepper]) -> None:
        """Take the current pepper and at most one previous; raises ValueError as `check_peppers` does."""
        current, *previous = check_peppers(peppers)
        self.epoch = current.epoch
        self.previous_epoch = previous[0].epoch if previous else None
        self._inner, self._outer = _absorb(current.secret)
        self._previous = _absorb(previous[0].secret) if previous else None

    def identify(self, namespace: str, value: str) -> KeyedIdentifier:
        """
        Return the keyed form of one identifier, with its key of the previous epoch while there is one.

        The namespace of the result is the one that the value is kept under: that of the digest for a raw value. Raises
        UnknownNamespaceError, or ValueRefusedError where the value is malformed or a known placeholder.
        """
        declared = find_namespace(namespace)
        if declared is None:
            raise UnknownNamespaceError("is not a declared namespace")
        canonical = declared.normalise(value)
        if declared.digest is not None:
            canonical = declared.digest(canonical)
            namespace = declared.kept_as
        message = f"{namespace}\0{canonical}".encode()
        # Not by way of _key: a call costs a few percent here, and a batch has thousands.
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return KeyedIdentifier(
            outer.digest()[:KEY_BYTES],
            namespace,
            declared.trust_ppm,
            declared.max_degree,
            None if self._previous is None else _key(self._previous, message),
            declared.ttl_us,
        )


def _absorb(secret: bytes) -> tuple["hashlib._Hash", "hashlib._Hash"]:
    """HMAC (RFC 2104) with both padded keys absorbed once; half the time of a call of hmac.digest for each value."""
    block = secret.ljust(_BLOCK_BYTES, b"\0")
    return hashlib.sha256(block.translate(_INNER_PAD)), hashlib.sha256(block.translate(_OUTER_PAD))


def _key(absorbed: tuple["hashlib._Hash", "hashlib._Hash"], message: bytes) -> bytes:
    inner, outer = absorbed[0].copy(), absorbed[1].copy()
    inner.update(message)
    outer.update(inner.digest())
    return outer.digest()[:KEY_BYTES]
