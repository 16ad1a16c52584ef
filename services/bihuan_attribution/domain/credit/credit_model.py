"""The models a report can ask for."""

from enum import StrEnum
from typing import Final


class CreditModel(StrEnum):
    """
    How a report shares an order among its touches.

    `LAST_CLICK` is the default and the only one that leaves touches out which are no clicks.
    """

    LAST_CLICK = "last_click"
    LAST_TOUCH = "last_touch"
    FIRST_TOUCH = "first_touch"
    LINEAR = "linear"
    TIME_DECAY = "time_decay"
    POSITION_BASED = "position_based"
    MARKOV = "markov"
    SHAPLEY = "shapley"

    @property
    def learns(self) -> bool:
        """Whether the model needs weights of channels that were learned from paths."""
        return self in _LEARNED


_LEARNED: Final = frozenset({CreditModel.MARKOV, CreditModel.SHAPLEY})
DEFAULT_MODEL: Final = CreditModel.LAST_CLICK
