"""One placement of a request on its way to a decision."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from bihuan_gateway.control.snapshot import Creative, Placement
from bihuan_gateway.data.domain.auction import PPB, Bid, Pricing, Ranked, ecpm_micros, probability_ppb, rank
from bihuan_gateway.data.domain.booked import RankClass
from bihuan_gateway.data.domain.eligibility import PersonFacts, Verdict, asks_for_person, person_verdict
from bihuan_gateway.data.ports import ReserveOutcome

MAX_RESERVED = 64

_REFUSALS = {
    ReserveOutcome.CAPPED: Verdict.CAPPED,
    ReserveOutcome.BUDGET_EXHAUSTED: Verdict.BUDGET_EXHAUSTED,
    ReserveOutcome.BALANCE_EXHAUSTED: Verdict.BALANCE_EXHAUSTED,
    ReserveOutcome.NO_TERMS: Verdict.NO_TERMS,
}
_REASONS = (
    (Verdict.BELOW_FLOOR, "BELOW_FLOOR"),
    (Verdict.BUDGET_EXHAUSTED, "BUDGET_EXHAUSTED"),
    (Verdict.BALANCE_EXHAUSTED, "BUDGET_EXHAUSTED"),
    (Verdict.CAPPED, "CAPPED"),
)
BUDGET_UNAVAILABLE = "BUDGET_UNAVAILABLE"
NO_CANDIDATE = "NO_CANDIDATE"


@dataclass(slots=True)
class Slot:
    """
    The state of one placement: what is on offer, what became of each creative, and who won at which price.

    `verdicts` holds every creative that is out, by id; what has none is still in. `scores` are (pctr, pcvr) in
    billionths. `booked` are the campaigns that have the day.
    """

    placement: Placement
    decision_id: str
    reservation_id: str
    offered: list[Creative]
    verdicts: dict[str, Verdict]
    scores: dict[str, tuple[int, int]] = field(default_factory=dict)
    ecpms: dict[str, int] = field(default_factory=dict)
    prices: dict[str, int] = field(default_factory=dict)
    winner: Creative | None = None
    won: Ranked | None = None
    budget_known: bool = True
    booked: Mapping[str, RankClass] = field(default_factory=dict)

    def standing(self) -> list[Creative]:
        """List the creatives that are still in."""
        return [creative for creative in self.offered if creative.id not in self.verdicts]

    def target(self, facts: PersonFacts) -> None:
        """Put out what does not address the person; a verdict of an ad group counts for all of its creatives."""
        known: dict[str, Verdict | None] = {}
        for creative in self.offered:
            group = creative.ad_group
            if not asks_for_person(group):
                continue
            if group.id not in known:
                known[group.id] = person_verdict(group, facts)
            verdict = known[group.id]
            if verdict is not None:
                self.verdicts.setdefault(creative.id, verdict)

    def refuse(self, creatives: list[Creative], outcomes: tuple[ReserveOutcome, ...]) -> None:
        """Put out what has neither money nor a cap slot left."""
        for creative, outcome in zip(creatives, outcomes, strict=True):
            refusal = _REFUSALS.get(outcome)
            if refusal is not None:
                self.verdicts.setdefault(creative.id, refusal)

    def hear(self, creatives: tuple[Creative, ...], pairs: tuple[tuple[float, float], ...]) -> None:
        """Take in the scores of creatives."""
        for creative, (pctr, pcvr) in zip(creatives, pairs, strict=True):
            self.scores[creative.id] = (probability_ppb(pctr), probability_ppb(pcvr))

    def auction(self, shown_campaigns: set[str]) -> list[tuple[Creative, Ranked]]:
        """Rank what is still in; campaigns that another placement shows stay out, unless they have this one's day."""
        standing = self.standing()
        for creative in standing:
            if creative.ad_group.campaign.id in shown_campaigns - self.booked.keys():
                self.verdicts[creative.id] = Verdict.SHOWN_ELSEWHERE
        by_id = {creative.id: creative for creative in standing if creative.id not in self.verdicts}
        bids = [self.bid_of(creative) for creative in by_id.values()]
        self.ecpms = {bid.creative_id: ecpm_micros(bid) for bid in bids}
        ranking = rank(bids, floor_micros=self.placement.floor_micros, decision_id=self.decision_id)
        self.prices = {entry.bid.creative_id: entry.price_micros for entry in ranking.ranked}
        self.verdicts.update(dict.fromkeys(ranking.below_floor, Verdict.BELOW_FLOOR))
        self.verdicts.update(dict.fromkeys(ranking.passed_over, Verdict.OTHER_CREATIVE))
        return [(by_id[entry.bid.creative_id], entry) for entry in ranking.ranked[:MAX_RESERVED]]

    def bid_of(self, creative: Creative) -> Bid:
        """Form the bid of a creative from its ad group and its scores."""
        group, campaign = creative.ad_group, creative.ad_group.campaign
        pctr_ppb, pcvr_ppb = self.scores[creative.id]
        return Bid(
            creative_id=creative.id,
            campaign_id=campaign.id,
            pricing=Pricing(campaign.pricing_model),
            bid_micros=group.bid_micros,
            pctr_ppb=pctr_ppb,
            pcvr_ppb=pcvr_ppb,
            commission_rate_ppm=campaign.commission_rate_ppm,
            expected_order_micros=campaign.expected_order_micros,
            rank_class=self.booked.get(campaign.id, RankClass.AUCTION),
        )

    def settle(
        self, ranked: list[tuple[Creative, Ranked]], index: int | None, outcomes: tuple[ReserveOutcome, ...]
    ) -> None:
        """Name the winner, put out those that were refused before it; the others are outranked."""
        self.refuse([creative for creative, _ in ranked], outcomes)
        if index is not None:
            self.winner, self.won = ranked[index]
            self.verdicts[self.winner.id] = Verdict.WON
        for creative in self.standing():
            self.verdicts[creative.id] = Verdict.OUTRANKED

    @property
    def reason(self) -> str | None:
        """Why nothing is shown; None where something is."""
        if self.won is not None:
            return None
        if not self.budget_known:
            return BUDGET_UNAVAILABLE
        counts = Counter(self.verdicts.values())
        return next((reason for verdict, reason in _REASONS if counts[verdict]), NO_CANDIDATE)

    def probabilities(self, creative_id: str) -> tuple[float, float] | None:
        """Return pctr and pcvr of a creative, as the auction used them; None where it was not scored."""
        scores = self.scores.get(creative_id)
        return None if scores is None else (scores[0] / PPB, scores[1] / PPB)
