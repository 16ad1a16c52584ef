"""Pieces that several bodies share."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

# `$` would let a trailing line feed pass.
END = r"(?![\s\S])"
MAX_MICROS = 10**15
OUT_OF_RANGE = "must be in [1970, 2200)"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Id64 = Annotated[str, Meta(min_length=1, max_length=64, pattern="^[!-~]+" + END)]
Id128 = Annotated[str, Meta(min_length=1, max_length=128, pattern="^[!-~]+" + END)]
OptionalId64 = Annotated[str, Meta(max_length=64, pattern="^[!-~]*" + END)]
OptionalId128 = Annotated[str, Meta(max_length=128, pattern="^[!-~]*" + END)]
Namespace = Annotated[str, Meta(max_length=64, pattern=r"^[a-z][a-z0-9_.\-]*" + END)]
_PRINTABLE = r"^[^\x00-\x1f\x7f]+" + END
Text96 = Annotated[str, Meta(max_length=96, pattern=_PRINTABLE)]
Text128 = Annotated[str, Meta(max_length=128, pattern=_PRINTABLE)]
Text512 = Annotated[str, Meta(max_length=512, pattern=_PRINTABLE)]
OptionalText = Annotated[str, Meta(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*" + END)]
Page = Annotated[str, Meta(max_length=2048, pattern=r"^[^\x00-\x1f\x7f]*" + END)]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}" + END)]
Micros = Annotated[int, Meta(ge=0, le=MAX_MICROS)]
Time = Annotated[datetime, Meta(tz=True)]

Purpose = Literal[
    "TARGETING", "PERSONALISATION", "MEASUREMENT", "INSIGHT", "targeting", "personalisation", "measurement", "insight"
]
DataClass = Literal[
    "REGISTRATION", "OPERATION", "TRANSACTION", "SOCIAL", "registration", "operation", "transaction", "social"
]


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A JSON object that refuses fields it does not know."""


class IdentifierBody(Body, frozen=True, kw_only=True):
    """One identifier of a person as the caller knows it."""

    namespace: Namespace
    value: Text512


class ConsentBody(Body, frozen=True, kw_only=True):
    """
    What the person agreed to, named, as consent strings, or both; an absent consent allows nothing.

    Names in upper or lower case. `tcf` is a TC string, `gpp` a GPP string, `gpp_sid` its sections that apply,
    `us_privacy` a US Privacy string. Of several only what all allow counts; a string that cannot be read allows
    nothing, and the answer says why in `consent_refusal`.
    """

    purposes: Annotated[tuple[Purpose, ...], Meta(max_length=8)] | UnsetType = UNSET
    data_classes: Annotated[tuple[DataClass, ...], Meta(max_length=8)] | UnsetType = UNSET
    source: OptionalText = ""
    # Of any length and content: what is wrong with a string is told, and does not fail the request.
    tcf: str | UnsetType = UNSET
    gpp: str | UnsetType = UNSET
    gpp_sid: Annotated[tuple[int, ...], Meta(max_length=32)] | UnsetType = UNSET
    us_privacy: str | UnsetType = UNSET

    @property
    def is_named(self) -> bool:
        """Whether purposes or data classes are named, if only to name none."""
        return self.purposes is not UNSET or self.data_classes is not UNSET

    @property
    def has_strings(self) -> bool:
        """Whether a consent string is given."""
        return self.tcf is not UNSET or self.gpp is not UNSET or self.us_privacy is not UNSET


class MoneyBody(Body, frozen=True, kw_only=True):
    """An amount: ISO 4217 code and integer micros."""

    currency: Currency
    micros: Micros


Identifiers = Annotated[tuple[IdentifierBody, ...], Meta(min_length=1, max_length=32)]
OptionalIdentifiers = Annotated[tuple[IdentifierBody, ...], Meta(max_length=32)]


def time_us(value: datetime) -> int | None:
    """Convert to microseconds since the epoch; None for an instant before 1970 or from 2200 on."""
    return (value - _EPOCH) // _MICROSECOND if _EPOCH <= value < _LATEST else None


def too_long(text: str, max_bytes: int) -> bool:
    """Tell whether a text takes more bytes in UTF-8 than the services accept."""
    return not text.isascii() and len(text.encode()) > max_bytes
