"""A version beside the one that serves everyone: how far apart their scores are, and which one is slower."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

_WINDOW = 1_000


@dataclass(frozen=True, slots=True)
class LatencyRule:
    """
    When a version is too slow: its p99 over the last comparisons (at most 1,000) is beyond `factor` times the other's
    and more than `slack_s` above it, on `least` comparisons at the least.

    Both score the same rows, one right after the other in turns, so that neither the size of requests nor what else the
    machine does speaks for one of them.
    """

    factor: float
    slack_s: float
    least: int


@dataclass(slots=True)
class Rival:
    """What was compared so far with one version."""

    model_version: str
    stable_s: deque[float] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    rival_s: deque[float] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    rows: int = 0
    difference: float = 0.0
    """Sum over rows of the absolute difference of the click probabilities."""

    def compared(self, stable_s: float, rival_s: float, rows: int, difference: float) -> None:
        """Take in one comparison."""
        self.stable_s.append(stable_s)
        self.rival_s.append(rival_s)
        self.rows += rows
        self.difference += difference

    @property
    def mean_difference(self) -> float:
        """Mean absolute difference of the click probabilities."""
        return self.difference / self.rows if self.rows else 0.0

    def too_slow(self, rule: LatencyRule) -> str:
        """Why it is too slow; empty where it is not, or not known to be."""
        if len(self.rival_s) < rule.least:
            return ""
        stable, rival = (float(np.quantile(list(times), 0.99)) for times in (self.stable_s, self.rival_s))
        if rival <= rule.factor * stable or rival <= stable + rule.slack_s:
            return ""
        return f"latency: p99 {rival * 1e3:.2f} ms against {stable * 1e3:.2f} ms on the same rows"


Timer = Callable[[], float]
"""Seconds of some clock that never goes back."""
