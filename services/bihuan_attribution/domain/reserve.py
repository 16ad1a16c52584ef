"""Reservations: what a decision asks for, and what the state of an advertiser's budgets is."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from bihuan_attribution.domain.caps import CapSlot
from bihuan_attribution.domain.event import MINUTE_US
from bihuan_attribution.domain.lease_part import LeasePart

LIFE_US = 5 * MINUTE_US


class ReserveOutcome(IntEnum):
    """Whether a candidate can be had; the numbers are those of the wire."""

    UNSPECIFIED = 0
    RESERVED = 1
    CAPPED = 2
    BUDGET_EXHAUSTED = 3
    BALANCE_EXHAUSTED = 4
    NO_TERMS = 5


@dataclass(frozen=True, slots=True)
class Candidate:
    """A campaign that may win, and what it would set aside."""

    campaign_id: str
    advertiser_id: str
    ad_group_id: str
    creative_id: str
    amount_nanos: int


@dataclass(frozen=True, slots=True)
class Item:
    """
    One decision's request, best candidate first; person 0 means that no cap of a person applies.

    `time_us` is when it is asked for; None is the time of the call.
    """

    reservation_id: str
    person_id: int
    candidates: tuple[Candidate, ...]
    time_us: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an item: the index that was set aside, one outcome a candidate, and when it ends by itself."""

    index: int | None
    outcomes: tuple[ReserveOutcome, ...]
    expire_time_us: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """One candidate with what its terms ask for; limits of None are none."""

    index: int
    campaign_id: str
    creative_id: str
    day: str
    amount_nanos: int
    total_limit_nanos: int | None
    daily_limit_nanos: int | None
    slots: tuple[CapSlot, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """Candidates of one advertiser that stand next to each other in one item, tried in one atomic step."""

    advertiser_id: str
    reservation_id: str
    person_id: int
    attempts: tuple[Attempt, ...]
    validate_only: bool
    now_us: int

    @property
    def expire_us(self) -> int:
        """When what it sets aside ends by itself."""
        return self.now_us + LIFE_US


@dataclass(frozen=True, slots=True)
class Reply:
    """One outcome an attempt, up to the one that was taken, and the end of the reservation (0 where none)."""

    outcomes: tuple[ReserveOutcome, ...]
    expire_time_us: int


@dataclass(frozen=True, slots=True)
class Held:
    """What a reservation holds with one advertiser."""

    advertiser_id: str
    campaign_id: str
    creative_id: str
    amount_nanos: int


def place_of(held: Held, candidates: Sequence[Candidate]) -> int | None:
    """Where the held campaign stands now: of several of its candidates the one most like what was set aside."""
    places = [
        index
        for index, one in enumerate(candidates)
        if (one.advertiser_id, one.campaign_id) == (held.advertiser_id, held.campaign_id)
    ]

    def likeness(index: int) -> tuple[bool, bool, int]:
        one = candidates[index]
        return one.creative_id == held.creative_id, one.amount_nanos == held.amount_nanos, -index

    return max(places, key=likeness, default=None)


@dataclass(frozen=True, slots=True)
class Settled:
    """A billed event as reservations see it; `lease_part` is what its decision took of a lease, if of one."""

    reservation_id: str
    campaign_id: str
    token_id: str
    position: int
    counts_slots: bool
    ends_money: bool
    person_id: int
    slots: tuple[CapSlot, ...]
    lease_part: LeasePart | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """What is gone from one budget: of a campaign's day, of its whole life, or of the balance (`bal`, negated)."""

    day: str
    name: str
    nanos: int


@dataclass(frozen=True, slots=True)
class Counted:
    """How often a person met something in a span."""

    person_id: int
    bucket: str
    entity: str
    count: int
    garbage_s: int


@dataclass(frozen=True, slots=True)
class Reset:
    """A span of a person whose counters are to be begun anew."""

    person_id: int
    bucket: str
    garbage_s: int


@dataclass(frozen=True, slots=True)
class Recount:
    """A person whose impressions with an advertiser are to be counted anew; `lost` where some went to another one."""

    advertiser_id: str
    person_id: int
    lost: bool


@dataclass(frozen=True, slots=True)
class BudgetState:
    """An advertiser's state; impressions count up to `position` of the log, and a higher `version` is a later one."""

    advertiser_id: str
    position: int
    version: int
    spent: tuple[Spent, ...]
    counted: tuple[Counted, ...] = ()
