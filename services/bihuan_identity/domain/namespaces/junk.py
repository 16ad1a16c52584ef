"""
Values that look like identifiers and name nobody: placeholders, unfilled macros, ids that whole device lots share.

One of them accepted would join everybody who ever sent it. The shared device ids are those that analytics kits publish
in their own block lists; only what would pass as well-formed needs to be here.
"""

import hashlib
import re
from collections.abc import Iterable

PLACEHOLDERS = frozenset({
    "null", "none", "nil", "nan", "undefined", "unknown", "unavailable", "anonymous", "n/a", "false", "true",
    "optout", "opt-out", "opted-out",
})  # fmt: skip

# Ids of the emulator, of a build of Android 2.2, and of boxes that were cloned with their settings.
_ANDROID_IDS = frozenset({
    "9774d56d682e549c", "a5f5faddde9e9f02", "8e17f7422b35fbea", "ece1e988e8bf71f2", "9e3ecdf2be3b9a69",
    "0123456789abcdef", "123456789abcdef", "fedcba9876543210",
})  # fmt: skip

# Emulators, engineering samples, text books, and numbers that were burnt into many devices.
_IMEIS = frozenset({
    "000000000000000", "000000011234564", "001068000000006", "004999010640000", "012345678901237", "012345678912345",
    "012379000772883", "111111111111119", "113456798945455", "123456789012347", "345630000000115", "351751044067398",
    "351751045421180", "352005048247251", "352099001761481", "355195000000017", "356299046587760", "356531044590531",
    "356591000000222", "357242041834521", "357242042804044", "358000043654134", "358537040040544", "358673013795895",
    "358701042909755", "490154203237518", "862280010599525",
})  # fmt: skip

PLACEHOLDER = "is a known placeholder, not an identifier"
_MACRO_NAMES = ("IDFA", "IMEI", "OAID", "GAID", "AAID", "ANDROIDID", "ANDROID_ID", "MUID", "MAC")
_MACRO = re.compile(r"__\w+__|%%.*%%|\$?\{.*\}|\[.*\]")
_MACRO_STARTS = "_%${["
_REPEATED_FROM = 8
_NIL_UUID = "00000000-0000-0000-0000-000000000000"


class ValueRefusedError(ValueError):
    """The value is not one of its namespace. The text says why, and never repeats the value."""


def refuse_placeholder(value: str) -> str:
    """Return the value, which is not empty, unless it is a word for nothing, or all zeros."""
    if value.lower() in PLACEHOLDERS or (value[0] in "0-" and not value.strip("0-")):
        raise ValueRefusedError(PLACEHOLDER)
    return value


def refuse_macro(value: str) -> str:
    """Return the value, which is not empty, unless it is a macro of a tracking link that nobody filled in."""
    if value[0] in _MACRO_STARTS and _MACRO.fullmatch(value) is not None:
        raise ValueRefusedError(PLACEHOLDER)
    return value


def refuse_repeated(value: str) -> str:
    """Return the value, which is not empty, unless it is 8 characters or more, all the same but for dashes."""
    # The first test spares nearly every value the second.
    if value[0] == value[-1] and len(value) >= _REPEATED_FROM and len(set(value.replace("-", ""))) <= 1:
        raise ValueRefusedError(PLACEHOLDER)
    return value


def junk_digests(algorithm: str) -> frozenset[str]:
    """Return the hex digests of everything here under a hash function of hashlib: what is junk is junk when hashed."""
    return frozenset(hashlib.new(algorithm, text.encode(), usedforsecurity=False).hexdigest() for text in _junk_texts())


def _junk_texts() -> Iterable[str]:
    yield from ("", " ", "-", "-1", "0", _NIL_UUID)
    for word in PLACEHOLDERS:
        yield from (word, word.upper(), word.title())
    for name in _MACRO_NAMES:
        yield from (f"__{name}__", f"{{{name}}}", f"{{{name.lower()}}}")
    for imei in _IMEIS:
        yield from (imei, imei[:-1])
    yield from _ANDROID_IDS
    for digit in "0123456789abcdef":
        for size in (14, 15, 16, 32, 64):
            yield from (digit * size, digit.upper() * size)
        yield from (_NIL_UUID.replace("0", digit), _NIL_UUID.replace("0", digit.upper()))
