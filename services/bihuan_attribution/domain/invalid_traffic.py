"""
Invalid traffic: why an event is not counted, or a click is counted and free.

General invalid traffic is told by an event alone, or by it and its impression. Too many clicks are told by their rank
among the clicks of a span: the first ones by (time, token) are billable whatever the sequence they came in, so a click
that comes late can make another one free. Terms follow the MRC's Invalid Traffic Detection and Filtration guidelines
(general invalid traffic, GIVT).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from bihuan_attribution.domain.event import HOUR_US, AdFacts, EventType, LoggedEvent, Signals

KNOWN_BOT = "ivt_known_bot"
PREFETCH = "ivt_prefetch"
DATA_CENTRE = "ivt_data_centre"
TOO_FAST = "ivt_too_fast"
INVALID_IMPRESSION = "ivt_invalid_impression"
REPEATED_CLICK = "ivt_repeated_click"
PERSON_RATE = "ivt_person_rate"
ADDRESS_RATE = "ivt_address_rate"


@dataclass(frozen=True, slots=True)
class TrafficLimits:
    """
    What is still taken for human; 0 switches a rule off.

    `min_click_delay_us` is the least time between an impression and its click. The others are how many clicks of a
    clock hour are billable: of one person on one creative, of one person, and of one address on one placement.
    """

    min_click_delay_us: int = 200_000
    clicks_per_creative: int = 1
    clicks_per_person: int = 20
    clicks_per_address: int = 30


DEFAULT_LIMITS = TrafficLimits()


@dataclass(frozen=True, slots=True)
class Span:
    """The clicks that one rule counts together; at most `limit` of them are billable."""

    rule: str
    name: str
    limit: int

    @property
    def key(self) -> tuple[str, str]:
        """Unique among spans."""
        return (self.rule, self.name)


@dataclass(frozen=True, slots=True)
class Impression:
    """What is known of a token's impression: when it was received, and why it is invalid, or nothing."""

    receive_time_us: int
    invalid: str = ""


def general_reason(event: LoggedEvent, impression: Impression | None, limits: TrafficLimits) -> str:
    """Why an event is no traffic of people; empty where it is. `impression` is None for one that needs none."""
    return _reason_of_signals(event.signals) or _reason_of_impression(event, impression, limits)


def _reason_of_signals(signals: Signals) -> str:
    if signals.known_bot:
        return KNOWN_BOT
    if signals.prefetch:
        return PREFETCH
    return DATA_CENTRE if signals.data_centre else ""


def _reason_of_impression(event: LoggedEvent, impression: Impression | None, limits: TrafficLimits) -> str:
    if impression is None:
        return ""
    if impression.invalid:
        return INVALID_IMPRESSION
    is_click = event.event_type is EventType.CLICK
    too_fast = abs(event.receive_time_us - impression.receive_time_us) < limits.min_click_delay_us
    return TOO_FAST if is_click and too_fast else ""


def spans_of(event: LoggedEvent, ad: AdFacts, limits: TrafficLimits) -> Iterator[Span]:
    """The spans that a click falls into; those of a person need a person, those of an address an address."""
    hour = event.receive_time_us // HOUR_US
    person, address = event.person_id, event.signals.address_hash
    if person and limits.clicks_per_creative:
        yield Span(REPEATED_CLICK, f"{person}:{ad.creative_id}:{hour}", limits.clicks_per_creative)
    if person and limits.clicks_per_person:
        yield Span(PERSON_RATE, f"{person}:{hour}", limits.clicks_per_person)
    if address and limits.clicks_per_address:
        yield Span(ADDRESS_RATE, f"{address:x}:{ad.placement_id}:{hour}", limits.clicks_per_address)
