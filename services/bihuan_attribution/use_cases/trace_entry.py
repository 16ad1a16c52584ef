"""Tracing: from an entry of the ledger to the signed impression that it rests on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from bihuan_attribution.domain.event import EventType
from bihuan_attribution.domain.intake import ad_facts
from bihuan_attribution.use_cases.ports import BookedEntry
from bihuan_attribution.use_cases.settlement_ports import EntryFile, EntryFiles, StoredEvent
from bihuan_shared.errors import InvalidArgument, NotFound
from bihuan_shared.tokens import KeyRing

_BODY_HASH_BYTES = 16


@dataclass(frozen=True, slots=True)
class TracedEvent:
    """An event on the way; `is_verified` tells that its token opens, as of its time, and says what the log says."""

    stored: StoredEvent
    is_verified: bool


@dataclass(frozen=True, slots=True)
class Trace:
    """An entry, what belongs to it, and what could not be followed (nothing, in books that are whole)."""

    file: EntryFile
    events: tuple[TracedEvent, ...]
    gaps: tuple[str, ...]


async def trace_entry(entry_id: int, files: EntryFiles, keys: KeyRing) -> Trace:
    """Walk from an entry to what caused it. Raises NotFound where there is no such entry."""
    file = await files.find(entry_id)
    if file is None:
        raise NotFound("there is no such entry")
    events = tuple(TracedEvent(one, bool(one.token) and _is_verified(one, keys)) for one in file.events)
    return Trace(file, events, tuple(_gaps(file, events)))


def _is_verified(stored: StoredEvent, keys: KeyRing) -> bool:
    event = stored.event
    try:
        token = keys.open(stored.token, event.receive_time_us)
    except InvalidArgument:
        return False
    digest = blake2b(repr(token).encode(), digest_size=_BODY_HASH_BYTES).digest()
    says_the_same = (token.token_id, ad_facts(token)) == (event.event_id, event.ad)
    # Without consent no person was stored, and later one may have been erased.
    return says_the_same and digest == event.body_hash and event.person_id in (0, token.person_id)


def _gaps(file: EntryFile, events: Sequence[TracedEvent]) -> Iterable[str]:
    booked, entry = file.booked, file.booked.entry
    if booked.corrects_entry_id and file.corrected is None:
        yield f"entry {booked.corrects_entry_id}, which it corrects, is not there"
    if not file.is_cause_known:
        yield f"its {entry.cause_type} {entry.cause_id} is not on record"
    if entry.order_id and file.order is None:
        yield f"its order {entry.order_id} is not there"
    # The credit of a late finding is caused by that, and by no event.
    if entry.cause_type == "event" and (entry.position or entry.kind != "ivt_credit"):
        yield from _cause_gaps(booked, events)
    for one in events:
        name = one.stored.event.cause_id
        if one.stored.token and not one.is_verified:
            yield f"the token of {name} does not open, or says something else than the log"
        if one.stored.event.ad is not None and not one.stored.token:
            yield f"{name} has no token"
        if not one.stored.is_intact:
            yield f"{name} is not what was committed"
    if entry.cause_type == "event" or file.corrected is not None:
        yield from _token_gaps(file, events)


def _cause_gaps(booked: BookedEntry, events: Sequence[TracedEvent]) -> Iterable[str]:
    cause = next((one.stored.event for one in events if one.stored.event.position == booked.entry.position), None)
    if cause is None:
        yield f"the log has no event at {booked.entry.position}"
    elif booked.entry.kind != "ivt_credit" and not booked.entry.cause_id.startswith(cause.cause_id):
        yield f"names {booked.entry.cause_id}, and the log has {cause.cause_id} at {booked.entry.position}"


def _token_gaps(file: EntryFile, events: Sequence[TracedEvent]) -> Iterable[str]:
    """Whether the way ends at a verified impression, or at the click of a promoter's link, of the entry's decision."""
    entry = file.booked.entry
    own = [
        ad
        for one in events
        if one.is_verified
        and (ad := one.stored.event.ad) is not None
        and (ad.campaign_id, ad.decision_id) == (entry.campaign_id, entry.decision_id)
    ]
    if not own:
        yield "no token of its campaign and its decision was found"
    begun = {
        one.stored.event.event_id
        for one in events
        if one.is_verified and one.stored.event.event_type is EventType.IMPRESSION
    }
    for token_id in sorted({ad.token_id for ad in own if not ad.promoter_id} - begun):
        yield f"no impression of token {token_id} was found"
