"""Leases: money of campaigns for a decider that decides without a call, as far as no cap of a person forbids it."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol

from bihuan_attribution.domain.budget_day import budget_day, day_end_us
from bihuan_attribution.domain.lease import Lease, LeaseAttempt, LeaseCall, LeaseGrant, LeaseWish
from bihuan_attribution.domain.lease_part import LEASE
from bihuan_attribution.domain.reserve import LIFE_US, ReserveOutcome
from bihuan_attribution.domain.terms import CampaignTerms, CapLevel
from bihuan_attribution.use_cases.ports import Budgets
from bihuan_attribution.use_cases.put_terms import TermsView
from bihuan_attribution.use_cases.reserve_budget import Reserver
from bihuan_shared.clock import Clock
from bihuan_shared.errors import FailedPrecondition, FieldViolation, InvalidArgument, Unavailable

_LOAD_ROUNDS = 3


class Leases(Protocol):
    """Leases beside the budgets that they are of."""

    async def begin(self, reservation_id: str, advertisers: Sequence[str]) -> list[str]:
        """Note which advertisers a lease asks; which others it asked the last time."""
        ...

    async def lease(self, calls: Sequence[LeaseCall]) -> list[list[LeaseGrant] | None]:
        """One list of grants a call; None where the advertiser's state has to be loaded first."""
        ...


class Leaser:
    """Sets money of campaigns aside for one decider, and changes how much that is."""

    def __init__(self, leases: Leases, budgets: Budgets, reserver: Reserver, terms: TermsView, clock: Clock) -> None:
        self._leases = leases
        self._budgets = budgets
        self._reserver = reserver
        self._terms = terms
        self._clock = clock

    async def lease(self, lease_id: str, wishes: Sequence[LeaseWish]) -> Lease:
        """
        Let a lease hold what is wished, or what is left of the budgets and the balance.

        An amount counts from the lease's beginning, so a repeated lease keeps what was billed out of it off its amount;
        what it does not wish any more goes back. It ends five minutes after its last call; nothing may be decided on it
        from there, nor in the next budget day. Raises InvalidArgument for a campaign that is named twice,
        FailedPrecondition for campaigns whose impressions a cap counts, and Unavailable without the budgets.
        """
        now_us = self._clock.now_us()
        if any(not self._terms.book.versions(one.campaign_id) for one in wishes):
            await self._terms.refresh()
        self._check(wishes, now_us)
        serving = [self._serving(one, now_us) for one in wishes]
        reservation_id = LEASE + lease_id
        by_advertiser: dict[str, list[LeaseAttempt]] = defaultdict(list)
        expire_us = now_us + LIFE_US
        for index, (wish, terms) in enumerate(zip(wishes, serving, strict=True)):
            if terms is not None:
                by_advertiser[wish.advertiser_id].append(_attempt(index, wish, terms, now_us))
                if terms.daily_micros:
                    expire_us = min(expire_us, day_end_us(now_us, terms.time_zone))
        calls = [
            LeaseCall(advertiser_id, reservation_id, tuple(attempts), now_us, now_us + LIFE_US)
            for advertiser_id, attempts in by_advertiser.items()
        ]
        left = await self._leases.begin(reservation_id, sorted(by_advertiser))
        await self._budgets.release([(advertiser_id, reservation_id) for advertiser_id in left])
        grants = [LeaseGrant(ReserveOutcome.NO_TERMS, 0)] * len(wishes)
        for call, reply in zip(calls, await self._ask(calls), strict=True):
            for attempt, grant in zip(call.attempts, reply, strict=True):
                grants[attempt.index] = grant
        return Lease(tuple(grants), expire_us)

    def _check(self, wishes: Sequence[LeaseWish], now_us: int) -> None:
        counting = {one for one in {wish.advertiser_id for wish in wishes} if self._counts_impressions(one, now_us)}
        seen: set[str] = set()
        capped: list[FieldViolation] = []
        for index, one in enumerate(wishes):
            path = f"items[{index}].campaign_id"
            if one.campaign_id in seen:
                raise InvalidArgument.of(path, "is named before")
            seen.add(one.campaign_id)
            terms = self._terms.book.in_force(one.campaign_id, now_us)
            if terms is not None and terms.caps:
                capped.append(FieldViolation(path, "has frequency caps"))
            elif one.advertiser_id in counting:
                capped.append(FieldViolation(path, "is of an advertiser with frequency caps"))
        if capped:
            raise FailedPrecondition("impressions that a cap counts are reserved one by one", *capped)

    def _counts_impressions(self, advertiser_id: str, now_us: int) -> bool:
        held = self._terms.of_advertiser(advertiser_id, now_us)
        return any(cap.level is CapLevel.ADVERTISER for one in held for cap in one.caps)

    def _serving(self, wish: LeaseWish, now_us: int) -> CampaignTerms | None:
        terms = self._terms.book.in_force(wish.campaign_id, now_us)
        if terms is None or terms.stopped or terms.advertiser_id != wish.advertiser_id:
            return None
        return terms

    async def _ask(self, calls: Sequence[LeaseCall]) -> list[list[LeaseGrant]]:
        replies = await self._leases.lease(calls)
        for _ in range(_LOAD_ROUNDS):
            missing = [index for index, reply in enumerate(replies) if reply is None]
            if not missing:
                break
            for index in missing:
                await self._reserver.load(calls[index].advertiser_id)
            again = await self._leases.lease([calls[index] for index in missing])
            for index, reply in zip(missing, again, strict=True):
                replies[index] = reply
        known = [reply for reply in replies if reply is not None]
        if len(known) < len(calls):
            raise Unavailable("budgets are being rebuilt")
        return known


def _attempt(index: int, wish: LeaseWish, terms: CampaignTerms, now_us: int) -> LeaseAttempt:
    return LeaseAttempt(
        index=index,
        campaign_id=wish.campaign_id,
        day=budget_day(now_us, terms.time_zone),
        amount_nanos=wish.amount_nanos,
        total_limit_nanos=terms.total_limit_nanos if terms.total_micros else None,
        daily_limit_nanos=terms.daily_limit_nanos if terms.daily_micros else None,
    )
