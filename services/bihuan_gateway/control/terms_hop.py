"""Attribution over gRPC, as it learns terms."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from google.protobuf.duration_pb2 import Duration

from bihuan.attribution.v1 import attribution_pb2, terms_pb2
from bihuan_gateway.control.lead_terms import lead_terms
from bihuan_gateway.control.specs import CommissionRate, Pricing
from bihuan_gateway.control.terms import AdvertiserTerms, CampaignTerms, PlacementTerms, Terms
from bihuan_gateway.hops import asked_by_us
from bihuan_shared.clock import to_timestamp

if TYPE_CHECKING:  # this class exists for type checkers only
    from bihuan.attribution.v1.attribution_pb2_grpc import AttributionServiceAsyncStub

_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class TermsHop:
    """Implements `ports.TermsSink`."""

    stub: "AttributionServiceAsyncStub"

    async def put_terms(self, terms: Sequence[Terms]) -> None:
        """Hand over terms, all or none; attribution takes accounts and placements in before campaigns."""
        request = attribution_pb2.PutTermsRequest(
            advertisers=[advertiser_message(one) for one in terms if isinstance(one, AdvertiserTerms)],
            placements=[placement_message(one) for one in terms if isinstance(one, PlacementTerms)],
            terms=[campaign_message(one) for one in terms if isinstance(one, CampaignTerms)],
        )
        with asked_by_us():
            await self.stub.PutTerms(request)


def advertiser_message(terms: AdvertiserTerms) -> terms_pb2.AdvertiserTerms:
    """Write an account's terms for the wire."""
    return terms_pb2.AdvertiserTerms(
        advertiser_id=terms.advertiser_id,
        version=terms.version,
        effective_time=to_timestamp(terms.effective_time_us),
        currency=terms.spec.currency,
        time_zone=terms.spec.time_zone,
        credit_limit_micros=terms.spec.credit_limit_micros,
        leads=lead_terms(terms.spec.leads),
    )


def placement_message(terms: PlacementTerms) -> terms_pb2.PlacementTerms:
    """Write a placement's terms for the wire."""
    return terms_pb2.PlacementTerms(
        placement_id=terms.placement_id,
        version=terms.version,
        effective_time=to_timestamp(terms.effective_time_us),
        publisher_id=terms.publisher_id,
        revenue_share_ppm=terms.revenue_share_ppm,
        traffic_source=terms.traffic_source,
    )


def campaign_message(terms: CampaignTerms) -> terms_pb2.CampaignTerms:
    """Write a campaign's terms for the wire."""
    return terms_pb2.CampaignTerms(
        campaign_id=terms.campaign_id,
        advertiser_id=terms.advertiser_id,
        version=terms.version,
        effective_time=to_timestamp(terms.effective_time_us),
        currency=terms.currency,
        time_zone=terms.time_zone,
        pricing=_pricing(terms.pricing),
        budget=terms_pb2.Budget(daily_micros=terms.daily_micros, total_micros=terms.total_micros),
        windows=terms_pb2.AttributionWindows(
            click_window=Duration(seconds=terms.click_window_days * _DAY_S),
            view_window=Duration(seconds=terms.view_window_days * _DAY_S),
        ),
        frequency_caps=[
            terms_pb2.FrequencyCap(
                level=terms_pb2.CapLevel.Value(f"CAP_LEVEL_{cap.level.upper()}"),
                window=terms_pb2.CapWindow.Value(f"CAP_WINDOW_{cap.window.upper()}"),
                max_impressions=cap.max_impressions,
            )
            for cap in terms.frequency_caps
        ],
        stopped=terms.stopped,
        commission_rates=[_rate(one) for one in terms.pricing.commission_rates],
        shop_id=terms.shop_id,
        item_ids=terms.promoted_items,
    )


def _pricing(pricing: Pricing) -> terms_pb2.Pricing:
    return terms_pb2.Pricing(
        model=terms_pb2.PricingModel.Value(f"PRICING_MODEL_{pricing.model.upper()}"),
        bid_micros=pricing.bid_micros,
        commission_rate_ppm=pricing.commission_rate_ppm,
        promoter_share_ppm=pricing.promoter_share_ppm,
        cpm_trigger=terms_pb2.CpmTrigger.Value(f"CPM_TRIGGER_{pricing.cpm_trigger.upper()}")
        if pricing.model == "cpm"
        else terms_pb2.CPM_TRIGGER_UNSPECIFIED,
    )


def _rate(rate: CommissionRate) -> terms_pb2.CommissionRate:
    if rate.item_id is not None:
        return terms_pb2.CommissionRate(item_id=rate.item_id, rate_ppm=rate.rate_ppm)
    return terms_pb2.CommissionRate(category=rate.category or "", rate_ppm=rate.rate_ppm)
