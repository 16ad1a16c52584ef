"""Spans of clicks during which the limits of invalid traffic were changed: gone through click by click."""

from bisect import insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter


@dataclass(frozen=True, slots=True)
class SpanClick:
    """A click of a span; `most` is how many were billable there when it was counted."""

    rule: int
    reason: str
    span: str
    most: int
    position: int
    counted: int
    received_us: int
    token_id: str


@dataclass(slots=True)
class _Span:
    """The clicks that are billable so far, the first ones first."""

    first: list[tuple[int, str, int]] = field(default_factory=list)

    def take(self, click: SpanClick) -> int | None:
        """The position of the click that is too many now that this one is counted, if any."""
        rank = (click.received_us, click.token_id, click.position)
        if len(self.first) >= click.most and rank > self.first[-1]:
            return click.position
        insort(self.first, rank)
        return self.first.pop()[2] if len(self.first) > click.most else None


def too_many(clicks: Iterable[SpanClick]) -> Iterator[tuple[int, int, str]]:
    """Positions of free clicks, with rule and reason; clicks come by rule and span, then as they were counted."""
    for _, held in groupby(clicks, key=attrgetter("rule", "span")):
        span = _Span()
        for click in held:
            out = span.take(click)
            if out is not None:
                yield out, click.rule, click.reason
