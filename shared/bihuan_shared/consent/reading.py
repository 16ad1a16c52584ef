"""
Consent strings as callers give them, read into one consent.

A string that cannot be read, has run out or is not for us gives nothing, and the reading says why; nothing here raises.
Where several are given only what all of them allow is allowed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache, reduce
from typing import Final

from bihuan_shared.consent.consents import CLASSES_OF_STRINGS, Consent, Purpose
from bihuan_shared.consent.gpp import gpp_sections
from bihuan_shared.consent.refusal import Refusal, Refused
from bihuan_shared.consent.tcf import decode_tc_string
from bihuan_shared.consent.tcf_rules import LIFETIME_US, SOURCES, TcfRules, purposes_of
from bihuan_shared.consent.us import (
    NATIONAL_SECTION,
    STATES,
    USP_SECTION,
    decode_us_privacy,
    decode_us_section,
    us_purposes,
)

MAX_CHARS: Final = 4_096
"""Longer strings are refused unread. Three lists of 2,000 vendors each take 1,000 characters of a TC string."""
REMEMBERED: Final = 2_048
"""Strings of each kind whose meaning is remembered: at most 8 MiB of text."""
TCF_SECTION: Final = 2
_NONE_APPLIES: Final = frozenset({-1, 0})


class Form(StrEnum):
    """A kind of consent string."""

    TCF = "tcf"
    GPP = "gpp"
    US_PRIVACY = "us_privacy"


@dataclass(frozen=True, slots=True)
class ConsentStrings:
    """
    What a caller gave; None where it gave none, which is not the same as an empty string.

    `gpp_sid` are the sections that apply; empty where the caller does not say, so that all of the string count.
    """

    tcf: str | None = None
    gpp: str | None = None
    gpp_sid: tuple[int, ...] = ()
    us_privacy: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """The consent that the strings give together, and what became of each: None, or why it was refused."""

    consent: Consent
    outcomes: tuple[tuple[Form, Refusal | None], ...]

    @property
    def refusal(self) -> Refusal | None:
        """The first reason why a string was refused."""
        return next((refusal for _, refusal in self.outcomes if refusal is not None), None)


@dataclass(frozen=True, slots=True)
class _Grant:
    """What a string gives until it runs out; `updated_us` is None where it never does."""

    purposes: frozenset[Purpose]
    source: str
    updated_us: int | None = None


_Outcome = _Grant | Refusal


def read_consent_strings(strings: ConsentStrings, rules: TcfRules, now_us: int) -> Reading | None:
    """Read what was given at `now_us` (microseconds since the epoch); None where nothing was. Never raises."""
    found: list[tuple[Form, _Outcome]] = []
    if strings.tcf is not None:
        found.append((Form.TCF, _unfit(strings.tcf) or _tcf(strings.tcf, rules)))
    if strings.gpp is not None:
        found.append((Form.GPP, _unfit(strings.gpp) or _gpp(strings.gpp, frozenset(strings.gpp_sid), rules)))
    if strings.us_privacy is not None:
        found.append((Form.US_PRIVACY, _unfit(strings.us_privacy) or _us_privacy(strings.us_privacy)))
    if not found:
        return None
    told = [(form, _at(outcome, now_us)) for form, outcome in found]
    return Reading(
        consent=reduce(Consent.within, (_consent(outcome) for _, outcome in told)),
        outcomes=tuple((form, outcome if isinstance(outcome, Refusal) else None) for form, outcome in told),
    )


def _unfit(text: str) -> Refusal | None:
    """Refuse what must not be remembered: what is long, and what takes more bytes than characters."""
    if len(text) > MAX_CHARS:
        return Refusal.TOO_LONG
    return None if text.isascii() else Refusal.NOT_BASE64


def _at(outcome: _Outcome, now_us: int) -> _Outcome:
    if isinstance(outcome, _Grant) and outcome.updated_us is not None and now_us >= outcome.updated_us + LIFETIME_US:
        return Refusal.EXPIRED
    return outcome


def _consent(outcome: _Outcome) -> Consent:
    if isinstance(outcome, Refusal):
        return Consent()
    return Consent(outcome.purposes, CLASSES_OF_STRINGS if outcome.purposes else frozenset(), outcome.source)


@lru_cache(maxsize=REMEMBERED)
def _tcf(text: str, rules: TcfRules) -> _Outcome:
    try:
        return _tcf_grant(text, rules)
    except Refused as refused:
        return refused.refusal


@lru_cache(maxsize=REMEMBERED)
def _gpp(text: str, applying: frozenset[int], rules: TcfRules) -> _Outcome:
    try:
        return _gpp_grant(text, applying, rules)
    except Refused as refused:
        return refused.refusal


def _us_privacy(text: str) -> _Outcome:
    try:
        return _Grant(us_purposes(decode_us_privacy(text)), "us_privacy")
    except Refused as refused:
        return refused.refusal


def _tcf_grant(text: str, rules: TcfRules) -> _Grant:
    tc = decode_tc_string(text)
    return _Grant(purposes_of(tc, rules), SOURCES[tc.policy_version], tc.updated_us)


def _gpp_grant(text: str, applying: frozenset[int], rules: TcfRules) -> _Grant:
    sections = gpp_sections(text)
    if applying and applying <= _NONE_APPLIES:
        raise Refused(Refusal.NOT_APPLICABLE)
    asked = applying - _NONE_APPLIES or sections.keys()
    if not asked or not asked <= sections.keys():
        raise Refused(Refusal.SECTION_MISSING)
    grants = [_section_grant(section_id, sections[section_id], rules) for section_id in sorted(asked)]
    return _Grant(
        purposes=_common(grant.purposes for grant in grants),
        source="gpp",
        updated_us=min((grant.updated_us for grant in grants if grant.updated_us is not None), default=None),
    )


def _section_grant(section_id: int, text: str, rules: TcfRules) -> _Grant:
    if section_id == TCF_SECTION:
        return _tcf_grant(text, rules)
    if section_id == USP_SECTION:
        return _Grant(us_purposes(decode_us_privacy(text)), "gpp")
    if section_id == NATIONAL_SECTION or section_id in STATES:
        return _Grant(us_purposes(decode_us_section(section_id, text)), "gpp")
    raise Refused(Refusal.UNSUPPORTED_SECTION)


def _common(purposes: Iterable[frozenset[Purpose]]) -> frozenset[Purpose]:
    return reduce(frozenset.intersection, purposes)
