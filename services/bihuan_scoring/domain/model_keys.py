"""
Who may make models: Ed25519 signatures of manifests.

A manifest names every file of a version with its SHA-256, so one signature over its bytes covers the whole version,
its name included. What is signed is the words `bihuan.scoring.model.v1`, a zero byte and the manifest. Training holds
the seed; whoever serves holds public keys alone, and so cannot make a model that it would load.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bihuan_shared.errors import FailedPrecondition

KEY_BYTES: Final = 32
MAX_KEY_ID: Final = 255
REFUSED: Final = "MODEL_REFUSED"

_CONTEXT: Final = b"bihuan.scoring.model.v1\0"
_ALGORITHM: Final = "ed25519"


def refused(detail: str) -> FailedPrecondition:
    """The error of a version that may not serve."""
    return FailedPrecondition(detail, reason=REFUSED)


class ModelSigner:
    """The keys of whoever trains; the first one signs."""

    __slots__ = ("_key_id", "_keys")

    def __init__(self, seeds: Mapping[int, bytes]) -> None:
        """Take Ed25519 seeds (32 bytes) by key id (0 to 255), the signing one first. ValueError for anything else."""
        _check(seeds)
        self._keys = {key_id: Ed25519PrivateKey.from_private_bytes(seed) for key_id, seed in seeds.items()}
        self._key_id = next(iter(self._keys))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `2:<base64 of 32 bytes>,1:<base64>`; ValueError, without any key material in it, for anything else."""
        return cls(dict(_parsed(text)))

    def sign(self, manifest: bytes) -> bytes:
        """The signature file of a manifest."""
        signature = b64encode(self._keys[self._key_id].sign(_CONTEXT + manifest)).decode()
        document = {"algorithm": _ALGORITHM, "key_id": self._key_id, "signature": signature}
        return json.dumps(document, sort_keys=True).encode()

    def public_keys(self) -> str:
        """The public keys as `ModelTrust.parse` reads them."""
        return ",".join(
            f"{key_id}:{b64encode(key.public_key().public_bytes_raw()).decode()}" for key_id, key in self._keys.items()
        )


@dataclass(frozen=True, slots=True)
class ModelTrust:
    """
    Whose models may serve; nobody's, until keys are named.

    `allow_unsigned` admits versions without a signature, such as those of releases that did not sign; a signature that
    is there must be good all the same.
    """

    keys: Mapping[int, Ed25519PublicKey] = field(default_factory=dict)
    allow_unsigned: bool = False

    @classmethod
    def parse(cls, text: str, *, allow_unsigned: bool = False) -> Self:
        """Read `2:<base64 of a public key>,1:<base64>`; the empty text trusts nobody. ValueError for anything else."""
        keys = dict(_parsed(text)) if text.strip() else {}
        if keys:
            _check(keys)
        return cls({key_id: Ed25519PublicKey.from_public_bytes(raw) for key_id, raw in keys.items()}, allow_unsigned)

    def check(self, manifest: bytes, signature: bytes | None) -> int | None:
        """
        The key that signed exactly this manifest; None for an unsigned one that is allowed.

        Raises FailedPrecondition (`MODEL_REFUSED`) for anything that may not serve.
        """
        if signature is None:
            if self.allow_unsigned:
                return None
            raise refused("the version is not signed")
        key_id, raw = _read(signature)
        key = self.keys.get(key_id)
        if key is None:
            raise refused(f"the version is signed with key {key_id}, which is not trusted here")
        try:
            key.verify(raw, _CONTEXT + manifest)
        except InvalidSignature:
            raise refused("the signature does not belong to this manifest") from None
        return key_id


def _read(signature: bytes) -> tuple[int, bytes]:
    try:
        document = json.loads(signature)
        known, key_id = document["algorithm"] == _ALGORITHM, int(document["key_id"])
        signature = b64decode(document["signature"], validate=True)
    except (ValueError, KeyError, TypeError):
        raise refused("the signature is not written as one") from None
    if not known:
        raise refused("the signature is of an unknown algorithm")
    return key_id, signature


def _parsed(text: str) -> Iterator[tuple[int, bytes]]:
    seen: set[str] = set()
    for part in text.split(","):
        key_id, colon, encoded = part.strip().partition(":")
        if not (colon and key_id.isascii() and key_id.isdigit()) or key_id in seen:
            raise ValueError("model keys are written as <number>:<base64 of 32 bytes>, each number once")
        seen.add(key_id)
        try:
            yield int(key_id), b64decode(encoded, validate=True)
        except ValueError:
            raise ValueError(f"model key {key_id} is not valid base64") from None


def _check(keys: Mapping[int, bytes]) -> None:
    if any(not 0 <= key_id <= MAX_KEY_ID or len(raw) != KEY_BYTES for key_id, raw in keys.items()):
        raise ValueError(f"a model key has an id of 0 to {MAX_KEY_ID} and {KEY_BYTES} bytes")
