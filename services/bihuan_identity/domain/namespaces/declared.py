"""Every namespace that identity knows, as data. docs/api.md shows the same table."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from bihuan_identity.domain.graph import CERTAIN_PPM, LONGEST_TTL_US, MAX_ITEM_IDENTIFIERS
from bihuan_identity.domain.namespaces import contacts, devices, opaque
from bihuan_identity.domain.namespaces.digests import (
    md5_hex,
    read_md5_digest,
    read_meta_digest,
    read_uid2_digest,
    sha256_hex,
)
from bihuan_shared.clock import DAY_US

PARTNER_PREFIX = "partner."
"""Namespaces below it belong to one partner each, for example `partner.acme`."""
EID_PREFIX = "eid."
"""Namespaces below it belong to one source of OpenRTB `eids` each, for example `eid.uidapi.com`."""

_LONG_US = LONGEST_TTL_US
_YEAR_US = 365 * DAY_US
# The 13 months that regulators allow a cookie to live.
_COOKIE_US = 395 * DAY_US
_QUARTER_US = 90 * DAY_US
_PARTNER_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_MAX_EID_SOURCE_CHARACTERS = 60
_EID_SOURCE = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")


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

    `normalise` returns the one spelling that a value has, or raises ValueRefusedError; `digest` then hashes that
    spelling as the scheme asks, where the namespace takes raw values. `kept_as` names the namespace that the result
    belongs to ("" its own name): a raw value and its digest are one identifier, so they have one key and one name.

    `trust_ppm` is the highest confidence (millionths) with which a value names a person. `ttl_us` is how long a tie to
    it holds unseen. `max_degree` is how many other identifiers evidence may tie to one value; more than that is a
    shared machine, not a person.
    """

    name: str
    scope: Scope
    normalise: Callable[[str], str]
    trust_ppm: int
    ttl_us: int
    max_degree: int
    digest: Callable[[str], str] | None = None
    kept_as: str = ""

    def __post_init__(self) -> None:
        assert 0 < self.trust_ppm <= CERTAIN_PPM
        assert 0 < self.ttl_us <= LONGEST_TTL_US
        assert self.max_degree >= MAX_ITEM_IDENTIFIERS, "one full item must fit"
        assert (self.digest is None) == (not self.kept_as), "what is hashed here is kept as a digest"


def _contact(name: str, read_digest: Callable[[str], str]) -> Namespace:
    return Namespace(name, Scope.PERSON, read_digest, trust_ppm=1_000_000, ttl_us=_LONG_US, max_degree=256)


def _device(name: str, trust_ppm: int = 950_000, ttl_us: int = _YEAR_US) -> Namespace:
    return Namespace(name, Scope.DEVICE, read_md5_digest, trust_ppm, ttl_us, max_degree=128)


def _raw(
    name: str, normalise: Callable[[str], str], digest: Callable[[str], str], hashed: Namespace
) -> tuple[Namespace, Namespace]:
    """Declare the raw form of a hashed namespace beside it; all but the value's form is the same."""
    of = hashed
    raw = Namespace(name, of.scope, normalise, of.trust_ppm, of.ttl_us, of.max_degree, digest, kept_as=of.name)
    return raw, hashed


DECLARED = (
    Namespace("login", Scope.PERSON, opaque.normalise_login, 1_000_000, _LONG_US, max_degree=256),
    *_raw("email", contacts.normalise_uid2_email, sha256_hex, _contact("email_sha256", read_uid2_digest)),
    *_raw("phone", contacts.normalise_uid2_phone, sha256_hex, _contact("phone_sha256", read_uid2_digest)),
    *_raw("email_meta", contacts.normalise_meta_email, sha256_hex, _contact("email_meta_sha256", read_meta_digest)),
    *_raw("phone_meta", contacts.normalise_meta_phone, sha256_hex, _contact("phone_meta_sha256", read_meta_digest)),
    *_raw("idfa", devices.normalise_idfa, md5_hex, _device("idfa_md5")),
    *_raw("gaid", devices.normalise_gaid, md5_hex, _device("gaid_md5")),
    *_raw("oaid", devices.normalise_oaid, md5_hex, _device("oaid_md5")),
    # Burnt in, so it lasts as long as the device.
    *_raw("imei", devices.normalise_imei, md5_hex, _device("imei_md5", ttl_us=_LONG_US)),
    # Another one for every signing key of an app since Android 8.
    *_raw("android_id", devices.normalise_android_id, md5_hex, _device("android_id_md5", trust_ppm=900_000)),
    Namespace("wechat_openid", Scope.PERSON, opaque.normalise_wechat_openid, 1_000_000, _LONG_US, max_degree=128),
    Namespace("wechat_unionid", Scope.PERSON, opaque.normalise_wechat_unionid, 1_000_000, _LONG_US, max_degree=256),
    Namespace("cookie", Scope.BROWSER, opaque.normalise_opaque, 900_000, _COOKIE_US, max_degree=64),
    Namespace(f"{EID_PREFIX}*", Scope.BROWSER, opaque.normalise_eid, 850_000, _QUARTER_US, max_degree=64),
    Namespace(f"{PARTNER_PREFIX}*", Scope.PERSON, opaque.normalise_opaque, 900_000, _YEAR_US, max_degree=64),
    Namespace("household", Scope.HOUSEHOLD, opaque.normalise_opaque, 500_000, _YEAR_US, max_degree=128),
)
_BY_NAME = {namespace.name: namespace for namespace in DECLARED if not namespace.name.endswith("*")}
_PARTNER = next(namespace for namespace in DECLARED if namespace.name == f"{PARTNER_PREFIX}*")
_EID = next(namespace for namespace in DECLARED if namespace.name == f"{EID_PREFIX}*")


def find_namespace(name: str) -> Namespace | None:
    """
    Return the declaration that governs `name`, or None where it is not declared.

    All of a partner's namespaces (`partner.<name>`, name of 1 to 40 characters) share one declaration, as do all
    sources of eids (`eid.<domain>`, domain of up to 60 characters in lower case); their values still never meet,
    because the full name goes into every key.
    """
    declared = _BY_NAME.get(name)
    if declared is not None:
        return declared
    if name.startswith(PARTNER_PREFIX):
        return _PARTNER if _PARTNER_NAME.fullmatch(name, len(PARTNER_PREFIX)) else None
    if name.startswith(EID_PREFIX) and len(name) <= len(EID_PREFIX) + _MAX_EID_SOURCE_CHARACTERS:
        return _EID if _EID_SOURCE.fullmatch(name, len(EID_PREFIX)) else None
    return None


def kept_name(name: str) -> str | None:
    """Return the namespace under which values given as `name` are kept and shown, None where it is not declared."""
    declared = find_namespace(name)
    return None if declared is None else declared.kept_as or name
