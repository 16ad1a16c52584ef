"""
Leads: what one prospect did after advertisements, pieced together into points that can be explained.

A prospect is a person, or a click where no person may be stored. An engagement or a lead event opens a lead; clicks and
landings count for it, before and after, and open none. The score is a function of the set of steps and of the rules:
neither the sequence nor the batches in which they came matter.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from bihuan_attribution.domain.accounts import LeadRules
from bihuan_attribution.domain.event import EventType

MAX_REFERENCES = 20
"""References that a lead shows: its newest ones."""

RulesAt = Callable[[int], LeadRules | None]
"""The rules in force at an instant; None where no leads are kept."""


class LeadRoute(IntEnum):
    """Where a lead goes; the numbers are those of the wire."""

    SALES = 1
    NURTURE = 2


@dataclass(frozen=True, slots=True)
class LeadKey:
    """Whose prospect, and who: a person, or with person 0 the click token that anonymous actions name."""

    advertiser_id: str
    person_id: int = 0
    token_id: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """
    One thing that a prospect did. `event_id` is unique among events of one type.

    `reference` is of a lead event, campaign and creative are of a touch.
    """

    event_type: EventType
    event_id: str
    time_us: int
    name: str = ""
    reference: str = ""
    campaign_id: str = ""
    creative_id: str = ""

    @property
    def action(self) -> str:
        """What rules call it: the name of an action, `click` or `landing`."""
        return self.name or self.event_type.word

    @property
    def opens(self) -> bool:
        """Whether it makes a lead of its prospect."""
        return self.event_type in (EventType.ENGAGEMENT, EventType.LEAD)

    @property
    def rank(self) -> tuple[int, str, int]:
        """By time; at the same instant the event id decides."""
        return (self.time_us, self.event_id, int(self.event_type))


@dataclass(frozen=True, slots=True)
class Reason:
    """What one kind of action gave: `count` is how often it happened, `points` what of that counted."""

    action: str
    count: int
    points: int


@dataclass(frozen=True, slots=True)
class LeadScore:
    """What a lead is worth and why. First and last time are of engagements and lead events."""

    points: int
    threshold: int
    route: LeadRoute
    reasons: tuple[Reason, ...]
    references: tuple[str, ...]
    campaign_id: str
    creative_id: str
    first_time_us: int
    last_time_us: int

    @property
    def news(self) -> tuple[int, LeadRoute, tuple[str, ...]]:
        """What is told again where it changes."""
        return (self.points, self.route, self.references)


@dataclass(frozen=True, slots=True)
class Lead:
    """A lead at one state of its score."""

    lead_id: str
    revision: int
    key: LeadKey
    score: LeadScore


def score(steps: Iterable[Step], rules_at: RulesAt) -> LeadScore | None:
    """
    Score what a prospect did, by the rules in force when the newest of it happened.

    None where nothing opened a lead, or where no leads were kept then.
    """
    ordered = sorted(set(steps), key=lambda step: step.rank)
    opening = [step for step in ordered if step.opens]
    rules = rules_at(ordered[-1].time_us) if opening else None
    if rules is None:
        return None
    reasons = _reasons(ordered, rules)
    points = sum(one.points for one in reasons)
    click = _last_click(ordered, opening[0])
    return LeadScore(
        points=points,
        threshold=rules.threshold,
        route=LeadRoute.SALES if points >= rules.threshold else LeadRoute.NURTURE,
        reasons=reasons,
        references=_references(opening),
        campaign_id=click.campaign_id if click is not None else "",
        creative_id=click.creative_id if click is not None else "",
        first_time_us=opening[0].time_us,
        last_time_us=opening[-1].time_us,
    )


def _reasons(steps: Sequence[Step], rules: LeadRules) -> tuple[Reason, ...]:
    """What happened of what the rules name, in their order."""
    counts = Counter(step.action for step in steps)
    by_action = {one.action: one for one in reversed(rules.points)}
    return tuple(
        Reason(action, counts[action], by_action[action].points * min(counts[action], by_action[action].max_count))
        for action in dict.fromkeys(one.action for one in rules.points)
        if counts[action]
    )


def _references(opening: Sequence[Step]) -> tuple[str, ...]:
    found = dict.fromkeys(step.reference for step in opening if step.reference)
    return tuple(found)[-MAX_REFERENCES:]


def _last_click(steps: Sequence[Step], first: Step) -> Step | None:
    """The last click before the first action; one at the same instant led to it."""
    clicks = [step for step in steps if step.event_type is EventType.CLICK and step.time_us <= first.time_us]
    return clicks[-1] if clicks else None


def revised(held: Lead, key: LeadKey, new: LeadScore) -> Lead:
    """A lead with its score of now; its revision grows where points, route or references changed."""
    revision = held.revision + (held.score.news != new.news)
    return replace(held, revision=revision, key=key, score=new)
