"""
What others did with what a person had shared.

Reach is how often it was seen, resonance how often somebody acted on it: the two that Klout-like scores and the
influencer guidelines of the IAB rest on (impressions and engagements). Only consented social events make it.
"""

from dataclasses import dataclass, replace
from typing import Final

from bihuan_profile.domain.behaviour import Behaviour, Event
from bihuan_profile.domain.decay import long_factor

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
