"""Messages of the contract to records of the domain, for the RPC layer and for the log, which keeps messages."""

from bihuan.attribution.v1 import event_pb2
from bihuan.common.v1 import common_pb2
from bihuan_attribution.domain.event import (
    ABSENT_US,
    NO_SIGNALS,
    ActionReport,
    EventType,
    IncomingEvent,
    OrderLine,
    OrderReport,
    OrderStatus,
    Signals,
)
from bihuan_shared.clock import to_us

_TYPES = {int(one): one for one in EventType}
_STATUSES = frozenset(int(one) for one in OrderStatus)
_MEASUREMENT = common_pb2.PURPOSE_MEASUREMENT


def incoming_event(message: event_pb2.Event) -> IncomingEvent:
    """An event as sent. What is kept of it names no person; the log keeps the person apart, where consent allows it."""
    person_id = message.person.person_id if message.HasField("person") else 0
    measurable = _MEASUREMENT in message.consent.purposes if message.HasField("consent") else None
    receive_us = to_us(message.receive_time) if message.HasField("receive_time") else None
    client_us = to_us(message.client_time) if message.HasField("client_time") else None
    has_order, has_action = message.HasField("order"), message.HasField("action")
    kept, content = message, b""
    if has_order or has_action or message.sighting_id or message.HasField("person"):
        kept = event_pb2.Event()
        kept.CopyFrom(message)
        kept.ClearField("person")
        kept.ClearField("sighting_id")
    body = kept.SerializeToString(deterministic=True)
    if has_order or has_action:
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
        action=action_report(message, ABSENT_US) if has_action else None,
        signals=_signals(message.signals) if message.HasField("signals") else NO_SIGNALS,
    )


def _signals(message: event_pb2.TrafficSignals) -> Signals:
    return Signals(message.address_hash, message.known_bot, message.prefetch, message.data_centre)


def action_report(message: event_pb2.Event, absent_us: int = 0) -> ActionReport:
    """What an event says that somebody did, at `absent_us` where it does not say when."""
    action = message.action
    when_us = to_us(action.action_time) if action.HasField("action_time") else absent_us
    return ActionReport(action.advertiser_id, action.name, when_us, action.click_id, action.reference)


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
