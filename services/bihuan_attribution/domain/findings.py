"""
Late findings: charged events that turned out to be invalid traffic are given back.

Everything happens as of now: the charge stands in its period, which may be closed, and its credit beside it. What the
event brought before stays: an order that was credited to it keeps its credit, and a place that a click took among the
first ones of a span is not given to another. What comes later does not see it any more.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bihuan_attribution.domain.books import Books, Effects, SpendingKey, Unbilled, ad_key
from bihuan_attribution.domain.charging import Occasion, Till
from bihuan_attribution.domain.event import EventType
from bihuan_attribution.domain.report import Figures
from bihuan_attribution.domain.touch import Touch

LATE = "late_"
"""Begins why a touch is none any more, where that was found late."""
REPORTABLE = frozenset({EventType.IMPRESSION, EventType.VIEWABLE, EventType.CLICK})
Told = tuple[EventType, str]
"""Type and id of an event."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A report of invalid traffic; `finding_id` names it for ever. An event that is named twice counts once."""

    finding_id: str
    reason: str
    events: tuple[Told, ...]

    @property
    def distinct(self) -> list[Told]:
        """The events, each once, in a sequence of their own."""
        return sorted(set(self.events))


@dataclass(frozen=True, slots=True)
class Credit:
    """One event that was given back: where its charge is told from, and how much."""

    cause_id: str
    position: int
    advertiser_id: str
    currency: str
    amount_nanos: int


@dataclass(slots=True)
class Credited:
    """
    What a finding did. The counts sum up to its events; `spendings` are the budgets that have room again.

    `late` says why a touch is none any more, by position.
    """

    credits: list[Credit] = field(default_factory=list)
    unchanged_count: int = 0
    unknown_count: int = 0
    spendings: list[tuple[str, SpendingKey]] = field(default_factory=list)
    late: dict[int, str] = field(default_factory=dict)

    @property
    def nanos(self) -> dict[str, int]:
        """What was given back, by currency."""
        sums: dict[str, int] = {}
        for one in self.credits:
            sums[one.currency] = sums.get(one.currency, 0) + one.amount_nanos
        return sums


def cause_of(told: Told) -> str:
    """How the ledger names an event."""
    return f"{told[0].word}/{told[1]}"


def credit_finding(
    finding: Finding, touches: Mapping[Told, Touch], books: Books, now_us: int
) -> tuple[Effects, Credited]:
    """
    Give back what the events of a finding were charged.

    `touches` are those that are billed; `books.charged` holds the charges that were not given back yet.
    """
    effects, done = Effects(), Credited(unchanged_count=len(finding.events) - len(finding.distinct))
    till, owners = Till(books, effects), {touch.ad.campaign_id: touch.ad.advertiser_id for touch in touches.values()}
    for told in finding.distinct:
        touch, cause_id = touches.get(told), cause_of(told)
        if touch is None:
            done.unknown_count += 1
            continue
        charged = books.charged.get(cause_id)
        if charged is None:
            done.unchanged_count += 1
            continue
        amount_nanos = sum(one.amount_nanos for one in charged if one.account.startswith("advertiser:"))
        till.give_back(touch, cause_id, Occasion(now_us))
        ad = touch.ad
        done.credits.append(Credit(cause_id, touch.position, ad.advertiser_id, ad.currency, amount_nanos))
        done.late[touch.position] = f"{LATE}{finding.reason}"
        effects.unbilled.append(Unbilled(touch.position, f"ivt_{LATE}{finding.reason}", ad.currency, amount_nanos))
        _uncount(effects.row(ad_key(ad, touch.bill_time_us, books.placements)), touch)
    changed = [key for key, one in books.spendings.items() if one.charged_added_nanos]
    done.spendings = sorted((owners[key[0]], key) for key in changed)
    return effects, done


def _uncount(figures: Figures, touch: Touch) -> None:
    """Count an event as invalid that was counted as valid."""
    figures.invalid_events += 1
    if touch.event_type is EventType.CLICK:
        figures.clicks -= 1
    elif touch.event_type is EventType.VIEWABLE:
        figures.viewables -= 1
    else:
        figures.impressions -= 1
        figures.person_impressions -= touch.person_id > 0
