"""Terms of campaigns: versioned, effective-dated, looked up by version or by instant."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from bihuan_attribution.domain.event import DAY_US
from bihuan_shared.errors import AlreadyExists, FailedPrecondition, FieldViolation, InvalidArgument

UNLIMITED_NANOS = 2**62
DEFAULT_CLICK_WINDOW_US = 15 * DAY_US
DEFAULT_VIEW_WINDOW_US = DAY_US
MAX_CLICK_WINDOW_US = 90 * DAY_US
MAX_VIEW_WINDOW_US = 30 * DAY_US


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


class TermsBook:
    """All versions of the terms of some campaigns."""

    __slots__ = ("_versions",)

    def __init__(self, terms: Iterable[CampaignTerms] = ()) -> None:
        self._versions: dict[str, list[CampaignTerms]] = {}
        for one in terms:
            self.add(one)

    def add(self, terms: CampaignTerms) -> None:
        """Take in one version; a version that is held already is left as it is."""
        held = self._versions.setdefault(terms.campaign_id, [])
        if any(one.version == terms.version for one in held):
            return
        held.append(terms)
        held.sort(key=lambda one: one.version)

    def versions(self, campaign_id: str) -> Sequence[CampaignTerms]:
        """What is held of a campaign, oldest version first."""
        return self._versions.get(campaign_id, ())

    def in_force(self, campaign_id: str, at_us: int) -> CampaignTerms | None:
        """The newest version whose time has come at `at_us`; None before the first one."""
        for one in reversed(self._versions.get(campaign_id, ())):
            if one.effective_time_us <= at_us:
                return one
        return None

    def at(self, campaign_id: str, at_us: int) -> CampaignTerms | None:
        """Like `in_force`, but the first version also covers what happened before it; None for an unknown campaign."""
        held = self._versions.get(campaign_id)
        return self.in_force(campaign_id, at_us) or (held[0] if held else None)

    def sold_under(self, campaign_id: str, version: int) -> CampaignTerms | None:
        """The version that a token names, or the newest older one; None for an unknown campaign."""
        held = self._versions.get(campaign_id)
        if not held:
            return None
        return next((one for one in reversed(held) if one.version <= version), held[0])

    def of_advertiser(self, advertiser_id: str) -> list[str]:
        """Campaigns of an advertiser."""
        return [key for key, held in self._versions.items() if held[-1].advertiser_id == advertiser_id]
