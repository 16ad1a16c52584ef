"""
Terms: what attribution has to know of campaigns, of advertisers' accounts and of placements to bill by them.

Each version is derived from the resources as they stand in one transaction, and holds from its effective time on. Times
are microseconds since the epoch, money is micros, shares and rates are millionths.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bihuan_gateway.control.resources import Resource
from bihuan_gateway.control.specs import (
    AdvertiserSpec,
    CampaignSpec,
    FrequencyCap,
    Kind,
    PlacementSpec,
    Pricing,
    PublisherSpec,
)


@dataclass(frozen=True, slots=True)
class AdvertiserTerms:
    """One version of an advertiser's account; the spec is the advertiser's as a whole."""

    advertiser_id: str
    version: int
    effective_time_us: int
    spec: AdvertiserSpec

    @property
    def subject(self) -> tuple[Kind, str]:
        """Whose terms these are."""
        return Kind.ADVERTISERS, self.advertiser_id


@dataclass(frozen=True, slots=True)
class PlacementTerms:
    """
    One version of a placement, with the share that its publisher gets there.

    The version is that of the serving snapshot which the write made: both the placement and its publisher move it.
    """

    placement_id: str
    version: int
    effective_time_us: int
    publisher_id: str
    revenue_share_ppm: int
    traffic_source: str

    @property
    def subject(self) -> tuple[Kind, str]:
        """Whose terms these are."""
        return Kind.PLACEMENTS, self.placement_id


@dataclass(frozen=True, slots=True)
class CampaignTerms:
    """One version of a campaign's terms, as attribution bills by them."""

    campaign_id: str
    advertiser_id: str
    version: int
    effective_time_us: int
    currency: str
    time_zone: str
    pricing: Pricing
    daily_micros: int
    total_micros: int
    click_window_days: int
    view_window_days: int
    frequency_caps: tuple[FrequencyCap, ...]
    stopped: bool
    promoted_items: tuple[str, ...] = ()
    shop_id: str = ""

    @property
    def subject(self) -> tuple[Kind, str]:
        """Whose terms these are."""
        return Kind.CAMPAIGNS, self.campaign_id


Terms = AdvertiserTerms | PlacementTerms | CampaignTerms
TERMS: Mapping[Kind, type[Terms]] = MappingProxyType(
    {Kind.ADVERTISERS: AdvertiserTerms, Kind.PLACEMENTS: PlacementTerms, Kind.CAMPAIGNS: CampaignTerms}
)
"""In the order in which they are handed over: nothing is billed before who pays and who shares is known."""


def advertiser_terms(advertiser: Resource) -> AdvertiserTerms:
    """Derive the terms that hold from the advertiser's last change on."""
    spec = advertiser.spec
    assert isinstance(spec, AdvertiserSpec)
    return AdvertiserTerms(advertiser.id, advertiser.version, advertiser.update_time_us, spec)


def share_of(placement: PlacementSpec, publisher: PublisherSpec | None) -> int:
    """Tell what the publisher gets of charges at a placement: the placement's own share, else the publisher's."""
    if placement.revenue_share_ppm is not None:
        return placement.revenue_share_ppm
    return publisher.revenue_share_ppm if publisher is not None else 0


def placement_terms(placement: Resource, publisher: Resource | None, version: int) -> PlacementTerms:
    """Derive the terms that hold from the last change of the placement or of its publisher on."""
    spec, owner = placement.spec, publisher.spec if publisher is not None else None
    assert isinstance(spec, PlacementSpec)
    assert owner is None or isinstance(owner, PublisherSpec)
    changed_us = publisher.update_time_us if publisher is not None else 0
    return PlacementTerms(
        placement_id=placement.id,
        version=version,
        effective_time_us=max(placement.update_time_us, changed_us),
        publisher_id=spec.publisher_id or "",
        revenue_share_ppm=share_of(spec, owner),
        traffic_source=spec.traffic_source,
    )


def campaign_terms(campaign: Resource, advertiser: Resource) -> CampaignTerms:
    """Derive the terms that hold from the campaign's last change on."""
    spec, payer = campaign.spec, advertiser.spec
    assert isinstance(spec, CampaignSpec)
    assert isinstance(payer, AdvertiserSpec)
    return CampaignTerms(
        campaign_id=campaign.id,
        advertiser_id=advertiser.id,
        version=campaign.version,
        effective_time_us=campaign.update_time_us,
        currency=payer.currency,
        time_zone=payer.time_zone,
        pricing=spec.pricing,
        daily_micros=spec.budget.daily_micros,
        total_micros=spec.budget.total_micros,
        click_window_days=spec.attribution.click_window_days,
        view_window_days=spec.attribution.view_window_days,
        frequency_caps=spec.frequency_caps,
        stopped=spec.status != "active",
        promoted_items=spec.promoted_items,
        shop_id=spec.shop_id or "",
    )
