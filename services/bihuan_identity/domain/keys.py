"""How a raw identifier becomes a key: normalised, then hashed under the pepper; the raw value goes no further."""

import hashlib

from bihuan_identity.domain.graph import KeyedIdentifier
from bihuan_identity.domain.namespaces import find_namespace

PEPPER_BYTES = 32
KEY_BYTES = 16
_BLOCK_BYTES = 64
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))


class UnknownNamespaceError(ValueError):
    """No declaration governs the namespace."""


class KeyHasher:
    """
    Makes keys: the first 16 bytes of HMAC-SHA-256, keyed with the pepper, of namespace, NUL, normalised value.

    Without the pepper a key can neither be computed nor reversed by trying values. A namespace holds no NUL, so two
    namespaces never share an input.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, pepper: bytes) -> None:
        if len(pepper) != PEPPER_BYTES:
            raise ValueError(f"the pepper must be {PEPPER_BYTES} bytes")
        # HMAC (RFC 2104) with both padded keys absorbed once; half the time of a call of hmac.digest for each value.
        block = pepper.ljust(_BLOCK_BYTES, b"\0")
        self._inner = hashlib.sha256(block.translate(_INNER_PAD))
        self._outer = hashlib.sha256(block.translate(_OUTER_PAD))

    def identify(self, namespace: str, value: str) -> KeyedIdentifier:
        """
        Return the keyed form of one identifier.

        Raises UnknownNamespaceError, or ValueRefusedError where the value is malformed or a known placeholder.
        """
        declared = find_namespace(namespace)
        if declared is None:
            raise UnknownNamespaceError("is not a declared namespace")
        normal = declared.normalise(value)
        inner = self._inner.copy()
        inner.update(f"{namespace}\0{normal}".encode())
        outer = self._outer.copy()
        outer.update(inner.digest())
        return KeyedIdentifier(outer.digest()[:KEY_BYTES], namespace, declared.trust_ppm, declared.max_degree)
