"""When an attempt may be repeated, and how long to wait: bounded a call, and bounded over all calls of a channel."""

import random

MAX_RETRIES = 2
_FIRST_BACKOFF_S = 0.025
_BUDGET_SHARE = 0.1
_BUDGET_MAX = 10.0


class RetryBudget:
    """
    Keeps retries at 10 % of the calls, so that a failing service is not buried under repetitions.

    Every call earns a tenth of a retry, and at most ten are kept for a burst.
    """

    __slots__ = ("_tokens",)

    def __init__(self) -> None:
        self._tokens = _BUDGET_MAX

    def earn(self) -> None:
        """Notes one call."""
        self._tokens = min(_BUDGET_MAX, self._tokens + _BUDGET_SHARE)

    def spend(self) -> bool:
        """Takes one retry; False where none is left."""
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


def backoff_s(attempt: int, randomness: random.Random) -> float:
    """Seconds before repeating the attempt `attempt` (0 is the first): a random part of a doubling span."""
    return randomness.uniform(0.5, 1.0) * _FIRST_BACKOFF_S * 2.0**attempt
