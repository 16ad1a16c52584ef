"""
Replays Complete Journey in time order: what households bought, what was sent to them, and what became of it.

Every send is an ad request with one of the household's identifiers. Whichever campaign wins was really sent to that
household, so its real outcome is known. A campaign shows at most once to a person, so every outcome is used at most
once.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

import msgspec

from bihuan_cli.api import GatewayClient
from bihuan_cli.datasets.journey import Basket, Campaign, JourneyReader, Redemption
from bihuan_cli.replay import identifiers
from bihuan_cli.replay.bounded import bounded
from bihuan_cli.replay.decisions import Decision, decide
from bihuan_cli.replay.outcomes import Shown, Step, click_steps, click_time_us, order_steps
from bihuan_cli.replay.people import basket_events, tell
from bihuan_cli.replay.world import MAIL, journey_advertiser

EVENTS_PER_CALL = 1_000
EVENTS_IN_WINDOW = 12_000
CALLS_AT_ONCE = 4
HOUSEHOLDS_AT_ONCE = 64
IMPRESSION_AFTER_US = 1_000_000


@dataclass(slots=True)
class JourneyCounts:
    """What was replayed. `scores` holds the first served probability of every (household, campaign) that was scored."""

    baskets: int = 0
    decisions: int = 0
    impressions: int = 0
    unfilled: int = 0
    outcome_before_impression: int = 0
    steps: dict[str, int] = field(default_factory=dict)
    scores: dict[tuple[int, int], float] = field(default_factory=dict)


class JourneyReplay:
    """One pass over the set."""

    def __init__(self, client: GatewayClient, reader: JourneyReader) -> None:
        self.counts = JourneyCounts()
        self._client = client
        self._campaigns = {campaign.campaign_id: campaign for campaign in reader.campaigns()}
        self._redemptions = {(r.household_id, r.campaign_id): r for r in reader.redemptions()}
        basket_ids = {r.basket_id for r in self._redemptions.values() if r.basket_id is not None}
        self._lines = reader.basket_lines(basket_ids)
        self._baskets: Iterator[Basket] = reader.baskets()
        self._next_basket = next(self._baskets, None)
        self._steps: list[tuple[int, int, int, Step]] = []
        self._step_count = 0
        self._ordered: set[int] = set()
        self._told_us = 0

    async def send(self, campaigns: Sequence[Campaign], time_us: int) -> None:
        """Ask for one advertisement a send of campaigns that start at `time_us`; those of a household in order."""
        sends: dict[int, list[int]] = {}
        for campaign in campaigns:
            for household_id in campaign.household_ids:
                sends.setdefault(household_id, []).append(campaign.campaign_id)

        async def one(household_id: int, campaign_ids: list[int]) -> None:
            for campaign_id in campaign_ids:
                await self._request(household_id, campaign_id, time_us)

        await bounded(HOUSEHOLDS_AT_ONCE, [one(household, ids) for household, ids in sends.items()])

    async def pass_time(self, until_us: int) -> None:
        """Play what happened before `until_us`: baskets in batches, the outcomes of a household in order."""
        while window := self._behaviour_before(until_us):
            calls = [window[start : start + EVENTS_PER_CALL] for start in range(0, len(window), EVENTS_PER_CALL)]
            await bounded(CALLS_AT_ONCE, [tell(self._client, events, self._told_us) for events in calls])
        chains: dict[int, list[Step]] = {}
        while self._steps and self._steps[0][0] < until_us:
            _, _, household_id, step = heapq.heappop(self._steps)
            chains.setdefault(household_id, []).append(step)
        await bounded(HOUSEHOLDS_AT_ONCE, [self._play(chain) for chain in chains.values()])

    def last_time_us(self) -> int:
        """An instant after everything that is still to come, as far as it is known now."""
        return max((step[0] for step in self._steps), default=0) + 1

    async def _request(self, household_id: int, campaign_id: int, time_us: int) -> None:
        body: dict[str, object] = {
            "request_id": f"journey:{campaign_id}:{household_id}",
            "identifiers": [identifiers.one_of(household_id, f"send/{campaign_id}")],
            "placements": [{"placement_id": MAIL}],
            "consent": identifiers.CONSENT,
            "explain": True,
        }
        placement, decision = await decide(self._client, body, time_us)
        self.counts.decisions += 1
        self._keep_scores(household_id, decision)
        if placement.creative is None or placement.impression_url is None:
            self.counts.unfilled += 1
            return
        shown_us = time_us + IMPRESSION_AFTER_US
        await self._client.follow(placement.impression_url, time_us=shown_us)
        self.counts.impressions += 1
        assert placement.click_url is not None
        assert placement.landing_url is not None
        number = int(placement.creative.campaign_id.removeprefix("journey-"))
        self._plan_outcome(Shown(household_id, number, shown_us, placement.click_url, placement.landing_url))

    def _keep_scores(self, household_id: int, decision: Decision) -> None:
        for candidate in decision.placements[0].candidates:
            if candidate.pctr is not None:
                number = int(candidate.campaign_id.removeprefix("journey-"))
                self.counts.scores.setdefault((household_id, number), candidate.pctr)

    def _plan_outcome(self, shown: Shown) -> None:
        redemption = self._redemptions.get((shown.household_id, shown.campaign_id))
        if redemption is None:
            return
        if click_time_us(redemption) <= shown.time_us:
            self.counts.outcome_before_impression += 1
            return
        for step in (*click_steps(shown, redemption), *self._order(redemption)):
            self._step_count += 1
            heapq.heappush(self._steps, (step.time_us, self._step_count, shown.household_id, step))

    def _order(self, redemption: Redemption) -> list[Step]:
        if redemption.basket_id is None or redemption.basket_id in self._ordered:
            return []
        self._ordered.add(redemption.basket_id)
        advertiser = journey_advertiser(self._campaigns[redemption.campaign_id])
        return order_steps(redemption, advertiser, self._lines[redemption.basket_id], refunds=True)

    def _behaviour_before(self, until_us: int) -> list[dict[str, object]]:
        """The next window of behaviour, a household's events together, so that one call updates a profile once."""
        window: list[tuple[int, dict[str, object]]] = []
        while (
            (basket := self._next_basket) is not None and basket.time_us < until_us and len(window) < EVENTS_IN_WINDOW
        ):
            ordered = basket.basket_id in self._ordered
            window.extend((basket.household_id, event) for event in basket_events(basket, ordered=ordered))
            self._told_us = basket.time_us
            self.counts.baskets += 1
            self._next_basket = next(self._baskets, None)
        window.sort(key=itemgetter(0))
        return [event for _, event in window]

    async def _play(self, chain: Sequence[Step]) -> None:
        for step in chain:
            if step.url is not None:
                await self._client.follow(step.url, time_us=step.time_us)
            else:
                await self._client.post("/v1/orders", step.order, msgspec.Raw, time_us=step.time_us)
            self.counts.steps[step.kind] = self.counts.steps.get(step.kind, 0) + 1


def sends_by_start(campaigns: Sequence[Campaign]) -> list[tuple[int, list[Campaign]]]:
    """Campaigns grouped by the instant they start, earliest first."""
    groups: dict[int, list[Campaign]] = {}
    for campaign in campaigns:
        groups.setdefault(campaign.start_time_us, []).append(campaign)
    return sorted(groups.items())
