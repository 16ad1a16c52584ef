"""
What a TC string allows us.

| ours | IAB purposes |
|---|---|
| TARGETING | 1 and 3 and 4 |
| PERSONALISATION | 1 and 4, or 1 and 5 and 6 |
| MEASUREMENT | 7 |
| INSIGHT | 9 |

The IAB's are (Transparency & Consent Framework Policies, appendix A): 1 store and/or access information on a device, 3
create profiles for personalised advertising, 4 use profiles to select personalised advertising, 5 create profiles to
personalise content, 6 use profiles to select personalised content, 7 measure advertising performance, 9 understand
audiences through statistics or combinations of data from different sources. 1, 3, 4, 5 and 6 need consent; 7
and 9 may also rest on legitimate interest that was not objected to (TCF 2.2 took legitimate interest away from 3 to 6,
and purpose 1 never had it). Publisher restrictions come first, as for a vendor that declared 7 and 9 flexible: "not
allowed" ends a purpose, "require consent" takes legitimate interest away, "require legitimate interest" takes consent
away, which ends the purposes that have nothing else. With a vendor id the vendor needs the same basis as the purpose,
and must be among the disclosed vendors where the string lists them.
"""

from dataclasses import dataclass
from typing import Final

from bihuan_shared.consent.consents import Purpose
from bihuan_shared.consent.refusal import Refusal, Refused
from bihuan_shared.consent.tcf import RestrictionKind, TcString

SOURCES: Final = {4: "tcf2.2", 5: "tcf2.3"}
"""The policy versions that are read, by the framework version that each belongs to."""
LIFETIME_US: Final = 33_696_000 * 1_000_000
"""Thirteen 30-day months after its last update a TC string has run out; the figure is the specification's."""
LEGITIMATE_INTEREST_ALLOWED: Final = frozenset({2, 7, 8, 9, 10, 11})
NEEDS: Final = {
    Purpose.TARGETING: ((1, 3, 4),),
    Purpose.PERSONALISATION: ((1, 4), (1, 5, 6)),
    Purpose.MEASUREMENT: ((7,),),
    Purpose.INSIGHT: ((9,),),
}
"""The IAB's purposes that each of ours needs: all of one of these."""
_ASKED: Final = frozenset(purpose for choices in NEEDS.values() for choice in choices for purpose in choice)
_STORE: Final = 1
_ENDING: Final = frozenset({RestrictionKind.NOT_ALLOWED, RestrictionKind.UNDEFINED})


@dataclass(frozen=True, slots=True)
class TcfRules:
    """
    How we stand in the framework.

    `vendor_id` is ours on the Global Vendor List; None where we act for a publisher and ask for purposes alone.
    `purpose_one_countries` are countries (ISO 3166-1) whose law asks for no consent to purpose 1: where a string of
    such a publisher says that purpose 1 was not disclosed (PurposeOneTreatment), it counts as given.
    """

    vendor_id: int | None = None
    purpose_one_countries: frozenset[str] = frozenset()


def purposes_of(tc: TcString, rules: TcfRules) -> frozenset[Purpose]:
    """
    Tell which of our purposes a string allows.

    Raises Refused: POLICY_UNKNOWN, GLOBAL_SCOPE, VENDOR_NOT_ALLOWED.
    """
    if tc.policy_version not in SOURCES:
        raise Refused(Refusal.POLICY_UNKNOWN)
    if not tc.service_specific:
        raise Refused(Refusal.GLOBAL_SCOPE)
    _check_vendor(tc, rules.vendor_id)

    given = {purpose for purpose in _ASKED if _is_given(tc, purpose, rules)}
    return frozenset(ours for ours, choices in NEEDS.items() if any(given.issuperset(choice) for choice in choices))


def _check_vendor(tc: TcString, vendor_id: int | None) -> None:
    if vendor_id is None:
        return
    named = vendor_id in tc.vendor_consents or vendor_id in tc.vendor_legitimate_interests
    if not named or (tc.disclosed is not None and vendor_id not in tc.disclosed):
        raise Refused(Refusal.VENDOR_NOT_ALLOWED)


def _is_given(tc: TcString, purpose: int, rules: TcfRules) -> bool:
    vendor_id = rules.vendor_id
    demands = tc.restrictions_on(purpose, vendor_id)
    if demands & _ENDING:
        return False
    by_consent = (
        RestrictionKind.REQUIRE_LEGITIMATE_INTEREST not in demands
        and (purpose in tc.consents or (purpose == _STORE and _needs_no_consent_to_store(tc, rules)))
        and (vendor_id is None or vendor_id in tc.vendor_consents)
    )
    by_interest = (
        RestrictionKind.REQUIRE_CONSENT not in demands
        and purpose in LEGITIMATE_INTEREST_ALLOWED
        and purpose in tc.legitimate_interests
        and (vendor_id is None or vendor_id in tc.vendor_legitimate_interests)
    )
    return by_consent or by_interest


def _needs_no_consent_to_store(tc: TcString, rules: TcfRules) -> bool:
    return tc.purpose_one_treatment and tc.publisher_country in rules.purpose_one_countries
