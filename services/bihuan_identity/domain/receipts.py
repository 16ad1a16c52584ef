"""
Receipts of erasures: a signed statement that anyone with the public key can check without asking us.

A receipt is, in URL-safe base64 without padding: version (1 byte), key id (1), erasure id (8), time in microseconds
(8), number of identifiers (4), digest of their keys (32), digest of the request (32), all big endian, and then the
Ed25519 signature (64) of the words `bihuan.identity.receipt.v1`, a zero byte and everything before it.
"""

import hashlib
import struct
from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SEED_BYTES: Final = 32
MAX_KEY_ID: Final = 255

_VERSION: Final = 1
_CONTEXT: Final = b"bihuan.identity.receipt.v1\0"
_LAYOUT: Final = struct.Struct(">BBQQI32s32s")
_SIGNATURE_BYTES: Final = 64
_RECEIPT_CHARS: Final = 200


class ReceiptNotGenuineError(ValueError):
    """The text is not a receipt that was signed with a key that is known here."""


@dataclass(frozen=True, slots=True)
class ErasureStatement:
    """
    What a receipt states. `keys_sha256` is `digest_keys` of the erased identifiers' keys, `request_sha256` is
    `digest_request` of who asked, under which request id.
    """

    erasure_id: int
    erase_time_us: int
    identifier_count: int
    keys_sha256: bytes
    request_sha256: bytes


def digest_keys(keys: Iterable[bytes]) -> bytes:
    """SHA-256 over the 16-byte keys in ascending order; says nothing of them to who lacks the pepper."""
    return hashlib.sha256(b"".join(sorted(keys))).digest()


def digest_request(caller: str, request_id: str) -> bytes:
    """SHA-256 over the caller's name, a zero byte (which neither may hold) and the request id."""
    return hashlib.sha256(f"{caller}\0{request_id}".encode()).digest()


class ReceiptKeys:
    """The signing keys of a deployment. The first signs; every one of them verifies, until it is taken out."""

    __slots__ = ("_keys", "_signing_id")

    def __init__(self, seeds: Mapping[int, bytes]) -> None:
        """Take Ed25519 seeds (32 bytes) by key id (0 to 255), the signing one first. ValueError for anything else."""
        if not seeds:
            raise ValueError("there must be a receipt key")
        if any(not 0 <= key_id <= MAX_KEY_ID or len(seed) != SEED_BYTES for key_id, seed in seeds.items()):
            raise ValueError(f"a receipt key has an id of 0 to {MAX_KEY_ID} and {SEED_BYTES} bytes")
        self._keys = {key_id: Ed25519PrivateKey.from_private_bytes(seed) for key_id, seed in seeds.items()}
        self._signing_id = next(iter(self._keys))

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Read `2:<base64 of 32 bytes>,1:<base64>`; the first signs, all verify.

        ValueError, without any key material in it, for anything else.
        """
        seeds: dict[int, bytes] = {}
        for part in text.split(","):
            key_id, colon, encoded = part.strip().partition(":")
            if not (colon and key_id.isascii() and key_id.isdigit()) or int(key_id) in seeds:
                raise ValueError("receipt keys are written as <number>:<base64 of 32 bytes>, each number once")
            try:
                seeds[int(key_id)] = b64decode(encoded, validate=True)
            except ValueError:
                raise ValueError(f"receipt key {key_id} is not valid base64") from None
        return cls(seeds)

    def issue(self, statement: ErasureStatement) -> str:
        """The receipt, 200 characters."""
        body = _LAYOUT.pack(
            _VERSION,
            self._signing_id,
            statement.erasure_id,
            statement.erase_time_us,
            statement.identifier_count,
            statement.keys_sha256,
            statement.request_sha256,
        )
        return urlsafe_b64encode(body + self._keys[self._signing_id].sign(_CONTEXT + body)).rstrip(b"=").decode()

    def verify(self, text: str) -> ErasureStatement:
        """What a receipt states. Raises ReceiptNotGenuineError unless one of our keys signed exactly this text."""
        body, signature = _split(text)
        version, key_id, *content = _LAYOUT.unpack(body)
        key = self._keys.get(key_id)
        if version != _VERSION or key is None:
            raise ReceiptNotGenuineError("is of an unknown version or key")
        try:
            key.public_key().verify(signature, _CONTEXT + body)
        except InvalidSignature:
            raise ReceiptNotGenuineError("is not genuine") from None
        return ErasureStatement(*content)

    def public_keys(self) -> dict[int, str]:
        """The public keys by id, in PEM, for whoever verifies receipts by themselves."""
        return {
            key_id: key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
            for key_id, key in self._keys.items()
        }


def _split(text: str) -> tuple[bytes, bytes]:
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4)) if len(text) == _RECEIPT_CHARS else b""
    except ValueError:  # not ASCII, or not base64
        raw = b""
    if len(raw) != _LAYOUT.size + _SIGNATURE_BYTES or urlsafe_b64encode(raw).rstrip(b"=").decode() != text:
        raise ReceiptNotGenuineError("is not written as a receipt")
    return raw[: _LAYOUT.size], raw[_LAYOUT.size :]
