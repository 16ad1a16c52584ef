"""Who may enter an auction: what the request says first, what is known about the person second."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bihuan_gateway.control.snapshot import AdGroup, Creative, Placement, ServingSnapshot
from bihuan_gateway.data.ports import ProfileView, Value
from bihuan_shared.targeting import evaluate

MAX_CANDIDATES = 512


class Verdict(StrEnum):
    """What became of a candidate; the names stand in explanations."""

    WON = "WON"
    OUTRANKED = "OUTRANKED"
    BELOW_FLOOR = "BELOW_FLOOR"
    CAPPED = "CAPPED"
    BUDGET_EXHAUSTED = "BUDGET_EXHAUSTED"
    BALANCE_EXHAUSTED = "BALANCE_EXHAUSTED"
    NO_TERMS = "NO_TERMS"
    NOT_TARGETED = "NOT_TARGETED"
    PERSON_UNKNOWN = "PERSON_UNKNOWN"
    OUT_OF_SCHEDULE = "OUT_OF_SCHEDULE"
    SIZE_MISMATCH = "SIZE_MISMATCH"
    CURRENCY_MISMATCH = "CURRENCY_MISMATCH"
    THROTTLED = "THROTTLED"
    OTHER_CREATIVE = "OTHER_CREATIVE"
    SHOWN_ELSEWHERE = "SHOWN_ELSEWHERE"
    TOO_MANY = "TOO_MANY"


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """What targeting may know; a part is None where it could not be had or may not be used."""

    profile: ProfileView | None = None
    audiences: frozenset[str] | None = None

    def attribute(self, name: str) -> Value | None:
        """Return the value of an attribute, None where it is unknown."""
        return self.profile.attribute(name) if self.profile is not None else None

    def interest(self, tag: str) -> float:
        """Return the long-term interest in a tag, 0 where there is none."""
        return self.profile.interest(tag) if self.profile is not None else 0.0

    def instant_interest(self, tag: str) -> float:
        """Return the interest in a tag that the last minutes show, 0 where there is none."""
        return self.profile.instant_interest(tag) if self.profile is not None else 0.0

    def in_audience(self, audience_id: str) -> bool:
        """Tell whether the person is in an audience."""
        return self.audiences is not None and audience_id in self.audiences

    def in_segment(self, segment_id: str) -> bool:
        """Tell whether the person is in a rule-made segment."""
        return self.profile is not None and self.profile.in_segment(segment_id)


def on_offer(
    snapshot: ServingSnapshot,
    placement: Placement,
    keywords: Sequence[str],
    *,
    now_us: int,
    tenant: str | None,
    booked: Collection[str] = (),
) -> tuple[list[Creative], dict[str, Verdict]]:
    """
    List what may be shown at a placement as far as the request itself tells, at most MAX_CANDIDATES, by ad group.

    `tenant` keeps the offer to one advertiser. CPD campaigns are on offer, first of all, where they have `booked` the
    day. The second part says why creatives of the ad groups that the request reaches are out, by creative id.
    """
    offered: list[Creative] = []
    out: dict[str, Verdict] = {}
    groups = snapshot.ad_groups_for(placement.id, keywords)
    for group in sorted(groups, key=lambda one: one.campaign.id not in booked) if booked else groups:
        campaign = group.campaign
        if tenant not in {None, campaign.advertiser.id}:
            continue
        if campaign.pricing_model == "cpd" and campaign.id not in booked:
            continue
        for creative in snapshot.creatives_by_ad_group[group.id]:
            if not campaign.serves_at(now_us):
                out[creative.id] = Verdict.OUT_OF_SCHEDULE
            elif campaign.advertiser.currency != placement.currency:
                out[creative.id] = Verdict.CURRENCY_MISMATCH
            elif not creative.fits(placement):
                out[creative.id] = Verdict.SIZE_MISMATCH
            elif len(offered) == MAX_CANDIDATES:
                out[creative.id] = Verdict.TOO_MANY
            else:
                offered.append(creative)
    return offered, out


def asks_for_person(group: AdGroup) -> bool:
    """Tell whether the ad group addresses persons, so that it needs one to be known."""
    return group.expression is not None or bool(group.include_audiences) or bool(group.exclude_audiences)


def private_tag_owners(groups: Iterable[AdGroup]) -> tuple[str, ...]:
    """Name the advertisers whose private tags the ad groups ask for, in order, at most MAX_CANDIDATES."""
    return tuple(sorted({group.campaign.advertiser.id for group in groups if group.names_private}))[:MAX_CANDIDATES]


def matched_audience(group: AdGroup, facts: PersonFacts) -> str:
    """Name the audience that put the person into the ad group: the first that it includes, by id; empty for none."""
    return min(group.include_audiences & (facts.audiences or frozenset()), default="")


def person_verdict(group: AdGroup, facts: PersonFacts) -> Verdict | None:
    """
    Tell why the person is not one whom the ad group addresses; None where the person is.

    Where a part of the facts that the ad group asks for could not be had, it is not shown: absence is no evidence.
    """
    if (group.include_audiences or group.exclude_audiences) and facts.audiences is None:
        return Verdict.PERSON_UNKNOWN
    if facts.audiences is not None:
        if group.include_audiences and group.include_audiences.isdisjoint(facts.audiences):
            return Verdict.NOT_TARGETED
        if not group.exclude_audiences.isdisjoint(facts.audiences):
            return Verdict.NOT_TARGETED
    if group.expression is not None:
        if facts.profile is None or facts.audiences is None:
            return Verdict.PERSON_UNKNOWN
        if not evaluate(group.expression, facts):
            return Verdict.NOT_TARGETED
    return None
