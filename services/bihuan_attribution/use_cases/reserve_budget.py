"""Reservations: candidates are tried in their order, one round trip a round for all items together."""

from collections.abc import Sequence
from dataclasses import dataclass

from bihuan_attribution.domain.budget_day import budget_day
from bihuan_attribution.domain.caps import cap_slots
from bihuan_attribution.domain.reserve import (
    Answer,
    Attempt,
    Call,
    Candidate,
    Item,
    Reply,
    ReserveOutcome,
    place_of,
)
from bihuan_attribution.domain.terms import CampaignTerms, CapLevel, CapWindow
from bihuan_attribution.use_cases.ports import Budgets, BudgetTruth
from bihuan_attribution.use_cases.put_terms import TermsView
from bihuan_shared.clock import Clock
from bihuan_shared.errors import Unavailable
from bihuan_shared.failpoints import failpoint

_LOAD_ROUNDS = 3


@dataclass(slots=True)
class _Progress:
    """How far one item is; `next` is the first candidate that was not tried, `first` one to be tried before all."""

    item: Item
    now_us: int
    outcomes: list[ReserveOutcome]
    next: int = 0
    taken: int | None = None
    expire_us: int = 0
    first: int | None = None


class Reserver:
    """Sets money and slots aside, or tells what could be."""

    def __init__(self, budgets: Budgets, truth: BudgetTruth, terms: TermsView, clock: Clock) -> None:
        self._budgets = budgets
        self._truth = truth
        self._terms = terms
        self._clock = clock

    async def reserve(self, items: Sequence[Item], *, validate_only: bool) -> list[Answer]:
        """
        One answer an item. Raises Unavailable where the budgets cannot be read.

        An item that is repeated gets the campaign that it holds already, wherever that now stands among its
        candidates; one that is not among them any more is released. While validating, what it holds counts as free.
        """
        now_us = self._clock.now_us()
        await self._know_campaigns(items)
        all_progress = [
            _Progress(item, item.time_us or now_us, [ReserveOutcome.UNSPECIFIED] * len(item.candidates))
            for item in items
        ]
        asked = {(c.advertiser_id, one.now_us) for one in all_progress for c in one.item.candidates}
        windows = {one: self._windows(*one) for one in asked}
        if not validate_only:
            await self._find_held(all_progress)
        failpoint("before_reserving")
        open_items = all_progress
        while open_items:
            calls = [self._calls(one, windows, validate_only=validate_only) for one in open_items]
            replies = iter(await self._ask([call for some in calls for call in some]))
            for progress, some in zip(open_items, calls, strict=True):
                for call in some:
                    _note(progress, call, next(replies))
            open_items = [one for one in open_items if one.taken is None and one.next < len(one.outcomes)]
        return [Answer(one.taken, tuple(one.outcomes), one.expire_us) for one in all_progress]

    async def _find_held(self, all_progress: Sequence[_Progress]) -> None:
        asked = [
            (one.item.reservation_id, sorted({candidate.advertiser_id for candidate in one.item.candidates}))
            for one in all_progress
        ]
        unwanted: list[tuple[str, str]] = []
        for progress, held in zip(all_progress, await self._budgets.begin(asked), strict=True):
            for one in held:
                place = place_of(one, progress.item.candidates) if progress.first is None else None
                if place is None:
                    unwanted.append((one.advertiser_id, progress.item.reservation_id))
                else:
                    progress.first = place
        await self._budgets.release(unwanted)

    def now_us(self) -> int:
        """The time that reservations are made at."""
        return self._clock.now_us()

    async def load(self, advertiser_id: str) -> None:
        """Rebuild an advertiser's state from what is committed."""
        now_us = self._clock.now_us()
        await self._terms.refresh()
        held = self._terms.of_advertiser(advertiser_id, now_us)
        await self._budgets.load(await self._truth.whole(advertiser_id, held, now_us))

    async def _know_campaigns(self, items: Sequence[Item]) -> None:
        book = self._terms.book
        if any(not book.versions(one.campaign_id) for item in items for one in item.candidates):
            await self._terms.refresh()

    def _windows(self, advertiser_id: str, now_us: int) -> list[CapWindow]:
        caps = (cap for one in self._terms.of_advertiser(advertiser_id, now_us) for cap in one.caps)
        return sorted({cap.window for cap in caps if cap.level is CapLevel.ADVERTISER})

    def _calls(
        self, progress: _Progress, windows: dict[tuple[str, int], list[CapWindow]], *, validate_only: bool
    ) -> list[Call]:
        """The next run of candidates of one advertiser; all runs at once where nothing is taken."""
        calls: list[Call] = []
        item, now_us = progress.item, progress.now_us
        if progress.first is not None:
            candidate, first = item.candidates[progress.first], progress.first
            progress.first = None
            terms = self._serving(candidate, now_us)
            if terms is not None:
                attempt = _attempt(first, candidate, terms, windows[candidate.advertiser_id, now_us], now_us)
                return [_call(item, candidate.advertiser_id, (attempt,), now_us, validate_only=validate_only)]
        while progress.next < len(item.candidates) and (validate_only or not calls):
            advertiser_id = item.candidates[progress.next].advertiser_id
            attempts: list[Attempt] = []
            while progress.next < len(item.candidates):
                candidate = item.candidates[progress.next]
                if candidate.advertiser_id != advertiser_id:
                    break
                terms = self._serving(candidate, now_us)
                if terms is None:
                    progress.outcomes[progress.next] = ReserveOutcome.NO_TERMS
                else:
                    attempts.append(_attempt(progress.next, candidate, terms, windows[advertiser_id, now_us], now_us))
                progress.next += 1
            if attempts:
                calls.append(_call(item, advertiser_id, tuple(attempts), now_us, validate_only=validate_only))
        return calls

    def _serving(self, candidate: Candidate, now_us: int) -> CampaignTerms | None:
        terms = self._terms.book.in_force(candidate.campaign_id, now_us)
        if terms is None or terms.stopped or terms.advertiser_id != candidate.advertiser_id:
            return None
        return terms

    async def _ask(self, calls: list[Call]) -> list[Reply]:
        replies = await self._budgets.reserve(calls)
        for _ in range(_LOAD_ROUNDS):
            missing = [index for index, reply in enumerate(replies) if reply is None]
            if not missing:
                break
            for advertiser_id in sorted({calls[index].advertiser_id for index in missing}):
                await self.load(advertiser_id)
            again = await self._budgets.reserve([calls[index] for index in missing])
            for index, reply in zip(missing, again, strict=True):
                replies[index] = reply
        known = [reply for reply in replies if reply is not None]
        if len(known) < len(calls):
            raise Unavailable("budgets are being rebuilt")
        return known


def _call(item: Item, advertiser_id: str, attempts: tuple[Attempt, ...], now_us: int, *, validate_only: bool) -> Call:
    return Call(advertiser_id, item.reservation_id, item.person_id, attempts, validate_only, now_us)


def _attempt(
    index: int, candidate: Candidate, terms: CampaignTerms, windows: Sequence[CapWindow], now_us: int
) -> Attempt:
    # A day that is shown is paid: the budget that it used up does not stop it.
    is_paid = terms.pricing_model == "cpd"
    return Attempt(
        index=index,
        campaign_id=candidate.campaign_id,
        creative_id=candidate.creative_id,
        day=budget_day(now_us, terms.time_zone),
        amount_nanos=candidate.amount_nanos,
        total_limit_nanos=terms.total_limit_nanos if terms.total_micros and not is_paid else None,
        daily_limit_nanos=terms.daily_limit_nanos if terms.daily_micros and not is_paid else None,
        slots=cap_slots(terms, windows, candidate.ad_group_id, candidate.creative_id, now_us),
    )


def _note(progress: _Progress, call: Call, reply: Reply) -> None:
    for attempt, outcome in zip(call.attempts, reply.outcomes, strict=False):
        progress.outcomes[attempt.index] = outcome
        if outcome is ReserveOutcome.RESERVED and not call.validate_only:
            progress.taken = attempt.index
            progress.expire_us = reply.expire_time_us
