"""Terms of campaigns: versioned, effective-dated, looked up by version or by instant."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from bihuan_attribution.domain.event import DAY_US
from bihuan_attribution.domain.versions import VersionBook
from bihuan_shared.errors import AlreadyExists, FailedPrecondition, FieldViolation, InvalidArgument

UNLIMITED_NANOS = 2**62
DEFAULT_CLICK_WINDOW_US = 15 * DAY_US
DEFAULT_VIEW_WINDOW_US = DAY_US
MAX_CLICK_WINDOW_US = 90 * DAY_US
MAX_VIEW_WINDOW_US = 30 * DAY_US
CATEGORY = "category:"
"""How a tag begins that names the category of an item."""


class CapLevel(IntEnum):
    """Where a frequency cap counts; the numbers are those of the wire."""

    ADVERTISER = 1
    CAMPAIGN = 2
    AD_GROUP = 3
    CREATIVE = 4


class CapWindow(IntEnum):
    """The span a frequency cap counts over; the numbers are those of the wire."""

    MINUTE = 1
    HOUR = 2
    DAY = 3
    LIFETIME = 4


@dataclass(frozen=True, slots=True)
class FrequencyCap:
    """At most so many impressions a person."""

    level: CapLevel
    window: CapWindow
    max_impressions: int


@dataclass(frozen=True, slots=True)
class CommissionRate:
    """A rate of one item, or of everything of one category; the other of the two is empty."""

    item_id: str
    category: str
    rate_ppm: int


@dataclass(frozen=True, slots=True)
class CampaignTerms:
    """One version of a campaign's terms. Budgets of 0 mean no limit; `pricing_model` is cpd, cpm, cpc or cps."""

    campaign_id: str
    advertiser_id: str
    version: int
    effective_time_us: int
    currency: str
    time_zone: str
    pricing_model: str
    bid_micros: int
    commission_rate_ppm: int
    promoter_share_ppm: int
    bills_viewable: bool
    daily_micros: int
    total_micros: int
    click_window_us: int
    view_window_us: int
    caps: tuple[FrequencyCap, ...]
    stopped: bool
    commission_rates: tuple[CommissionRate, ...] = ()
    shop_id: str = ""
    item_ids: tuple[str, ...] = ()

    def rate_of(self, item_id: str, tags: Iterable[str]) -> int:
        """The rate of an item in ppm: its own, else that of its first category that has one, else the campaign's."""
        by_category: dict[str, int] = {}
        for one in self.commission_rates:
            if one.item_id and one.item_id == item_id:
                return one.rate_ppm
            if one.category:
                by_category.setdefault(CATEGORY + one.category, one.rate_ppm)
        return next((by_category[tag] for tag in tags if tag in by_category), self.commission_rate_ppm)

    @property
    def daily_limit_nanos(self) -> int:
        """What a day may be charged."""
        return self.daily_micros * 1000 if self.daily_micros else UNLIMITED_NANOS

    @property
    def total_limit_nanos(self) -> int:
        """What the campaign may ever be charged."""
        return self.total_micros * 1000 if self.total_micros else UNLIMITED_NANOS


def check_windows(terms: CampaignTerms, path: str) -> None:
    """Refuse windows outside 1 to 90 days after a click and 0 to 30 days after an impression."""
    if not DAY_US <= terms.click_window_us <= MAX_CLICK_WINDOW_US:
        raise InvalidArgument("terms", FieldViolation(f"{path}.windows.click_window", "must be 1 to 90 days"))
    if not 0 <= terms.view_window_us <= MAX_VIEW_WINDOW_US:
        raise InvalidArgument("terms", FieldViolation(f"{path}.windows.view_window", "must be 0 to 30 days"))


def is_new(terms: CampaignTerms, held: Sequence[CampaignTerms]) -> bool:
    """
    Whether `terms` extend what is held of the campaign.

    Raises AlreadyExists where the version is held with another content, FailedPrecondition (STALE_TERMS) where a newer
    one is held, or where a campaign would change its advertiser or its currency.
    """
    same = next((one for one in held if one.version == terms.version), None)
    if same is not None:
        if same != terms:
            raise AlreadyExists(f"version {terms.version} of campaign {terms.campaign_id} has another content")
        return False
    newest = max(held, key=lambda one: one.version, default=None)
    if newest is None:
        return True
    if newest.version > terms.version:
        detail = f"campaign {terms.campaign_id} is at version {newest.version} already"
        raise FailedPrecondition(detail, reason="STALE_TERMS")
    if (newest.advertiser_id, newest.currency) != (terms.advertiser_id, terms.currency):
        raise FailedPrecondition(f"campaign {terms.campaign_id} keeps its advertiser and its currency")
    return True


class TermsBook(VersionBook[CampaignTerms]):
    """All versions of the terms of some campaigns."""

    __slots__ = ()

    def __init__(self, terms: Iterable[CampaignTerms] = ()) -> None:
        super().__init__()
        for one in terms:
            self.add(one)

    def add(self, terms: CampaignTerms) -> None:
        """Take in one version; a version that is held already is left as it is."""
        self.put(terms.campaign_id, terms)

    def of_advertiser(self, advertiser_id: str) -> list[str]:
        """Campaigns of an advertiser."""
        return [key for key in self.names() if self.versions(key)[-1].advertiser_id == advertiser_id]
