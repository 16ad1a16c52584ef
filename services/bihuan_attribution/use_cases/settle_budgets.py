"""After billing: reservations end and spent sums reach the cache; repeated after a crash, it changes nothing."""

from collections import defaultdict
from collections.abc import Collection, Sequence

from bihuan_attribution.domain.budget_day import budget_day
from bihuan_attribution.domain.caps import cap_slots
from bihuan_attribution.domain.charging import billable_nanos
from bihuan_attribution.domain.event import AdFacts, EventType, LoggedEvent
from bihuan_attribution.domain.lease_part import lease_part
from bihuan_attribution.domain.reserve import Recount, Settled
from bihuan_attribution.domain.terms import CapLevel
from bihuan_attribution.use_cases.ports import Budgets, BudgetTruth, EventLog, Persons
from bihuan_attribution.use_cases.put_terms import TermsView
from bihuan_attribution.use_cases.reserve_budget import Reserver
from bihuan_shared.errors import Unavailable
from bihuan_shared.failpoints import failpoint

BUDGETS = "budgets"
BATCH = 1_000
RECOUNTS = 200


class BudgetSettler:
    """The consumer `budgets`, always behind billing."""

    def __init__(
        self,
        log: EventLog,
        budgets: Budgets,
        truth: BudgetTruth,
        terms: TermsView,
        reserver: Reserver,
        persons: Persons,
    ) -> None:
        self._log = log
        self._budgets = budgets
        self._truth = truth
        self._terms = terms
        self._reserver = reserver
        self._persons = persons

    async def step(self) -> int:
        """Deal with up to a batch of billed events and of persons who changed; the answer is how many there were."""
        settled = await self._settle_billed()
        # One after the other: an impression is counted either before its person changed or after it, and what is billed
        # and not settled would count twice.
        return settled + (await self._recount() if settled < BATCH else 0)

    async def _recount(self) -> int:
        recounts = await self._truth.recounts(RECOUNTS)
        by_advertiser: dict[str, list[Recount]] = defaultdict(list)
        for one in recounts:
            by_advertiser[one.advertiser_id].append(one)
        for advertiser_id, some in by_advertiser.items():
            now_us = self._reserver.now_us()
            held = self._terms.of_advertiser(advertiser_id, now_us)
            resets, counted = await self._truth.counted(held, {one.person_id for one in some}, now_us)
            losing = {one.person_id for one in some if one.lost}
            resets = [one for one in resets if one.person_id in losing]
            await self._budgets.recount(advertiser_id, resets, counted)
        if recounts:
            await self._truth.recounted(recounts)
        return len(recounts)

    async def _settle_billed(self) -> int:
        position = await self._log.position(BUDGETS)
        billed = await self._log.position("billing")
        if position >= billed:
            return 0
        events = await self._persons.as_now(await self._log.read(position, min(BATCH, billed - position)))
        if any(event.ad is not None and not self._terms.book.versions(event.ad.campaign_id) for event in events):
            await self._terms.refresh()
        by_advertiser: dict[str, list[LoggedEvent]] = defaultdict(list)
        for event in events:
            by_advertiser[event.advertiser_id].append(event)
        for advertiser_id, some in by_advertiser.items():
            await self._settle(advertiser_id, some)
            failpoint("budgets_settled")
        await self._log.advance(BUDGETS, events[-1].position)
        return len(events)

    async def push_balance(self, advertiser_id: str) -> None:
        """Bring a balance that a deposit changed to the cache."""
        await self._push(advertiser_id, set(), set(), [])

    async def push_spent(self, advertiser_id: str, campaign_ids: Collection[str], days: Collection[str]) -> None:
        """Bring what is gone from some budgets, and the balance, to the cache."""
        await self._push(advertiser_id, set(campaign_ids), set(days), [])

    async def _settle(self, advertiser_id: str, events: Sequence[LoggedEvent]) -> None:
        campaigns: set[str] = set()
        days: set[str] = set()
        for event in events:
            ids = [event.ad.campaign_id] if event.ad else self._terms.book.of_advertiser(advertiser_id)
            for campaign_id in ids:
                terms = self._terms.book.at(campaign_id, event.receive_time_us)
                if terms is not None:
                    campaigns.add(campaign_id)
                    days.add(budget_day(event.receive_time_us, terms.time_zone))
        settled = [self._settled(event, event.ad) for event in events if event.ad is not None]
        await self._push(advertiser_id, campaigns, days, [one for one in settled if one is not None])

    async def _push(self, advertiser_id: str, campaigns: set[str], days: set[str], settled: list[Settled]) -> None:
        state = await self._truth.spent(advertiser_id, campaigns, days)
        if await self._budgets.settle(state, settled):
            return
        await self._reserver.load(advertiser_id)
        if not await self._budgets.settle(state, settled):
            raise Unavailable("budgets are being rebuilt")

    def _settled(self, event: LoggedEvent, ad: AdFacts) -> Settled | None:
        counts = event.event_type is EventType.IMPRESSION
        ends = billable_nanos(event.event_type, ad, self._terms.book) > 0
        terms = self._terms.book.at(ad.campaign_id, event.receive_time_us)
        if terms is None or not (counts or ends):
            return None
        all_terms = self._terms.of_advertiser(ad.advertiser_id, event.receive_time_us)
        windows = sorted({cap.window for one in all_terms for cap in one.caps if cap.level is CapLevel.ADVERTISER})
        return Settled(
            reservation_id=ad.reservation_id,
            campaign_id=ad.campaign_id,
            token_id=ad.token_id,
            position=event.position,
            counts_slots=counts,
            ends_money=ends,
            person_id=event.person_id,
            slots=cap_slots(terms, windows, ad.ad_group_id, ad.creative_id, event.receive_time_us) if counts else (),
            lease_part=lease_part(ad.reservation_id),
        )
