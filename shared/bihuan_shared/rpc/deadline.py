"""The time that is left for the running call; it travels from hop to hop."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from bihuan_shared.errors import DeadlineExceeded

DEFAULT_TIMEOUT_S = 10.0
"""What a call gets whose caller named no deadline."""

MARGIN_S = 0.005
"""Kept back from each hop, so that its failure can still be answered in time."""

_deadline: ContextVar[float | None] = ContextVar("bihuan_deadline", default=None)


def set_deadline_in(timeout_s: float) -> None:
    """Sets the deadline for the rest of this task; the server assembly does it for each call."""
    _deadline.set(time.monotonic() + timeout_s)


@contextmanager
def deadline_scope(timeout_s: float) -> Iterator[None]:
    """
    Bounds every call made inside by `timeout_s` from now; an earlier deadline stays in force.

    It bounds what is sent, and cancels nothing by itself.
    """
    end = time.monotonic() + timeout_s
    current = _deadline.get()
    token = _deadline.set(end if current is None else min(end, current))
    try:
        yield
    finally:
        _deadline.reset(token)


def remaining_s() -> float | None:
    """Seconds that are left, not below 0; None where there is no deadline."""
    deadline = _deadline.get()
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def next_hop_timeout_s(timeout_s: float | None) -> float:
    """
    Seconds to give the next call: `timeout_s` (or the default), but less than what is left.

    Raises DeadlineExceeded where nothing is left to give.
    """
    wanted = DEFAULT_TIMEOUT_S if timeout_s is None else timeout_s
    left = remaining_s()
    if left is None:
        return wanted
    if left <= MARGIN_S:
        raise DeadlineExceeded("no time is left for the next call")
    return min(wanted, left - MARGIN_S)
