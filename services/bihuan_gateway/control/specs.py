"""The resources of the control plane as callers describe them."""

import json
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, StrictInt, model_validator

from bihuan_gateway.control.fields import (
    AmountMicros,
    BidMicros,
    Currency,
    DisplayName,
    Item,
    Keyword,
    Label,
    LandingUrl,
    Moment,
    Pixels,
    Ppm,
    ResourceId,
    Spec,
    Tag,
    TimeZone,
)
from bihuan_gateway.control.lead_specs import LeadSpec
from bihuan_gateway.control.look_alikes import LookAlikeSpec
from bihuan_gateway.control.packages import BrandBehaviourSpec, CombinationSpec, Interval
from bihuan_shared.clock import parse_rfc3339_us

MAX_ASSETS_BYTES = 16_384
MAX_MEMBERS = 100_000
MAX_RATES = 1000
MAX_PROMOTED_ITEMS = 1000
Status = Literal["active", "paused", "archived"]
Review = Literal["pending", "approved", "rejected"]


class Kind(StrEnum):
    """What kinds of resources there are, named as their collections."""

    ADVERTISERS = "advertisers"
    CAMPAIGNS = "campaigns"
    AD_GROUPS = "ad-groups"
    CREATIVES = "creatives"
    PLACEMENTS = "placements"
    AUDIENCES = "audiences"
    PUBLISHERS = "publishers"
    PROMOTERS = "promoters"


class AdvertiserSpec(Spec):
    """
    Who pays. Currency and time zone hold for ever: the ledger and the budget days rest on them.

    `credit_limit_micros` is what may be owed beyond the prepaid balance; 0 means prepaid only.
    """

    display_name: DisplayName
    currency: Currency
    time_zone: TimeZone = "UTC"
    credit_limit_micros: AmountMicros = 0
    leads: LeadSpec | None = None


class CommissionRate(Spec):
    """The commission rate of one item, or of all items that carry the tag `category:<category>`."""

    item_id: Item | None = None
    category: Tag | None = None
    rate_ppm: Ppm

    @model_validator(mode="after")
    def _of_one_thing(self) -> Self:
        if (self.item_id is None) == (self.category is None):
            raise ValueError("a rate is of an item or of a category")
        return self


class Pricing(Spec):
    """
    What is paid for, and how much at most. Money is integer micros of the advertiser's currency.

    Of `commission_rates` an item's own wins over its category's; `commission_rate_ppm` is for everything else, and what
    the auction expects. `day_rate_micros` (cpd) is what a booking bids that names no rate, and the most that one may
    bid.
    """

    model: Literal["cpd", "cpm", "cpc", "cps"]
    bid_micros: BidMicros = 0
    commission_rate_ppm: Ppm = 0
    commission_rates: Annotated[tuple[CommissionRate, ...], Field(max_length=MAX_RATES)] = ()
    promoter_share_ppm: Ppm = 0
    expected_order_micros: AmountMicros = 0
    day_rate_micros: AmountMicros = 0
    cpm_trigger: Literal["impression", "viewable"] = "impression"

    @model_validator(mode="after")
    def _fits_model(self) -> Self:
        if self.model in {"cpm", "cpc"} and self.bid_micros == 0:
            raise ValueError(f"{self.model} needs bid_micros")
        if self.model == "cps" and self.commission_rate_ppm == 0:
            raise ValueError("cps needs commission_rate_ppm")
        if self.model == "cps" and self.expected_order_micros == 0:
            raise ValueError("cps needs expected_order_micros")
        if self.model != "cps" and (self.commission_rate_ppm or self.promoter_share_ppm or self.expected_order_micros):
            raise ValueError(f"{self.model} has no commission")
        if self.model != "cps" and self.commission_rates:
            raise ValueError(f"{self.model} has no commission rates")
        if self.model in {"cps", "cpd"} and self.bid_micros:
            raise ValueError(f"{self.model} has no bid")
        if self.model == "cpd" and self.day_rate_micros == 0:
            raise ValueError("cpd needs day_rate_micros")
        if self.model != "cpd" and self.day_rate_micros:
            raise ValueError(f"{self.model} has no day rate")
        if self.model != "cpm" and self.cpm_trigger != "impression":
            raise ValueError(f"{self.model} has no cpm_trigger")
        return self

    @model_validator(mode="after")
    def _rates_differ(self) -> Self:
        scopes = {(rate.item_id, rate.category) for rate in self.commission_rates}
        if len(scopes) != len(self.commission_rates):
            raise ValueError("an item or a category has two commission rates")
        return self


class Budget(Spec):
    """What may be spent in a day of the advertiser's time zone, and ever; 0 means no limit."""

    daily_micros: AmountMicros = 0
    total_micros: AmountMicros = 0


class Schedule(Spec):
    """When the campaign serves: `[start_time, end_time)`; an absent bound is none."""

    start_time: Moment | None = None
    end_time: Moment | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.start_time and self.end_time and parse_rfc3339_us(self.start_time) >= parse_rfc3339_us(self.end_time):
            raise ValueError("end_time must be later than start_time")
        return self


class PacingSpec(Spec):
    """How a daily budget is spread."""

    mode: Literal["even", "asap"] = "even"


class AttributionSpec(Spec):
    """Which touches count for an order, and for how many days."""

    model: Literal["last_click"] = "last_click"
    click_window_days: Annotated[StrictInt, Field(ge=1, le=90)] = 15
    view_window_days: Annotated[StrictInt, Field(ge=0, le=30)] = 1


class FrequencyCap(Spec):
    """At most so many impressions a person."""

    level: Literal["advertiser", "campaign", "ad_group", "creative"]
    window: Literal["minute", "hour", "day", "lifetime"]
    max_impressions: Annotated[StrictInt, Field(ge=1, le=10_000)]


class CampaignSpec(Spec):
    """
    A goal with a price, a budget and a time.

    An order of one of `promoted_items` is a direct one, an order of another item of `shop_id` is one of the same shop.
    """

    advertiser_id: ResourceId
    display_name: DisplayName
    objective: Literal["awareness", "traffic", "sales", "leads"] = "sales"
    pricing: Pricing
    budget: Budget = Budget()
    schedule: Schedule = Schedule()
    pacing: PacingSpec = PacingSpec()
    attribution: AttributionSpec = AttributionSpec()
    frequency_caps: Annotated[tuple[FrequencyCap, ...], Field(max_length=16)] = ()
    status: Status = "active"
    token_ttl_days: Annotated[StrictInt, Field(ge=1, le=180)] = 30
    promoted_items: Annotated[tuple[Item, ...], Field(max_length=MAX_PROMOTED_ITEMS)] = ()
    shop_id: Item | None = None


class AudienceRefs(Spec):
    """Audiences that a person must be in one of, and audiences that a person must not be in."""

    include: Annotated[tuple[ResourceId, ...], Field(max_length=64)] = ()
    exclude: Annotated[tuple[ResourceId, ...], Field(max_length=64)] = ()


class AdGroupSpec(Spec):
    """Whom and where a campaign addresses. An empty expression or list makes no demand."""

    campaign_id: ResourceId
    display_name: DisplayName
    targeting: Annotated[str, Field(max_length=4096)] = ""
    audience_ids: AudienceRefs = AudienceRefs()
    keywords: Annotated[tuple[Keyword, ...], Field(max_length=1000)] = ()
    placement_ids: Annotated[tuple[ResourceId, ...], Field(max_length=1000)] = ()
    bid_micros: BidMicros = 0
    status: Status = "active"


def _bounded(assets: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if len(json.dumps(assets)) > MAX_ASSETS_BYTES:
        raise ValueError(f"longer than {MAX_ASSETS_BYTES} bytes")
    return assets


class CreativeSpec(Spec):
    """What is shown, and where a click leads. It serves once `review` is approved, which only an admin may write."""

    ad_group_id: ResourceId
    display_name: DisplayName = "creative"
    landing_url: LandingUrl
    assets: Annotated[dict[str, JsonValue], AfterValidator(_bounded)] = Field(default_factory=dict)
    width: Pixels = 0
    height: Pixels = 0
    tags: Annotated[tuple[Tag, ...], Field(max_length=512)] = ()
    review: Review = "pending"
    status: Status = "active"


class PlacementSpec(Spec):
    """
    Where an advertisement stands. `floor_micros` is per thousand impressions.

    `revenue_share_ppm` is the publisher's share of what CPM and CPC events here are charged; absent means the share
    that the publisher has everywhere.
    """

    display_name: DisplayName = "placement"
    publisher_id: ResourceId | None = None
    revenue_share_ppm: Ppm | None = None
    channel: Label = "display"
    traffic_source: Literal["social", "e-commerce", "portal", "video", "search", "other"] = "other"
    width: Pixels = 0
    height: Pixels = 0
    floor_micros: BidMicros = 0
    currency: Currency = "USD"
    status: Status = "active"

    @model_validator(mode="after")
    def _shares_with_somebody(self) -> Self:
        if self.revenue_share_ppm is not None and self.publisher_id is None:
            raise ValueError("revenue_share_ppm needs a publisher_id")
        return self


class Member(Spec):
    """One person of a list, by one identifier; it is hashed by identity and never stored here."""

    namespace: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z][a-z0-9_.-]*$")]
    value: Annotated[str, Field(min_length=1, max_length=512)]


class AudienceSpec(Spec):
    """
    A named set of persons: of an expression, of others, of brand behaviour, like a seed, or a list where there is none.

    `refresh_interval_s` is how often it is built anew; null: as the platform does.
    """

    advertiser_id: ResourceId
    display_name: DisplayName
    expression: Annotated[str, Field(max_length=4096)] = ""
    look_alike: LookAlikeSpec | None = None
    combination: CombinationSpec | None = None
    brand_behaviour: BrandBehaviourSpec | None = None
    refresh_interval_s: Interval | None = None

    @property
    def package(self) -> CombinationSpec | BrandBehaviourSpec | None:
        """What it is made of beyond an expression; of both the combination."""
        return self.combination or self.brand_behaviour


class PublisherSpec(Spec):
    """Whose pages or apps the placements are on; the share is of what CPM and CPC events there are charged."""

    display_name: DisplayName
    revenue_share_ppm: Ppm = 0


class PromoterSpec(Spec):
    """Who promotes goods for a commission."""

    display_name: DisplayName
