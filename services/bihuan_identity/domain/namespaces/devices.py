"""
Device ids, in the spelling that platforms hash.

What ad exchanges send is the MD5 of the id as the system returns it, so that spelling decides which digest a raw value
has: IDFA in capitals with dashes, IMEI in 15 digits, OAID untouched; GAID and Android id are lower case by themselves.
The ids that whole lots of devices share are refused by their digests (`digests`).

Sources: Tencent Ads, https://datanexus.qq.com/doc/develop/guider/interface/user_id and
https://developers.e.qq.com/docs/guide/conversion/new_version/APP_api.
"""

import re

from bihuan_identity.domain.namespaces.junk import ValueRefusedError, refuse_repeated

_UUID = re.compile(r"([0-9a-fA-F]{8})(-?)([0-9a-fA-F]{4})\2([0-9a-fA-F]{4})\2([0-9a-fA-F]{4})\2([0-9a-fA-F]{12})")
_OAID = re.compile(r"[0-9a-fA-F]{16,64}")
_IMEI = re.compile(r"[0-9]{14,15}")
_IMEI_DIGITS_WITHOUT_CHECK = 14
_ANDROID_ID = re.compile(r"[0-9a-fA-F]{12,16}")


def normalise_idfa(value: str) -> str:
    """A UUID in either case, with or without dashes, becomes capitals with dashes; all zeros means tracking is off."""
    return _dashed_uuid(value).upper()


def normalise_gaid(value: str) -> str:
    """A UUID in either case, with or without dashes, becomes lower case with dashes; all zeros means opted out."""
    return _dashed_uuid(value).lower()


def normalise_oaid(value: str) -> str:
    """
    An OAID, a UUID or 16 to 64 hex digits depending on the vendor, stays exactly as the vendor spells it.

    Some vendors use capitals, some do not, and platforms hash what they are given; so another case is another id.
    """
    if _UUID.fullmatch(value) is None and _OAID.fullmatch(value) is None:
        raise ValueRefusedError("must be a UUID or 16 to 64 hex digits")
    refuse_repeated(value.lower())
    return value


def normalise_imei(value: str) -> str:
    """15 digits whose last is the right check digit (Luhn), or the first 14 of them, to which it is added."""
    if _IMEI.fullmatch(value) is None:
        raise ValueRefusedError("must be 14 or 15 digits")
    body = value[:_IMEI_DIGITS_WITHOUT_CHECK]
    imei = f"{body}{_luhn_digit(body)}"
    if value not in (body, imei):
        raise ValueRefusedError("has a wrong check digit")
    refuse_repeated(body)
    return imei


def normalise_android_id(value: str) -> str:
    """12 to 16 hex digits (the system drops leading zeros); lower case."""
    if _ANDROID_ID.fullmatch(value) is None:
        raise ValueRefusedError("must be 12 to 16 hex digits")
    return refuse_repeated(value.lower())


def _dashed_uuid(value: str) -> str:
    match = _UUID.fullmatch(value)
    if match is None:
        raise ValueRefusedError("must be a UUID")
    refuse_repeated(value.lower())
    return value if match.group(2) else "-".join(match.group(1, 3, 4, 5, 6))


def _luhn_digit(body: str) -> int:
    """The digit that makes a number of 14 digits whole; every second one counts double, from the last backwards."""
    total = 0
    for at, digit in enumerate(body):
        doubled = int(digit) * (1 + at % 2)
        total += doubled // 10 + doubled % 10
    return -total % 10
