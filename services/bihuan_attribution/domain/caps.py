"""Frequency caps as counters: which counters an impression moves, and which limits hold for it."""

from collections.abc import Iterable
from dataclasses import dataclass

from bihuan_attribution.domain.budget_day import budget_day
from bihuan_attribution.domain.event import HOUR_US, MINUTE_US
from bihuan_attribution.domain.terms import CampaignTerms, CapLevel, CapWindow

_GARBAGE_S = {CapWindow.MINUTE: 600, CapWindow.HOUR: 4 * 3600, CapWindow.DAY: 50 * 3600, CapWindow.LIFETIME: 0}


@dataclass(frozen=True, slots=True)
class CapSlot:
    """
    One counter of one person: `bucket` names the span, `entity` what is counted.

    `max_impressions` of 0 means that the counter is moved and limits nothing here. `garbage_s` is how long the
    counter can matter; 0 means for ever.
    """

    bucket: str
    entity: str
    max_impressions: int
    garbage_s: int


def bucket_of(window: CapWindow, at_us: int, time_zone: str) -> str:
    """The span of a window that an instant falls into."""
    if window is CapWindow.MINUTE:
        return f"m{at_us // MINUTE_US}"
    if window is CapWindow.HOUR:
        return f"h{at_us // HOUR_US}"
    if window is CapWindow.DAY:
        return f"d{budget_day(at_us, time_zone)}"
    return "l"


def entity_of(level: CapLevel, campaign_id: str, ad_group_id: str, creative_id: str) -> str:
    """What is counted at a level; ad groups and creatives count within their campaign."""
    if level is CapLevel.ADVERTISER:
        return "1"
    if level is CapLevel.CAMPAIGN:
        return f"2:{campaign_id}"
    if level is CapLevel.AD_GROUP:
        return f"3:{campaign_id}:{ad_group_id}"
    return f"4:{campaign_id}:{creative_id}"


def cap_slots(
    terms: CampaignTerms,
    advertiser_windows: Iterable[CapWindow],
    ad_group_id: str,
    creative_id: str,
    at_us: int,
) -> tuple[CapSlot, ...]:
    """
    The counters that an impression of a campaign moves.

    `advertiser_windows` are those over which any campaign of the advertiser caps at advertiser level: an impression
    counts there even where its own campaign has no such cap.
    """
    limits: dict[tuple[CapLevel, CapWindow], int] = {(CapLevel.ADVERTISER, window): 0 for window in advertiser_windows}
    for cap in terms.caps:
        held = limits.get((cap.level, cap.window), 0)
        limits[cap.level, cap.window] = min(held, cap.max_impressions) if held else cap.max_impressions
    return tuple(
        CapSlot(
            bucket=bucket_of(window, at_us, terms.time_zone),
            entity=entity_of(level, terms.campaign_id, ad_group_id, creative_id),
            max_impressions=limit,
            garbage_s=_GARBAGE_S[window],
        )
        for (level, window), limit in sorted(limits.items())
    )
