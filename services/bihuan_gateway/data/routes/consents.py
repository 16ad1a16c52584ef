"""Consent in a body, as the use cases take it."""

from msgspec import UNSET, UnsetType

from bihuan_gateway.data.use_cases.consenting import ReadConsent, Told
from bihuan_gateway.data.use_cases.ingest import consent_of
from bihuan_gateway.data.wire.parts import ConsentBody
from bihuan_shared.consent import ConsentStrings


def told_of(body: ConsentBody, read: ReadConsent) -> Told:
    """Tell what a body's consent allows; most bodies name it and hold no string."""
    named = consent_of(body.purposes or (), body.data_classes or (), body.source)
    if not body.has_strings:
        return Told(named)
    strings = ConsentStrings(_given(body.tcf), _given(body.gpp), body.gpp_sid or (), _given(body.us_privacy))
    return read(named if body.is_named else None, strings)


def refusal_of(told: Told) -> str | UnsetType:
    """Form what an answer says of a string that was refused."""
    return UNSET if told.refusal is None else told.refusal


def _given(text: str | UnsetType) -> str | None:
    return None if text is UNSET else text
