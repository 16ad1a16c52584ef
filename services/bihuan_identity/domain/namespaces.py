"""Namespaces as declared data: what an identifier looks like, how far it is trusted, how much it may connect."""

import base64
import binascii
import hashlib
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from bihuan_identity.domain.graph import CERTAIN_PPM, MAX_ITEM_IDENTIFIERS

PARTNER_PREFIX = "partner."
"""Namespaces below it belong to one partner each, for example `partner.acme`."""

_DIGEST_BYTES = 32
_OPAQUE_MAX_CHARACTERS = 256
_JUNK = frozenset({"null", "none", "nil", "nan", "undefined", "unknown", "anonymous", "n/a", "false", "true"})
_EMPTY_DIGEST = hashlib.sha256(b"").digest()
_UUID = re.compile(r"[0-9a-fA-F]{8}(-?)[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{12}")
_OAID = re.compile(r"[0-9a-fA-F]{16,64}")
_HEX_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
_TOKEN = re.compile(r"[\x21-\x7e]+")
_PARTNER_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")


class ValueRefusedError(ValueError):
    """The value is not one of its namespace. The text says why, and never repeats the value."""


class Scope(StrEnum):
    """What one value of a namespace stands for."""

    PERSON = "person"
    DEVICE = "device"
    BROWSER = "browser"
    HOUSEHOLD = "household"


@dataclass(frozen=True, slots=True)
class Namespace:
    """
    One kind of identifier.

    `trust_ppm` is the highest confidence (millionths) with which a value of it names a person. `max_degree` is how many
    other identifiers evidence may tie to one value of it; more than that is a shared machine, not a person.
    """

    name: str
    scope: Scope
    normalise: Callable[[str], str]
    trust_ppm: int
    max_degree: int

    def __post_init__(self) -> None:
        assert 0 < self.trust_ppm <= CERTAIN_PPM
        assert self.max_degree >= MAX_ITEM_IDENTIFIERS, "one full item must fit"


def _refuse_junk(value: str) -> str:
    if value.lower() in _JUNK or not value.strip("0-"):
        raise ValueRefusedError("is a known placeholder, not an identifier")
    return value


def normalise_opaque(value: str) -> str:
    """Visible ASCII without blanks, case kept; for ids that a machine made."""
    value = value.strip(" ")
    if len(value) > _OPAQUE_MAX_CHARACTERS or _TOKEN.fullmatch(value) is None:
        raise ValueRefusedError(f"must be 1 to {_OPAQUE_MAX_CHARACTERS} visible ASCII characters without blanks")
    return _refuse_junk(value)


def normalise_login(value: str) -> str:
    """A login name in any script: NFC, outer blanks dropped, case kept because sites differ; no control characters."""
    value = unicodedata.normalize("NFC", value).strip()
    if not value or len(value) > _OPAQUE_MAX_CHARACTERS or not value.isprintable():
        raise ValueRefusedError(f"must be 1 to {_OPAQUE_MAX_CHARACTERS} printable characters")
    return _refuse_junk(value)


def normalise_uuid(value: str) -> str:
    """A UUID in either case, with or without dashes, becomes 32 lower-case hex digits; all zeros means opted out."""
    if _UUID.fullmatch(value) is None:
        raise ValueRefusedError("must be a UUID")
    return _refuse_junk(value.replace("-", "").lower())


def normalise_oaid(value: str) -> str:
    """An OAID is a UUID or 16 to 64 hex digits, depending on the vendor; lower case, no dashes, never all zeros."""
    if _UUID.fullmatch(value) is None and _OAID.fullmatch(value) is None:
        raise ValueRefusedError("must be a UUID or 16 to 64 hex digits")
    return _refuse_junk(value.replace("-", "").lower())


def normalise_sha256(value: str) -> str:
    """
    A SHA-256 digest, as 64 hex digits or as base64 of its 32 bytes; both become lower-case hex.

    The digest of the empty string is refused: it is what a missing value hashes to, and would join everybody.
    """
    digest = _digest(value)
    if digest in (_EMPTY_DIGEST, bytes(_DIGEST_BYTES)):
        raise ValueRefusedError("is the digest of nothing, not of a value")
    return digest.hex()


def _digest(value: str) -> bytes:
    if _HEX_DIGEST.fullmatch(value) is not None:
        return bytes.fromhex(value)
    try:
        digest = base64.b64decode(value.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != _DIGEST_BYTES:
        raise ValueRefusedError("must be a SHA-256 digest: 64 hex digits or base64 of 32 bytes")
    return digest


_DECLARED = (
    Namespace("login", Scope.PERSON, normalise_login, trust_ppm=1_000_000, max_degree=256),
    Namespace("email_sha256", Scope.PERSON, normalise_sha256, trust_ppm=1_000_000, max_degree=256),
    Namespace("phone_sha256", Scope.PERSON, normalise_sha256, trust_ppm=1_000_000, max_degree=256),
    Namespace("idfa", Scope.DEVICE, normalise_uuid, trust_ppm=950_000, max_degree=128),
    Namespace("gaid", Scope.DEVICE, normalise_uuid, trust_ppm=950_000, max_degree=128),
    Namespace("oaid", Scope.DEVICE, normalise_oaid, trust_ppm=950_000, max_degree=128),
    Namespace("cookie", Scope.BROWSER, normalise_opaque, trust_ppm=900_000, max_degree=64),
    Namespace("household", Scope.HOUSEHOLD, normalise_opaque, trust_ppm=500_000, max_degree=128),
)
_PARTNER = Namespace(f"{PARTNER_PREFIX}*", Scope.PERSON, normalise_opaque, trust_ppm=900_000, max_degree=64)
_BY_NAME = {namespace.name: namespace for namespace in _DECLARED}


def find_namespace(name: str) -> Namespace | None:
    """
    Return the declaration that governs `name`, or None where it is not declared.

    All of a partner's namespaces (`partner.<name>`, name of 1 to 40 characters) share one declaration; their values
    still never meet, because the full name goes into every key.
    """
    declared = _BY_NAME.get(name)
    if declared is None and name.startswith(PARTNER_PREFIX):
        return _PARTNER if _PARTNER_NAME.fullmatch(name, len(PARTNER_PREFIX)) else None
    return declared
