"""What data-driven models answer: a weight a channel."""

from collections.abc import Sequence
from typing import Final

from bihuan_attribution.domain.credit.apportion import apportion

WHOLE_WEIGHT: Final = 10**12
"""Weights of all channels together; integers, so that what was learned is stored and read back as it was."""


def weights_of(channels: Sequence[str], shares: Sequence[int]) -> dict[str, int]:
    """
    Turn non-negative shares of channels into weights that sum to exactly `WHOLE_WEIGHT`.

    Equal remainders go to the name that sorts first. Every weight is 0 where every share is.
    """
    order = sorted(range(len(channels)), key=lambda place: channels[place], reverse=True)
    parts = apportion(WHOLE_WEIGHT, [shares[place] for place in order])
    found = {channels[place]: part for place, part in zip(order, parts, strict=True)}
    return {name: found[name] for name in sorted(found)}
