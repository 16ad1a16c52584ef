"""
Consent strings: TCF (IAB Europe), GPP and US Privacy (IAB Tech Lab), decoded into the platform's purposes.

What each allows stands in `tcf_rules` and `us`. A string that cannot be trusted gives no consent and a `Refusal`.
"""

from bihuan_shared.consent.consents import CLASSES_OF_STRINGS, Consent, DataClass, Purpose
from bihuan_shared.consent.openrtb import openrtb_consent
from bihuan_shared.consent.reading import MAX_CHARS, ConsentStrings, Form, Reading, read_consent_strings
from bihuan_shared.consent.refusal import Refusal
from bihuan_shared.consent.tcf_rules import TcfRules

__all__ = [
    "CLASSES_OF_STRINGS",
    "MAX_CHARS",
    "Consent",
    "ConsentStrings",
    "DataClass",
    "Form",
    "Purpose",
    "Reading",
    "Refusal",
    "TcfRules",
    "openrtb_consent",
    "read_consent_strings",
]
