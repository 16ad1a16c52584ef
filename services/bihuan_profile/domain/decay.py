"""
Exact exponential decay at two speeds.

A weight at time q is Σ wᵢ · 2^(-(q - tᵢ) / half-life) over the events at tᵢ. All weights of a person are kept as of one
reference instant, the newest event's: moving it forward multiplies each by one factor, and an event that comes late
adds what is left of it by then. So the order and batching of events do not matter, only rounding does (relative 1e-12).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp2
from typing import Final, Generic, TypeVar

from bihuan_shared.clock import DAY_US, MINUTE_US

LONG_HALF_LIFE_US: Final = 30 * DAY_US
INSTANT_HALF_LIFE_US: Final = 30 * MINUTE_US

NEGLIGIBLE: Final = 1e-12
"""An instantaneous weight below this is dropped from a profile: after about 20 hours without an event."""

Key = TypeVar("Key")


def long_factor(age_us: int) -> float:
    """What is left of a long-term weight after `age_us` microseconds; an instant ahead counts as none passed."""
    return exp2(-age_us / LONG_HALF_LIFE_US) if age_us > 0 else 1.0


def instant_factor(age_us: int) -> float:
    """What is left of an instantaneous weight after `age_us` microseconds."""
    return exp2(-age_us / INSTANT_HALF_LIFE_US) if age_us > 0 else 1.0


@dataclass(frozen=True, slots=True)
class Weights(Generic[Key]):
    """
    Weights of several keys as of one reference instant.

    Every key of `instant` is a key of `long`; what `instant` lacks is nothing.
    """

    long: Mapping[Key, float] = field(default_factory=dict)
    instant: Mapping[Key, float] = field(default_factory=dict)


def total(one: Weights[Key], one_us: int, other: Weights[Key], other_us: int, max_keys: int) -> Weights[Key]:
    """The sum of two sets of weights, each decayed by its own time to one common instant."""
    draft = WeightsDraft(one, one_us)
    slow, fast = long_factor(other_us), instant_factor(other_us)
    for key, value in other.long.items():
        draft.add(key, value * slow, other.instant.get(key, 0.0) * fast)
    return draft.sealed(max_keys)


class WeightsDraft(Generic[Key]):
    """Weights while events are added to them; `sealed` gives the result."""

    __slots__ = ("_instant", "_long")

    def __init__(self, weights: Weights[Key], elapsed_us: int) -> None:
        """Start from `weights`, decayed by `elapsed_us` to the new reference instant."""
        if elapsed_us > 0:
            slow, fast = long_factor(elapsed_us), instant_factor(elapsed_us)
            self._long = {key: value * slow for key, value in weights.long.items()}
            # Mostly everything instantaneous is long gone: of a sum of 1,000 less than NEGLIGIBLE is left.
            gone = fast < NEGLIGIBLE / 1_000
            self._instant = {} if gone else {key: value * fast for key, value in weights.instant.items()}
        else:
            self._long = dict(weights.long)
            self._instant = dict(weights.instant)

    def add(self, key: Key, long: float, instant: float) -> None:
        """Add what is left of one event at the reference instant."""
        self._long[key] = self._long.get(key, 0.0) + long
        if abs(instant) >= NEGLIGIBLE or key in self._instant:
            self._instant[key] = self._instant.get(key, 0.0) + instant

    def sealed(self, max_keys: int) -> Weights[Key]:
        """
        The weights, with at most `max_keys` keys.

        Eviction rule: the keys with the smallest long-term weight now go, the later key in order among equals.
        """
        long = self._long
        if len(long) > max_keys:
            ranked = sorted(long, key=lambda key: (-long[key], key))
            long = {key: long[key] for key in ranked[:max_keys]}
        instant = {key: value for key, value in self._instant.items() if value >= NEGLIGIBLE or value <= -NEGLIGIBLE}
        if long is not self._long:
            instant = {key: value for key, value in instant.items() if key in long}
        return Weights(long, instant)
