"""Synthetic paths for the benchmark of the credit models, as columns and as what the peers read."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

CHANNELS = 100
MAX_STEPS = 30
SEED = 20_240_517


@dataclass(frozen=True, slots=True)
class Journeys:
    """One path a person: `codes[starts[i]:starts[i + 1]]` are channels, `bought[i]` is 1 or 0."""

    codes: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    bought: npt.NDArray[np.int64]

    def paths(self) -> list[tuple[str, ...]]:
        """The sequences of channel names."""
        names = [f"c{code:03}" for code in range(CHANNELS)]
        steps = [names[code] for code in self.codes.tolist()]
        return [tuple(steps[begin:end]) for begin, end in pairwise(self.starts.tolist())]


def journeys(count: int) -> Journeys:
    """
    Draw people who stay with a channel or move on, and buy with a chance that their last channel sets.

    Channels are as popular as by Zipf's law; paths have four steps on average and at most thirty; seeded.
    """
    random = np.random.default_rng(SEED)
    popularity = 1 / np.arange(1, CHANNELS + 1)
    lengths = np.minimum(random.geometric(0.25, count), MAX_STEPS)
    starts = np.zeros(count + 1, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    codes = random.choice(CHANNELS, int(starts[-1]), p=popularity / popularity.sum())
    stays = random.random(len(codes)) < 0.2  # noqa: PLR2004 - a fifth of the steps repeat the one before
    stays[starts[:-1]] = False
    codes = codes[np.maximum.accumulate(np.where(stays, 0, np.arange(len(codes))))]
    chance = random.uniform(0.01, 0.15, CHANNELS)
    bought = (random.random(count) < chance[codes[starts[1:] - 1]]).astype(np.int64)
    return Journeys(codes, starts, bought)
