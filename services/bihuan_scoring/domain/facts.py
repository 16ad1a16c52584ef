"""What a score may depend on: a person, a context, candidates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Activity = tuple[float, float, int]
"""How often a person did one thing: counts decayed over weeks and over minutes, and the plain count."""

InterestWeight = tuple[str, float, float]
"""
Interest in a tag, decayed over weeks and over minutes.

Plain tuples: a request brings tens of thousands of them, and named ones take three times as long to build.
"""


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """What orders tell about a person. Amounts are micros of the person's first currency."""

    last_order_time_us: int
    frequency: int
    monetary_micros: float
    monetary_decayed_micros: float


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """
    What is known about a person and may be used.

    `activities` is keyed by the lower-case name of the behaviour. `withheld` is true where facts exist that purpose or
    consent keeps back, so that what is absent is unknown, not zero. `attribute_times_us` says when an attribute was
    learnt, where that is known.
    """

    person_id: int = 0
    attributes: Mapping[str, str | float | bool] = field(default_factory=dict)
    interests: Sequence[InterestWeight] = ()
    activities: Mapping[str, Activity] = field(default_factory=dict)
    segments: frozenset[str] = frozenset()
    orders: OrderFacts | None = None
    withheld: bool = False
    attribute_times_us: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that may be shown, and what it is about."""

    creative_id: str
    campaign_id: str
    advertiser_id: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Context:
    """Where and when something may be shown."""

    request_time_us: int
    placement_id: str = ""
    channel: str = ""
    traffic_source: str = ""
    keywords: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScoreItem:
    """One person (None: unknown) in one context against the candidates at these indexes."""

    person: PersonFacts | None
    context: Context
    candidate_indexes: Sequence[int]
