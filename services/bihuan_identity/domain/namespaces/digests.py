"""Values that arrive hashed: their spellings become lower-case hex, and digests of junk are refused."""

import base64
import binascii
import hashlib
import re

from bihuan_identity.domain.namespaces.junk import PLACEHOLDER, ValueRefusedError, junk_digests

_SHA256_HEX = re.compile(r"[0-9a-fA-F]{64}")
_SHA256_BYTES = 32
_MD5_HEX = re.compile(r"[0-9a-fA-F]{32}")
_REPEATED = frozenset(digit * size for digit in "0123456789abcdef" for size in (32, 64))
_JUNK_SHA256 = junk_digests("sha256") | _REPEATED
_JUNK_MD5 = junk_digests("md5") | _REPEATED


def sha256_hex(text: str) -> str:
    """Return the SHA-256 digest of a text's UTF-8 form in lower-case hex; a text whose digest is refused is refused."""
    return _refuse_junk(hashlib.sha256(text.encode()).hexdigest(), _JUNK_SHA256, PLACEHOLDER)


def md5_hex(text: str) -> str:
    """
    Return the MD5 digest of a text's UTF-8 form in lower-case hex; a text whose digest is refused is refused.

    MD5 is what platforms exchange; it protects nothing.
    """
    return _refuse_junk(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest(), _JUNK_MD5, PLACEHOLDER)


def read_uid2_digest(value: str) -> str:
    """
    A SHA-256 digest as 64 hex digits, or as base64 of its 32 bytes (UID2's own form); both become lower-case hex.

    The digest of the empty string is refused like that of every placeholder: it is what a missing value hashes to.
    """
    if _SHA256_HEX.fullmatch(value) is None:
        value = _hex_of_base64(value)
    return _refuse_junk(value.lower(), _JUNK_SHA256)


def read_meta_digest(value: str) -> str:
    """A SHA-256 digest as 64 hex digits, the only form that Meta defines; base64 is refused as somebody else's."""
    if _SHA256_HEX.fullmatch(value) is None:
        raise ValueRefusedError("must be a SHA-256 digest of 64 hex digits")
    return _refuse_junk(value.lower(), _JUNK_SHA256)


def read_md5_digest(value: str) -> str:
    """An MD5 digest as 32 hex digits; it becomes lower case."""
    if _MD5_HEX.fullmatch(value) is None:
        raise ValueRefusedError("must be an MD5 digest of 32 hex digits")
    return _refuse_junk(value.lower(), _JUNK_MD5)


def _refuse_junk(digest: str, junk: frozenset[str], why: str = "is the digest of a placeholder, not of a value") -> str:
    if digest in junk:
        raise ValueRefusedError(why)
    return digest


def _hex_of_base64(value: str) -> str:
    try:
        digest = base64.b64decode(value.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != _SHA256_BYTES:
        raise ValueRefusedError("must be a SHA-256 digest: 64 hex digits or base64 of 32 bytes")
    return digest.hex()
