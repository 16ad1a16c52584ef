"""Paths of an advertiser's people, and what the models that learn make of them."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bihuan_attribution.domain.credit.credit_model import CreditModel
from bihuan_attribution.domain.credit.markov import markov
from bihuan_attribution.domain.credit.path_touch import PathTouch, strongest
from bihuan_attribution.domain.credit.paths import PathCount
from bihuan_attribution.domain.credit.shapley import shapley
from bihuan_attribution.domain.event import DAY_US, HOUR_US
from bihuan_attribution.domain.order_path import OrderPath

TRAILING_US: Final = 92 * DAY_US
REFRESH_US: Final = HOUR_US
MAX_CHANNELS: Final = 1_000
"""Rarer campaigns get no weight: the chain of more has a matrix that takes seconds to invert."""
MAX_STEPS: Final = 100
"""Of a longer path only the end counts."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What was learned of an advertiser's channels at an instant, from what happened since another."""

    advertiser_id: str
    learned_time_us: int
    start_time_us: int
    path_count: int
    conversion_count: int
    weights: Mapping[CreditModel, Mapping[str, int]] = field(default_factory=dict)


@dataclass(slots=True)
class PathBag:
    """
    Paths, each with how many people went along it and bought or did not.

    An order counts with the path to it. Who bought nothing counts with all their touches. Touches of nobody count
    only where an order names their click, as there is no telling who bought.
    """

    bought: "Counter[tuple[str, ...]]" = field(default_factory=Counter)
    values: "Counter[tuple[str, ...]]" = field(default_factory=Counter)
    left: "Counter[tuple[str, ...]]" = field(default_factory=Counter)

    def add_order(self, path: OrderPath) -> None:
        """Take in a paid order."""
        channels = path.channels[-MAX_STEPS:]
        if channels:
            self.bought[channels] += 1
            self.values[channels] += path.order.value_micros

    def add_people(self, touches: Iterable[tuple[int, PathTouch]], buyers: Collection[int]) -> None:
        """Take in touches of persons; those of buyers are left out."""
        of_person: dict[int, list[PathTouch]] = defaultdict(list)
        for person_id, touch in touches:
            if person_id not in buyers:
                of_person[person_id].append(touch)
        for held in of_person.values():
            channels = tuple(one.channel for one in strongest(held))[-MAX_STEPS:]
            if channels:
                self.left[channels] += 1

    def counts(self) -> list[PathCount]:
        """The paths over the `MAX_CHANNELS` most frequent channels, in a sequence of their own."""
        steps: Counter[str] = Counter()
        paths = sorted({*self.bought, *self.left})
        for path in paths:
            for channel in path:
                steps[channel] += self.bought[path] + self.left[path]
        kept = set(sorted(steps, key=lambda one: (-steps[one], one))[:MAX_CHANNELS])
        return [
            PathCount(_only(path, kept), self.bought[path], self.left[path], self.values[path])
            for path in paths
            if _only(path, kept)
        ]


def _only(path: Sequence[str], kept: Collection[str]) -> tuple[str, ...]:
    return tuple(channel for channel in path if channel in kept)


def learn(bag: PathBag, advertiser_id: str, *, start_us: int, now_us: int) -> Learned:
    """Weigh the channels of some paths by every model that learns; without an order there are no weights."""
    counts = bag.counts()
    conversions = sum(one.conversions for one in counts)
    weights = {CreditModel.MARKOV: markov(counts), CreditModel.SHAPLEY: shapley(counts)} if conversions else {}
    return Learned(
        advertiser_id=advertiser_id,
        learned_time_us=now_us,
        start_time_us=start_us,
        path_count=conversions + sum(one.non_conversions for one in counts),
        conversion_count=conversions,
        weights=weights,
    )
