"""Terms of the contract as records of the domain."""

from bihuan.attribution.v1 import terms_pb2
from bihuan_attribution.domain.accounts import AdvertiserTerms, LeadPoints, LeadRules, PlacementTerms
from bihuan_attribution.domain.booking import Booking
from bihuan_attribution.domain.terms import (
    DEFAULT_CLICK_WINDOW_US,
    DEFAULT_VIEW_WINDOW_US,
    CampaignTerms,
    CapLevel,
    CapWindow,
    CommissionRate,
    FrequencyCap,
)
from bihuan_shared.clock import to_us

_MODELS = {
    terms_pb2.PRICING_MODEL_CPD: "cpd",
    terms_pb2.PRICING_MODEL_CPM: "cpm",
    terms_pb2.PRICING_MODEL_CPC: "cpc",
    terms_pb2.PRICING_MODEL_CPS: "cps",
}


def campaign_terms(message: terms_pb2.CampaignTerms) -> CampaignTerms:
    """Terms as sent; absent windows get their defaults."""
    windows = message.windows
    has_click, has_view = windows.HasField("click_window"), windows.HasField("view_window")
    return CampaignTerms(
        campaign_id=message.campaign_id,
        advertiser_id=message.advertiser_id,
        version=message.version,
        effective_time_us=to_us(message.effective_time),
        currency=message.currency,
        time_zone=message.time_zone,
        pricing_model=_MODELS[message.pricing.model],
        bid_micros=message.pricing.bid_micros,
        commission_rate_ppm=message.pricing.commission_rate_ppm,
        promoter_share_ppm=message.pricing.promoter_share_ppm,
        bills_viewable=message.pricing.cpm_trigger == terms_pb2.CPM_TRIGGER_VIEWABLE,
        daily_micros=message.budget.daily_micros,
        total_micros=message.budget.total_micros,
        click_window_us=windows.click_window.ToMicroseconds() if has_click else DEFAULT_CLICK_WINDOW_US,
        view_window_us=windows.view_window.ToMicroseconds() if has_view else DEFAULT_VIEW_WINDOW_US,
        caps=tuple(
            FrequencyCap(CapLevel(cap.level), CapWindow(cap.window), cap.max_impressions)
            for cap in message.frequency_caps
        ),
        stopped=message.stopped,
        commission_rates=tuple(
            CommissionRate(one.item_id, one.category, one.rate_ppm) for one in message.commission_rates
        ),
        shop_id=message.shop_id,
        item_ids=tuple(message.item_ids),
    )


def advertiser_terms(message: terms_pb2.AdvertiserTerms) -> AdvertiserTerms:
    """Terms of an account as sent; an action counts once where nothing else is said."""
    leads = None
    if message.HasField("leads"):
        points = tuple(LeadPoints(one.action, one.points, one.max_count or 1) for one in message.leads.points)
        leads = LeadRules(message.leads.threshold, points)
    return AdvertiserTerms(
        advertiser_id=message.advertiser_id,
        version=message.version,
        effective_time_us=to_us(message.effective_time),
        currency=message.currency,
        time_zone=message.time_zone,
        credit_limit_micros=message.credit_limit_micros,
        leads=leads,
    )


def placement_terms(message: terms_pb2.PlacementTerms) -> PlacementTerms:
    """Terms of a placement as sent."""
    return PlacementTerms(
        placement_id=message.placement_id,
        version=message.version,
        effective_time_us=to_us(message.effective_time),
        publisher_id=message.publisher_id,
        revenue_share_ppm=message.revenue_share_ppm,
        traffic_source=message.traffic_source,
    )


def booking(message: terms_pb2.Booking) -> Booking:
    """A bid for days as sent."""
    return Booking(
        booking_id=message.booking_id,
        campaign_id=message.campaign_id,
        advertiser_id=message.advertiser_id,
        placement_id=message.placement_id,
        keyword=message.keyword,
        start_date=message.start_date,
        end_date=message.end_date,
        day_rate_micros=message.day_rate_micros,
        currency=message.currency,
        time_zone=message.time_zone,
        create_time_us=to_us(message.create_time),
        cancel_time_us=to_us(message.cancel_time) if message.HasField("cancel_time") else 0,
    )
