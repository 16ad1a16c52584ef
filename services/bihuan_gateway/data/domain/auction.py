"""
The auction: who wins a placement and what the winner pays.

Everything is integer arithmetic, so that a replay ranks and prices alike on any machine: money in micros or nanos,
probabilities in billionths (`*_ppb`), rates in millionths (`*_ppm`), eCPM in micros per thousand impressions.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from bihuan_gateway.data.domain.booked import RankClass

PPB = 1_000_000_000
PPM = 1_000_000
MIN_ECPM_MICROS = 1


class Pricing(StrEnum):
    """What a campaign pays for; the value is what a tracking token carries."""

    CPM = "cpm"
    CPC = "cpc"
    CPS = "cps"
    CPD = "cpd"


@dataclass(frozen=True, slots=True)
class Bid:
    """
    One creative that may win.

    `bid_micros` is the highest price per thousand impressions (CPM) or per click (CPC). CPS bids nothing: its
    `commission_rate_ppm` of `expected_order_micros` stands in for a bid. CPD has paid for the day already: it bids
    nothing, and comes by its `rank_class` before whoever bids.
    """

    creative_id: str
    campaign_id: str
    pricing: Pricing
    bid_micros: int
    pctr_ppb: int
    pcvr_ppb: int = 0
    commission_rate_ppm: int = 0
    expected_order_micros: int = 0
    rank_class: RankClass = RankClass.AUCTION


@dataclass(frozen=True, slots=True)
class Ranked:
    """A bid at its place in the ranking, with what it would pay if everything above it fell away."""

    bid: Bid
    ecpm_micros: int
    price_micros: int
    reserve_nanos: int


@dataclass(frozen=True, slots=True)
class Ranking:
    """The outcome of one auction: `ranked` best first; `below_floor` and `passed_over` by creative id."""

    ranked: tuple[Ranked, ...]
    below_floor: frozenset[str]
    passed_over: frozenset[str]


def probability_ppb(probability: float) -> int:
    """Round a probability to billionths; what is not in [0, 1] is clamped, and NaN is 0."""
    if not probability > 0.0:
        return 0
    return min(PPB, round(probability * PPB)) if probability < 1.0 else PPB


def ecpm_micros(bid: Bid) -> int:
    """Give the expected revenue of a thousand impressions at the full bid, rounded down; 0 for a day that is paid."""
    if bid.pricing is Pricing.CPD:
        return 0
    if bid.pricing is Pricing.CPM:
        return bid.bid_micros
    if bid.pricing is Pricing.CPC:
        return bid.bid_micros * bid.pctr_ppb * 1000 // PPB
    commission = bid.commission_rate_ppm * bid.expected_order_micros
    return bid.pctr_ppb * bid.pcvr_ppb * commission * 1000 // (PPB * PPB * PPM)


def tie_rank(decision_id: str, creative_id: str) -> int:
    """Give a creative its rank among equals; no creative is favoured over many decisions."""
    return int.from_bytes(sha256(f"{decision_id}\n{creative_id}".encode()).digest()[:8], "big")


def price_at(bid: Bid, target_ecpm_micros: int) -> int:
    """
    Give the smallest price, in micros, whose eCPM reaches the target.

    The unit is a thousand impressions (CPM) or a click (CPC); CPS pays its rate, so its price is 0. The click
    probability must be above 0 for CPC.
    """
    if bid.pricing is Pricing.CPM:
        return target_ecpm_micros
    if bid.pricing is Pricing.CPC:
        return -(-target_ecpm_micros * PPB // (bid.pctr_ppb * 1000))
    return 0


def reservation_nanos(bid: Bid, price_micros: int) -> int:
    """
    Give what to set aside for one impression, in nanos.

    A price per thousand in micros is the price of one impression in nanos, exactly. A click is set aside at its price
    times its probability, rounded up; CPS sets nothing aside.
    """
    if bid.pricing is Pricing.CPM:
        return price_micros
    if bid.pricing is Pricing.CPC:
        return -(-price_micros * 1000 * bid.pctr_ppb // PPB)
    return 0


def one_per_campaign(bids: Iterable[Bid], decision_id: str) -> list[Bid]:
    """Keep the creative with the highest click probability of each campaign; equals go by `tie_rank`."""
    best: dict[str, Bid] = {}
    for bid in bids:
        kept = best.get(bid.campaign_id)
        if kept is None or _preference(bid, decision_id) > _preference(kept, decision_id):
            best[bid.campaign_id] = bid
    return list(best.values())


def _preference(bid: Bid, decision_id: str) -> tuple[int, int, str]:
    return bid.pctr_ppb, tie_rank(decision_id, bid.creative_id), bid.creative_id


def _sold_rank(bid: Bid, decision_id: str) -> tuple[int, int, str]:
    return bid.rank_class, tie_rank(decision_id, bid.creative_id), bid.creative_id


def rank(bids: Sequence[Bid], *, floor_micros: int, decision_id: str) -> Ranking:
    """
    Rank bids by eCPM and price each against the next one below it.

    `floor_micros` is per thousand impressions. A winner pays at least the floor's equivalent, at least what an eCPM of
    one micro takes (a billable event is never free), and at most its bid. Where a winner turns out not to be
    available, the next one wins at its own price, which is already there. Sold days come first, cost nothing, know no
    floor and set nobody's price.
    """
    floor = max(floor_micros, MIN_ECPM_MICROS)
    chosen = one_per_campaign(bids, decision_id)
    sold = sorted((bid for bid in chosen if bid.rank_class), key=lambda bid: _sold_rank(bid, decision_id), reverse=True)
    keyed = [
        (ecpm_micros(bid), tie_rank(decision_id, bid.creative_id), bid.creative_id, bid)
        for bid in chosen
        if not bid.rank_class
    ]
    standing = sorted((row for row in keyed if row[0] >= floor), key=lambda row: row[:3], reverse=True)
    ranked = [Ranked(bid, 0, 0, 0) for bid in sold]
    for place, (ecpm, *tie, bid) in enumerate(standing):
        target = floor
        if place + 1 < len(standing):
            below_ecpm, *below_tie, _ = standing[place + 1]
            target = max(floor, below_ecpm if tie > below_tie else below_ecpm + 1)
        price = price_at(bid, target)
        ranked.append(Ranked(bid, ecpm, price, reservation_nanos(bid, price)))
    kept = {bid.creative_id for bid in chosen}
    return Ranking(
        ranked=tuple(ranked),
        below_floor=frozenset(row[2] for row in keyed if row[0] < floor),
        passed_over=frozenset(bid.creative_id for bid in bids if bid.creative_id not in kept),
    )
