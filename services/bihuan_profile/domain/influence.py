"""
What others did with what a person had shared.

Reach is how often it was seen, resonance how often somebody acted on it: the two that Klout-like scores and the
influencer guidelines of the IAB rest on (impressions and engagements). Only consented social events make it.

The tier goes by reach, in steps of ten, as the trade's nano, micro, mid and macro do for followers; the rate at which
those reached acted lifts or lowers it by one. The thresholds are this product's own. A tier is evaluated at every read
from the decayed counts: always current, whatever the order and batching of events.
"""

import math
from dataclasses import dataclass, replace
from typing import Final

from bihuan_profile.domain.behaviour import Behaviour, Event
from bihuan_profile.domain.decay import LONG_HALF_LIFE_US, long_factor

_SEEN: Final = frozenset({Behaviour.IMPRESSION, Behaviour.VIEW})


@dataclass(frozen=True, slots=True)
class Influence:
    """
    Plain counts ever, and counts decayed with a half-life of 30 days as of the record's reference instant.

    `last_us` is when something was last done, 0 where never.
    """

    reach: int = 0
    resonance: int = 0
    reach_decayed: float = 0.0
    resonance_decayed: float = 0.0
    last_us: int = 0


NO_INFLUENCE: Final = Influence()


def with_echo(influence: Influence, event: Event, long: float) -> Influence:
    """The influence after an echo of which `long` is left: being seen is reach, whatever more was done is resonance."""
    seen = event.behaviour in _SEEN
    echo = Influence(int(seen), int(not seen), seen * long, (not seen) * long, event.time_us)
    return joined(influence, echo)


def aged(influence: Influence, elapsed_us: int) -> Influence:
    """The influence as of an instant `elapsed_us` later."""
    if elapsed_us <= 0 or influence == NO_INFLUENCE:
        return influence
    factor = long_factor(elapsed_us)
    return replace(
        influence,
        reach_decayed=influence.reach_decayed * factor,
        resonance_decayed=influence.resonance_decayed * factor,
    )


def joined(one: Influence, other: Influence) -> Influence:
    """The influence of two persons who are one, both as of the same instant."""
    return Influence(
        one.reach + other.reach,
        one.resonance + other.resonance,
        one.reach_decayed + other.reach_decayed,
        one.resonance_decayed + other.resonance_decayed,
        max(one.last_us, other.last_us),
    )


TIERS: Final = ("none", "nano", "micro", "mid", "macro")
REACH_FLOORS: Final = (0.0, 10.0, 100.0, 1_000.0, 10_000.0)
"""From how much decayed reach on each tier begins."""
LIFTING_RATE: Final = 0.10
"""Share of those reached who acted from which on a tier is lifted by one."""
LOWERING_RATE: Final = 0.01
"""Share below which it is lowered by one, though not to none."""


@dataclass(frozen=True, slots=True)
class InfluenceTier:
    """A tier, what it rests on (reach as of the read), and when it is another if nothing happens (None: never)."""

    tier: str
    reach: float
    resonance_rate: float
    until_us: int | None


def influence_tier(influence: Influence, reference_us: int, now_us: int) -> InfluenceTier | None:
    """
    The tier at `now_us` of an influence whose decayed counts hold as of `reference_us`; None where there is none.

    Whoever acted was reached, whether or not that was seen. Reach and resonance fade alike, so that the rate stays.
    """
    if not influence.last_us:
        return None
    acted = influence.resonance_decayed
    reached = max(influence.reach_decayed, acted)
    rate = acted / reached if reached > 0 else 0.0
    step, until_us = 0, None
    for at in range(1, len(TIERS)):
        below_us = _below_us(reached, REACH_FLOORS[at], reference_us)
        if below_us is None or max(now_us, reference_us) >= below_us:
            break
        step, until_us = at, below_us
    reach = reached * long_factor(now_us - reference_us)
    tier = _moved(step, rate)
    if step and tier == _moved(step - 1, rate):
        # The tier below comes to the same: it ends with that one.
        until_us = _below_us(reached, REACH_FLOORS[step - 1], reference_us)
    return InfluenceTier(TIERS[tier], reach, rate, until_us)


def _moved(step: int, rate: float) -> int:
    if step and rate >= LIFTING_RATE:
        return min(step + 1, len(TIERS) - 1)
    return max(1, step - 1) if step and rate < LOWERING_RATE else step


def _below_us(reached: float, floor: float, reference_us: int) -> int | None:
    """The first instant at which what is left of a reach is below a floor; None where it is now."""
    if reached < floor or floor <= 0:
        return None
    return reference_us + math.floor(LONG_HALF_LIFE_US * math.log2(reached / floor)) + 1


SOURCE: Final = "reach and engagement (IAB influencer guidelines); tiers and thresholds are Bihuan's"
TIER_RULE: Final = (
    "items shared were seen "
    + ", ".join(f"{floor:,.0f} times: {tier}" for tier, floor in zip(TIERS[1:], REACH_FLOORS[1:], strict=True))
    + f" (half-life 30 days); one higher where {LIFTING_RATE:.0%} of those reached or more acted, one lower below "
    f"{LOWERING_RATE:.0%}"
)
"""The rule in words."""
