"""What an auction asks for: scores, money and cap slots."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from bihuan_gateway.control.snapshot import Creative
from bihuan_gateway.data.ports.people import ProfileView


@dataclass(frozen=True, slots=True)
class ScoreContext:
    """Where and when an advertisement may be shown."""

    placement_id: str
    channel: str
    traffic_source: str
    keywords: tuple[str, ...]
    request_time_us: int


@dataclass(frozen=True, slots=True)
class ScoreQuery:
    """One person (None: nobody is known) in one context, against some creatives."""

    profile: ProfileView | None
    context: ScoreContext
    creatives: tuple[Creative, ...]


@dataclass(frozen=True, slots=True)
class Scores:
    """The probabilities of a click, and of an order after it; one pair a creative, in the order of the query."""

    model_version: str
    pairs: tuple[tuple[float, float], ...]


class Scorer(Protocol):
    """Scoring, as the gateway uses it."""

    async def memberships(self, person_id: int) -> frozenset[str]:
        """Return the audiences that a person is in; merged with other calls."""
        ...

    async def score(self, query: ScoreQuery) -> Scores:
        """Score the creatives of a query; merged with other calls."""
        ...


class ReserveOutcome(StrEnum):
    """Whether a candidate can be had."""

    NOT_LOOKED_AT = "NOT_LOOKED_AT"
    RESERVED = "RESERVED"
    CAPPED = "CAPPED"
    BUDGET_EXHAUSTED = "BUDGET_EXHAUSTED"
    BALANCE_EXHAUSTED = "BALANCE_EXHAUSTED"
    NO_TERMS = "NO_TERMS"


@dataclass(frozen=True, slots=True)
class ReserveQuery:
    """One decision's request for money and slots: creatives best first, each with the nanos to set aside."""

    reservation_id: str
    person_id: int
    candidates: tuple[tuple[Creative, int], ...]


@dataclass(frozen=True, slots=True)
class ReserveAnswer:
    """
    The index of the candidate that was set aside (None: none could be), and one outcome a candidate.

    `reservation_id` is what the token names where the money was not set aside under the id of the query.
    """

    index: int | None
    outcomes: tuple[ReserveOutcome, ...]
    reservation_id: str = ""


class Budgets(Protocol):
    """Money and caps, as attribution keeps them."""

    async def validate(self, query: ReserveQuery) -> tuple[ReserveOutcome, ...]:
        """Tell what each candidate would get; nothing is set aside; merged with other calls."""
        ...

    async def reserve(self, query: ReserveQuery) -> ReserveAnswer:
        """Set the first candidate aside that has both money and a slot; merged with other calls."""
        ...
