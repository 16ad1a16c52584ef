"""What deciding without a call asks for: money of campaigns, set aside by attribution for a while."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bihuan_gateway.data.ports.auction import ReserveOutcome


@dataclass(frozen=True, slots=True)
class LeaseWish:
    """What a lease is to set aside of one campaign, in all since it began."""

    campaign_id: str
    advertiser_id: str
    amount_nanos: int


@dataclass(frozen=True, slots=True)
class LeaseGrant:
    """What may be used of one campaign, in all since the lease began; CAPPED where it cannot be leased."""

    outcome: ReserveOutcome
    granted_nanos: int


@dataclass(frozen=True, slots=True)
class LeaseAnswer:
    """One grant a wish, in order, and the instant from which nothing may be decided on the lease."""

    grants: tuple[LeaseGrant, ...]
    expire_time_us: int


class Leases(Protocol):
    """Leases, as attribution keeps them."""

    async def lease(self, lease_id: str, wishes: Sequence[LeaseWish]) -> LeaseAnswer:
        """Let a lease hold what is wished, up to 1,000 campaigns, and nothing else; raises a BihuanError."""
        ...
