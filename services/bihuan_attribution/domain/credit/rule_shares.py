"""What each touch of a path gets by a rule, as integers in proportion."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import lcm
from typing import Final

from bihuan_attribution.domain.credit.credit_model import CreditModel
from bihuan_attribution.domain.credit.half_life import decayed
from bihuan_attribution.domain.credit.path_touch import PathTouch
from bihuan_attribution.domain.event import EventType

Shares = list[int]
Path = Sequence[PathTouch]


def _last_click(path: Path) -> Shares:
    clicks = [place for place, touch in enumerate(path) if touch.event_type is EventType.CLICK]
    return [int(place == clicks[-1]) for place in range(len(path))] if clicks else [0] * len(path)


def _last_touch(path: Path) -> Shares:
    return [0] * (len(path) - 1) + [1]


def _first_touch(path: Path) -> Shares:
    return [1] + [0] * (len(path) - 1)


def linear(path: Path) -> Shares:
    """Everyone the same."""
    return [1] * len(path)


def _position_based(path: Path) -> Shares:
    """40 % to the first and the last, 20 % among those between; two share equally."""
    between = len(path) - 2
    return [2 * between, *[1] * between, 2 * between] if between > 0 else linear(path)


RULES: Final[Mapping[CreditModel, Callable[[Path], Shares]]] = {
    CreditModel.LAST_CLICK: _last_click,
    CreditModel.LAST_TOUCH: _last_touch,
    CreditModel.FIRST_TOUCH: _first_touch,
    CreditModel.LINEAR: linear,
    CreditModel.POSITION_BASED: _position_based,
}
"""Shares of a path that is not empty and stands in the order of rank."""


def time_decay(path: Path, half_life_us: int) -> Shares:
    """Half as much a half-life earlier. Shares are relative, so the age is counted from the last touch on."""
    latest_us = path[-1].touch_time_us
    return [decayed(latest_us - touch.touch_time_us, half_life_us) for touch in path]


def by_weight(path: Path, weights: Mapping[str, int]) -> Shares:
    """
    Each channel by its weight, and the touches of one channel equally; linear where no channel of the path has one.

    A channel's share does not grow with the number of its touches, as both data-driven models weigh its presence.
    """
    times = Counter(touch.channel for touch in path)
    common = lcm(*times.values())
    shares = [weights.get(touch.channel, 0) * (common // times[touch.channel]) for touch in path]
    return shares if any(shares) else linear(path)
