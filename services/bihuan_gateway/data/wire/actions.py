"""Engagements and leads in the body of `POST /v1/events`."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bihuan_gateway.data.wire.decisions import identifier_breaches
from bihuan_gateway.data.wire.parts import (
    END,
    OUT_OF_RANGE,
    Body,
    ConsentBody,
    Id64,
    Id128,
    OptionalId64,
    OptionalId128,
    OptionalIdentifiers,
    Time,
    time_us,
    too_long,
)

EVENT_NAMES = frozenset({"impression", "viewable", "click", "landing"})
"""What rules call events with a token; an action cannot pass for one."""
_REFERENCE = re.compile(r"[A-Za-z0-9_.:-]*")
_SEPARATORS = str.maketrans("", "", "+-_.:()/ ")
_FEWEST_DIGITS, _MOST_DIGITS = 7, 15
ActionName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-z][a-z0-9_.\-]*" + END)]


class ActionBody(Body, frozen=True, kw_only=True):
    """
    Something that a person did after an advertisement (engagement), or a contact that was left (lead).

    `action_time` absent means now. `click_id` is what the landing URL carried as `bh_click`; the identifiers name the
    person, where consent allows MEASUREMENT. `reference` is the advertiser's own key of the contact of a lead: letters,
    digits and `_.:-`, and neither an e-mail address nor a phone number.
    """

    event_id: Id128
    type: Literal["engagement", "lead"]
    advertiser_id: Id64
    name: ActionName
    action_time: Time | None = None
    click_id: OptionalId64 = ""
    identifiers: OptionalIdentifiers = ()
    reference: OptionalId128 = ""
    consent: ConsentBody = ConsentBody()


def action_breaches(pointer: str, action: ActionBody) -> Iterator[tuple[str, str]]:
    """Yield pointer and detail of what the types cannot say."""
    yield from identifier_breaches(f"{pointer}/identifiers", action.identifiers)
    if not action.click_id and not action.identifiers:
        yield f"{pointer}/identifiers", "is required where there is no click_id"
    if action.name in EVENT_NAMES:
        yield f"{pointer}/name", "is the name of an event with a token"
    if action.action_time is not None and time_us(action.action_time) is None:
        yield f"{pointer}/action_time", OUT_OF_RANGE
    if too_long(action.consent.source, 64):
        yield f"{pointer}/consent/source", "takes more than 64 bytes"
    fault = reference_fault(action.reference)
    if action.type != "lead" and action.reference:
        fault = "only a lead has a reference"
    if fault:
        yield f"{pointer}/reference", fault


def reference_fault(reference: str) -> str:
    """
    Say what is wrong with a reference, or nothing.

    What says who somebody is does not belong here: a reference goes to webhooks and is kept as it is.
    """
    if "@" in reference or "%40" in reference or reference.lower().startswith("mailto:"):
        return "looks like an e-mail address; send your own key of the contact"
    digits = reference.lower().removeprefix("tel:").translate(_SEPARATORS)
    if digits.isdigit() and _FEWEST_DIGITS <= len(digits) <= _MOST_DIGITS:
        return "looks like a phone number; send your own key of the contact, with a letter in it"
    if not _REFERENCE.fullmatch(reference):
        return "may hold letters, digits and _ . : - only"
    return ""


class ActionResultBody(msgspec.Struct, frozen=True, kw_only=True):
    """
    What became of one action; `reason` and `pointer` say why it was rejected and which field is at fault.

    `consent_refusal` says why a consent string was refused.
    """

    event_id: str
    outcome: Literal["accepted", "duplicate", "conflict", "rejected"]
    reason: str | None = None
    pointer: str | None = None
    consent_refusal: str | UnsetType = UNSET
