"""Leases: money of campaigns that is set aside for one decider, so that it can decide without a call."""

from dataclasses import dataclass

from bihuan_attribution.domain.reserve import ReserveOutcome


@dataclass(frozen=True, slots=True)
class LeaseWish:
    """What a lease is to set aside of one campaign in all, with what was billed out of it before."""

    campaign_id: str
    advertiser_id: str
    amount_nanos: int


@dataclass(frozen=True, slots=True)
class LeaseAttempt:
    """One wish with what its terms ask for; limits of None are none."""

    index: int
    campaign_id: str
    day: str
    amount_nanos: int
    total_limit_nanos: int | None
    daily_limit_nanos: int | None


@dataclass(frozen=True, slots=True)
class LeaseCall:
    """The wishes of one advertiser, met in one atomic step; they replace what the lease held of it."""

    advertiser_id: str
    reservation_id: str
    attempts: tuple[LeaseAttempt, ...]
    now_us: int
    expire_us: int


@dataclass(frozen=True, slots=True)
class LeaseGrant:
    """Whether anything could be had of a campaign, and how much the lease has set aside of it in all."""

    outcome: ReserveOutcome
    granted_nanos: int


@dataclass(frozen=True, slots=True)
class Lease:
    """One grant a wish, and the instant from which nothing may be decided on it."""

    grants: tuple[LeaseGrant, ...]
    expire_time_us: int
