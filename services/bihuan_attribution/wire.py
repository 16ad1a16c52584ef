"""Messages of the contract to records of the domain, for the RPC layer and for the log, which keeps messages."""

from bihuan.attribution.v1 import event_pb2, terms_pb2
from bihuan.common.v1 import common_pb2
from bihuan_attribution.domain.event import EventType, IncomingEvent, OrderLine, OrderReport, OrderStatus
from bihuan_attribution.domain.terms import (
    DEFAULT_CLICK_WINDOW_US,
    DEFAULT_VIEW_WINDOW_US,
    CampaignTerms,
    CapLevel,
    CapWindow,
    FrequencyCap,
)
from bihuan_shared.clock import to_us

_MODELS = {
    terms_pb2.PRICING_MODEL_CPD: "cpd",
    terms_pb2.PRICING_MODEL_CPM: "cpm",
    terms_pb2.PRICING_MODEL_CPC: "cpc",
    terms_pb2.PRICING_MODEL_CPS: "cps",
}
_TYPES = {int(one): one for one in EventType}
_STATUSES = frozenset(int(one) for one in OrderStatus)
_MEASUREMENT = common_pb2.PURPOSE_MEASUREMENT


def incoming_event(message: event_pb2.Event) -> IncomingEvent:
    """An event as sent. What is kept of it names no person; the log keeps the person apart, where consent allows it."""
    person_id = message.person.person_id if message.HasField("person") else 0
    measurable = _MEASUREMENT in message.consent.purposes if message.HasField("consent") else None
    receive_us = to_us(message.receive_time) if message.HasField("receive_time") else None
    client_us = to_us(message.client_time) if message.HasField("client_time") else None
    has_order = message.HasField("order")
    kept, content = message, b""
    if has_order or message.sighting_id or message.HasField("person"):
        kept = event_pb2.Event()
        kept.CopyFrom(message)
        kept.ClearField("person")
        kept.ClearField("sighting_id")
    body = kept.SerializeToString(deterministic=True)
    if has_order:
        kept.ClearField("receive_time")
        kept.ClearField("client_time")
        content = kept.SerializeToString(deterministic=True)
    return IncomingEvent(
        event_type=_TYPES[message.event_type],
        event_id=message.event_id,
        token=message.token,
        receive_time_us=receive_us,
        client_time_us=client_us,
        person_id=person_id,
        measurable=measurable,
        order=order_report(message) if has_order else None,
        content=content,
        body=body,
        sighting_id=message.sighting_id,
    )


def order_report(message: event_pb2.Event) -> OrderReport:
    """What an order event says of its order."""
    order = message.order
    if message.event_type == common_pb2.EVENT_TYPE_REFUND:
        lines = tuple(OrderLine(one.item_id, one.quantity, one.refund_micros) for one in order.refund_items)
    else:
        lines = tuple(
            OrderLine(one.item_id, one.quantity, one.paid_micros, one.shop_id, tuple(one.tags)) for one in order.items
        )
    return OrderReport(
        order_id=order.order_id,
        advertiser_id=order.advertiser_id,
        currency=order.currency,
        order_time_us=to_us(order.order_time),
        status=OrderStatus(int(order.status)) if int(order.status) in _STATUSES else OrderStatus.UNSPECIFIED,
        channel=order.channel,
        click_id=order.click_id,
        lines=lines,
    )


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
    )
