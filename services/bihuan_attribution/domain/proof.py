"""
What must hold of the books whoever wrote them, told from the rows alone.

The hash chain is computed here anew, from what is stored: a row that says something that could never be posted has a
hash, too, and must be named instead of refused.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import msgspec

from bihuan_attribution.domain.booking import BookingDay, DayState
from bihuan_attribution.domain.event import EventType
from bihuan_attribution.domain.period import period_of

MAX_FAULTS: Final = 100
"""Faults that a proof names; what is beyond stays to be found once these are mended."""
END_OF_TIME_US: Final = 253_402_300_800_000_000
"""The year 10000; what a row says beyond is no time."""
_encoder: Final = msgspec.msgpack.Encoder()
_WORDS: Final = {int(one): one.word for one in EventType}


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that must not be: which invariant, at which entry (0 for none), and what was found."""

    invariant: str
    entry_id: int
    detail: str


@dataclass(frozen=True, slots=True)
class Proof:
    """
    What a check found: how many entries it read, the hash of the last one, and what is broken.

    `next_after_entry_id` is where to go on; 0 where the ledger's end was reached, and the sums were compared.
    """

    entry_count: int
    head_hash: bytes
    faults: tuple[Fault, ...]
    next_after_entry_id: int


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry as its row says, whatever that is; `sides` are (account, nanos) by account."""

    entry_id: int
    kind: str
    cause_type: str
    cause_id: str
    advertiser_id: str
    campaign_id: str
    currency: str
    entry_time_us: int
    decision_id: str
    order_id: str
    position: int
    pricing_model: str
    corrects_entry_id: int
    book_time_us: int
    period: str
    adjustment: int
    entry_hash: bytes
    sides: tuple[tuple[str, int], ...]

    @property
    def charged_nanos(self) -> int:
        """What it asks of the advertiser, estimates included."""
        return sum(nanos for account, nanos in self.sides if account.startswith("advertiser:"))


@dataclass(frozen=True, slots=True)
class CausingEvent:
    """What the log says of the event at a position."""

    event_type: int
    event_id: str
    advertiser_id: str
    receive_time_us: int
    pricing_model: str
    price_micros: int

    @property
    def cause_id(self) -> str:
        """How an entry names it."""
        return f"{_WORDS.get(self.event_type, '?')}/{self.event_id}"


def row_hash(before: bytes, row: StoredEntry) -> bytes:
    """SHA-256 over the hash before and the row in MessagePack, as `domain.chain` defines it; 32 bytes."""
    content = (
        row.entry_id,
        row.kind,
        row.cause_type,
        row.cause_id,
        row.advertiser_id,
        row.campaign_id,
        row.currency,
        row.entry_time_us,
        row.decision_id,
        row.order_id,
        row.position,
        row.pricing_model,
        row.corrects_entry_id,
        row.book_time_us,
        row.period,
        row.adjustment,
        sorted(row.sides),
    )
    return sha256(before + _encoder.encode(content)).digest()


def link_faults(before_id: int, before: bytes, rows: Sequence[StoredEntry]) -> Iterable[Fault]:
    """
    What is wrong with the chain from an entry on.

    Each row is checked against the stored hash of the one before, so only what was edited is named. After a gap the
    first row cannot be checked: what its hash covers is gone.
    """
    for row in rows:
        if row.entry_id != before_id + 1:
            last = row.entry_id - 1
            missing = f"entry {last} is missing" if last == before_id + 1 else f"{before_id + 1} to {last} are missing"
            yield Fault("gap", before_id + 1, missing)
        elif row_hash(before, row) != row.entry_hash:
            detail = "the entry, its postings or its hash are not those that were booked"
            yield Fault("hash_chain", row.entry_id, detail)
        before_id, before = row.entry_id, row.entry_hash


def entry_faults(row: StoredEntry) -> Iterable[Fault]:
    """What is wrong with an entry by itself."""
    total = sum(nanos for _, nanos in row.sides)
    if total or not row.sides:
        yield Fault("entry_sum", row.entry_id, f"its {len(row.sides)} postings sum to {total}")
    if not 0 <= row.entry_time_us < END_OF_TIME_US:
        yield Fault("period", row.entry_id, "is of no time that there is")
        return
    own_period = period_of(row.entry_time_us)
    if row.period < own_period or bool(row.adjustment) is not (row.period > own_period):
        what = "as an adjustment" if row.adjustment else "as its own"
        yield Fault("period", row.entry_id, f"is of {own_period} and booked in {row.period} {what}")


def event_faults(row: StoredEntry, event: CausingEvent | None) -> Iterable[Fault]:
    """What is wrong with how an entry names the event at its position of the log."""
    if event is None:
        yield Fault("cause", row.entry_id, f"the log has no event at {row.position}, which {row.cause_id} should be")
        return
    # A late click moves several orders; a click that is put out of a span is credited because of another one.
    is_named = row.cause_id == event.cause_id or row.cause_id.startswith(f"{event.cause_id}@")
    if not is_named and row.kind != "ivt_credit":
        yield Fault("cause", row.entry_id, f"names {row.cause_id}; the log has {event.cause_id} at {row.position}")
    if (row.advertiser_id, row.entry_time_us) != (event.advertiser_id, event.receive_time_us):
        yield Fault("cause", row.entry_id, f"has not the advertiser or the time of {event.cause_id}")
    price_nanos = event.price_micros * (1000 if event.pricing_model == "cpc" else 1)
    if row.kind == "charge" and row.charged_nanos != price_nanos:
        detail = f"charges {row.charged_nanos}; the token of {event.cause_id} says {price_nanos}"
        yield Fault("price", row.entry_id, detail)


def day_fault(row: StoredEntry, day: BookingDay | None) -> Fault | None:
    """What is wrong with how an entry stands to the booked day that caused it; `day` is None where there is none."""
    if day is None:
        return Fault("cause", row.entry_id, f"there is no booked day {row.cause_id}")
    if day.state is not DayState.CHARGED:
        return Fault("cause", row.entry_id, f"the booked day {row.cause_id} is {day.state.name.lower()}")
    told = (day.advertiser_id, day.campaign_id, day.currency, day.start_time_us)
    if (row.advertiser_id, row.campaign_id, row.currency, row.entry_time_us) != told:
        return Fault("cause", row.entry_id, f"has not the campaign, the currency or the begin of {row.cause_id}")
    if row.charged_nanos != day.day_rate_micros * 1000:
        detail = f"charges {row.charged_nanos}; the rate of {row.cause_id} is {day.day_rate_micros * 1000}"
        return Fault("price", row.entry_id, detail)
    return None


def operation_fault(row: StoredEntry, body: Mapping[str, object] | None) -> Fault | None:
    """What is wrong with how an entry stands to the operation that caused it; `body` is None where there is none."""
    if body is None:
        return Fault("cause", row.entry_id, f"there is no {row.cause_type} {row.cause_id} in the journal")
    told = (body.get("amount_nanos"), body.get("currency"))
    moved_nanos = max((nanos for _, nanos in row.sides), default=0)
    if row.cause_type in ("deposit", "payout") and told != (moved_nanos, row.currency):
        return Fault("cause", row.entry_id, f"moves {moved_nanos} {row.currency}; the journal says {told[0]} {told[1]}")
    if row.cause_type == "invoice" and told != (-_rounded_off(row), row.currency):
        return Fault("cause", row.entry_id, f"rounds by {-_rounded_off(row)}; the journal says {told[0]}")
    return None


def _rounded_off(row: StoredEntry) -> int:
    return sum(nanos for account, nanos in row.sides if account == "platform:rounding")
