"""
E-mail addresses and phone numbers as UID2 and Meta spell them before they are hashed.

UID2: https://unifiedid.com/docs/getting-started/gs-normalization-encoding, and where that text leaves a question, the
operator it describes. Meta: "Customer Information Parameters" of the Conversions API. The two schemes differ for Gmail
addresses and for every phone number, so their digests never stand for each other.
"""

import re

from bihuan_identity.domain.namespaces.junk import PLACEHOLDER, PLACEHOLDERS, ValueRefusedError, refuse_repeated

_MAX_EMAIL_CHARACTERS = 320
_GMAIL = "gmail.com"
_E164 = re.compile(r"\+[1-9][0-9]{7,14}")
_PHONE_SYMBOLS = str.maketrans("", "", " ()+-./\u00a0")
_META_PHONE = re.compile(r"[1-9][0-9]{7,14}")


def normalise_uid2_email(value: str) -> str:
    """
    Trim, lower-case A to Z, and drop dots and what follows a plus sign from the local part of gmail.com addresses.

    Letters beyond ASCII keep their case, because UID2's operator leaves them alone.
    """
    local, domain = _parts(value.strip(" ").encode().lower().decode())
    if domain == _GMAIL:
        local = local.partition("+")[0].replace(".", "")
        if not local:
            raise ValueRefusedError("must have a name before the '@' that is more than dots and a tag")
    return _address(local, domain)


def normalise_meta_email(value: str) -> str:
    """Trim and lower-case; Gmail is no exception."""
    return _address(*_parts(value.strip().lower()))


def normalise_uid2_phone(value: str) -> str:
    """
    Return a number that is given in E.164 form: a plus sign, then 8 to 15 ASCII digits, no leading zero.

    Anything else is refused rather than repaired: without its country a number names several people.
    """
    if _E164.fullmatch(value) is None:
        raise ValueRefusedError("must be in E.164 form: '+' and 8 to 15 digits, country code first")
    refuse_repeated(value[1:])
    return value


def normalise_meta_phone(value: str) -> str:
    """Drop blanks, symbols and leading zeros; what is left must be 8 to 15 digits, country code first."""
    digits = value.translate(_PHONE_SYMBOLS).lstrip("0")
    if _META_PHONE.fullmatch(digits) is None:
        raise ValueRefusedError("must have 8 to 15 digits, country code first")
    return refuse_repeated(digits)


def _parts(value: str) -> tuple[str, str]:
    local, _, domain = value.partition("@")
    if not local or not domain or "@" in domain:
        raise ValueRefusedError("must have one '@' with something on either side")
    if len(value) > _MAX_EMAIL_CHARACTERS or not value.isprintable() or " " in value:
        raise ValueRefusedError(f"must be at most {_MAX_EMAIL_CHARACTERS} printable characters without blanks")
    return local, domain


def _address(local: str, domain: str) -> str:
    if local in PLACEHOLDERS:
        raise ValueRefusedError(PLACEHOLDER)
    return f"{local}@{domain}"
