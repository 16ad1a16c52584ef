"""What a process holds of leases, and how much it will need. Amounts of a lease count from its beginning."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bihuan_gateway.data.ports import ReserveOutcome
from bihuan_gateway.data.ports.leasing import LeaseAnswer, LeaseWish


@dataclass(slots=True)
class Share:
    """What may be used of one campaign, what was asked for and what is used, and whether anything could be had."""

    advertiser_id: str
    granted_nanos: int = 0
    asked_nanos: int = 0
    used_nanos: int = 0
    outcome: ReserveOutcome = ReserveOutcome.NOT_LOOKED_AT

    @property
    def left_nanos(self) -> int:
        """What may be used still."""
        return self.granted_nanos - self.used_nanos

    @property
    def may_grow(self) -> bool:
        """Whether all that was asked for was had, so that there may be more."""
        return self.granted_nanos >= self.asked_nanos


@dataclass(slots=True)
class Lease:
    """
    One lease by its id.

    `asked_us` is when what is known of it was asked for; nothing is decided on it from `until_us`. Once an answer was
    lost it `is_doubtful`: what it was granted can be used up, and nothing more is asked of it, because a request that
    arrives late must not undo a later one.
    """

    lease_id: str
    open_us: int
    asked_us: int = 0
    until_us: int = 0
    is_doubtful: bool = False
    shares: dict[str, Share] = field(default_factory=dict)

    def ask(self, wants: Mapping[str, "Demand"], most: int) -> list[LeaseWish]:
        """
        Form the wishes: what is used and what is wanted, at most so many campaigns, those with something used first.

        A share that would shrink shrinks at once, because nobody knows when attribution hears of it.
        """
        used = {key: share.advertiser_id for key, share in self.shares.items() if share.used_nanos}
        names = used | {key: demand.advertiser_id for key, demand in wants.items()}
        wishes: list[LeaseWish] = []
        for campaign_id, advertiser_id in list(names.items())[:most]:
            share = self.shares.setdefault(campaign_id, Share(advertiser_id))
            demand = wants.get(campaign_id)
            amount = share.used_nanos + (demand.want_nanos if demand is not None else 0)
            share.asked_nanos = amount
            wishes.append(LeaseWish(campaign_id, advertiser_id, amount))
        asked = {one.campaign_id for one in wishes}
        for campaign_id, share in self.shares.items():
            most_nanos = share.asked_nanos if campaign_id in asked else share.used_nanos
            share.granted_nanos = min(share.granted_nanos, most_nanos)
        return wishes

    def hear(self, wishes: list[LeaseWish], answer: LeaseAnswer, asked_us: int, valid_us: int) -> None:
        """Take an answer in."""
        for wish, grant in zip(wishes, answer.grants, strict=True):
            share = self.shares[wish.campaign_id]
            share.granted_nanos, share.outcome = grant.granted_nanos, grant.outcome
        self.asked_us = asked_us
        self.until_us = min(asked_us + valid_us, answer.expire_time_us)

    def covers(self, wants: Mapping[str, "Demand"]) -> bool:
        """Tell whether half of what is wanted is there of every campaign, and none is denied."""
        return all(
            (share := self.shares.get(key)) is not None
            and share.outcome is ReserveOutcome.RESERVED
            and share.left_nanos * 2 >= demand.want_nanos
            for key, demand in wants.items()
        )

    def used(self) -> list[LeaseWish]:
        """Form the wishes of a lease that nothing is decided on any more: what decisions have promised."""
        return [
            LeaseWish(key, share.advertiser_id, share.used_nanos)
            for key, share in self.shares.items()
            if share.used_nanos
        ]


@dataclass(slots=True)
class Demand:
    """How much of a campaign is used: since the last round, in a round of late, and by the dearest decision."""

    advertiser_id: str
    asked_us: int
    used_nanos: int = 0
    rate_nanos: int = 0
    dearest_nanos: int = 0
    want_nanos: int = 0
    barred_until_us: int = 0

    def learn(self, rounds: float, floor_decisions: int, ceiling_nanos: int) -> None:
        """
        Renew what is wanted after so many rounds of time: twice what a round uses, and enough for some decisions.

        A rate falls by half a round at most, so that a pause of the traffic does not empty the lease.
        """
        self.rate_nanos = max(int(self.used_nanos / rounds), self.rate_nanos // 2)
        self.used_nanos = 0
        self.want_nanos = min(ceiling_nanos, max(2 * self.rate_nanos, floor_decisions * self.dearest_nanos))
        self.dearest_nanos -= self.dearest_nanos // 8
