"""
Persons by what they do with a brand, as expressions over what a profile tells of brands and interests.

A profile tells of each brand how close the person is (`relation:<stage>:<brand>`) and how far the person has come
(`aipl:<stage>:<brand>`), each with a window of its own; so a package has the windows that these have, and asks for no
others. Interests decay with a half-life of 30 days, and an order adds 1: what one order of `within_days` ago weighs now
is the threshold of a fan.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bihuan_shared.errors import InvalidArgument
from bihuan_shared.profile_segments import aipl_segment, relation_segment
from bihuan_shared.targeting import And, Comparison, Expression, InSegment, Interest, Not, Operator, Or, canonical

_FIELD: Final = "definition.brand_behaviour"


class BehaviourKind(StrEnum):
    """What is asked for."""

    EXISTING = "existing"
    POTENTIAL = "potential"
    INTERACTED = "interacted"
    FANS_OF_TOPIC = "fans_of_topic"
    FANS_OF_RIVAL = "fans_of_rival"


RECENT_DAYS: Final = 90
"""Whoever deals with a brand is close to it, or interested in it, for so long."""
REMEMBERED_DAYS: Final = 400
"""A dealing is remembered for so long."""
BOUGHT_DAYS: Final = 365
"""Whoever ordered is a customer for so long."""
INTEREST_HALF_LIFE_DAYS: Final = 30

WINDOWS: Final[dict[BehaviourKind, tuple[int, ...]]] = {
    BehaviourKind.EXISTING: (BOUGHT_DAYS,),
    BehaviourKind.POTENTIAL: (RECENT_DAYS, REMEMBERED_DAYS),
    BehaviourKind.INTERACTED: (RECENT_DAYS, REMEMBERED_DAYS),
    BehaviourKind.FANS_OF_TOPIC: (30, *range(1, 30), *range(31, 91)),
    BehaviourKind.FANS_OF_RIVAL: (RECENT_DAYS, BOUGHT_DAYS),
}
"""The days that each kind can look back; the first is what it does unasked."""


@dataclass(frozen=True, slots=True)
class BrandBehaviour:
    """What a caller asks for; `within_days` 0 stands for the window that the kind has unasked."""

    kind: BehaviourKind
    brand: str = ""
    within_days: int = 0
    topic: str = ""
    rival: str = ""

    def expression(self) -> str:
        """The expression that it stands for, in canonical form; InvalidArgument names the field that does not fit."""
        self._check()
        days = self.within_days or WINDOWS[self.kind][0]
        if self.kind not in _FANS:
            return canonical(_OF_BRAND[self.kind, days](self.brand))
        if self.kind is BehaviourKind.FANS_OF_TOPIC:
            fans: Expression = Comparison(Interest(self.topic), Operator.GREATER_OR_EQUAL, fan_threshold(days))
        else:
            fans = _any_of(*(_related(stage, self.rival) for stage in ("strong", "long")))
            if days == BOUGHT_DAYS:
                fans = _any_of(fans, InSegment(aipl_segment("loyal", self.rival)))
        return canonical(And((fans, Not(_bought(self.brand)))) if self.brand else fans)

    def _check(self) -> None:
        texts = {"brand": self.brand, "topic": self.topic, "rival": self.rival}
        for name, text in texts.items():
            if not text.isprintable():
                raise InvalidArgument.of(f"{_FIELD}.{name}", "must be a text without control characters")
        needed = _FANS.get(self.kind, "brand")
        if not texts[needed]:
            raise InvalidArgument.of(f"{_FIELD}.{needed}", f"is what {self.kind.value} needs")
        for name in {"topic", "rival"} - {needed}:
            if texts[name]:
                raise InvalidArgument.of(f"{_FIELD}.{name}", f"does not go with {self.kind.value}")
        if self.rival and self.rival == self.brand:
            raise InvalidArgument.of(f"{_FIELD}.rival", "is the brand itself")
        if self.within_days and self.within_days not in WINDOWS[self.kind]:
            raise InvalidArgument.of(f"{_FIELD}.within_days", f"is {_windows(self.kind)}")


def fan_threshold(days: int) -> float:
    """What an order of so many days ago weighs now, to three digits: 2^(-days/half-life)."""
    return round(math.exp(-math.log(2.0) * days / INTEREST_HALF_LIFE_DAYS), 3)


def _windows(kind: BehaviourKind) -> str:
    known = sorted(WINDOWS[kind])
    return f"{known[0]} to {known[-1]}" if len(known) > len(_OF_BRAND) else " or ".join(str(days) for days in known)


def _any_of(*terms: Expression) -> Expression:
    flat = tuple(part for term in terms for part in (term.terms if isinstance(term, Or) else (term,)))
    return Or(flat)


def _related(stage: str, brand: str) -> Expression:
    return InSegment(relation_segment(stage, brand))


def _bought(brand: str) -> Expression:
    """An order in the last 365 days."""
    return _any_of(InSegment(aipl_segment("purchased", brand)), InSegment(aipl_segment("loyal", brand)))


def _interested(brand: str) -> Expression:
    """A dealing in the last 90 days, and no order in the last 365."""
    return InSegment(aipl_segment("interested", brand))


def _dealt(brand: str) -> Expression:
    """A dealing in the last 90 days."""
    return _any_of(*(_related(stage, brand) for stage in ("weak", "strong", "long")))


def _dormant(brand: str) -> Expression:
    """A dealing in the last 400 days, but not in the last 90."""
    return _related("dormant", brand)


_OF_BRAND: Final[dict[tuple[BehaviourKind, int], Callable[[str], Expression]]] = {
    (BehaviourKind.EXISTING, BOUGHT_DAYS): _bought,
    (BehaviourKind.POTENTIAL, RECENT_DAYS): _interested,
    (BehaviourKind.POTENTIAL, REMEMBERED_DAYS): lambda brand: _any_of(
        _interested(brand), And((_dormant(brand), Not(_bought(brand))))
    ),
    (BehaviourKind.INTERACTED, RECENT_DAYS): _dealt,
    (BehaviourKind.INTERACTED, REMEMBERED_DAYS): lambda brand: _any_of(_dealt(brand), _dormant(brand)),
}
_FANS: Final = {BehaviourKind.FANS_OF_TOPIC: "topic", BehaviourKind.FANS_OF_RIVAL: "rival"}
