"""What may enter the event log, and at which time it counts."""

from dataclasses import replace
from hashlib import blake2b

from bihuan_attribution.domain.event import (
    ABSENT_US,
    ACTION_EVENTS,
    DAY_US,
    MINUTE_US,
    ORDER_EVENTS,
    TOKEN_EVENTS,
    ActionReport,
    AdFacts,
    EventType,
    IncomingEvent,
    OrderReport,
    OrderStatus,
    Outcome,
    PreparedEvent,
    Result,
)
from bihuan_shared.errors import BihuanError
from bihuan_shared.tokens import KeyRing, TrackingToken

CLOCK_SKEW_US = 5 * MINUTE_US
ORDER_AGE_US = 30 * DAY_US
MAX_PERSON_ID = 2**63 - 1
ACTION_MARK = "\x1f"
"""Actions are joined to touches as orders are, under ids that begin with this; no order's may."""
MAX_ORDER_MICROS = 10**14
"""Most that an order may come to; sums of more would not fit the ledger's columns."""


def clamp(client_time_us: int | None, receive_time_us: int) -> int:
    """The client's time, at most five minutes from the time of receipt; without one, the time of receipt."""
    if client_time_us is None:
        return receive_time_us
    return max(receive_time_us - CLOCK_SKEW_US, min(receive_time_us + CLOCK_SKEW_US, client_time_us))


def prepare(event: IncomingEvent, keys: KeyRing, now_us: int) -> PreparedEvent | Result:
    """
    Check one event and take from its token what the caller may not decide.

    A REJECTED result names the field below the event and the reason; nothing is raised, so that one bad event does not
    hold up its batch.
    """
    receive_us = now_us if event.receive_time_us is None else event.receive_time_us
    if receive_us > now_us + CLOCK_SKEW_US:
        return _rejected(event, "TIME_OUT_OF_RANGE", "receive_time")
    if event.event_type in TOKEN_EVENTS:
        return _prepare_token_event(event, keys, receive_us)
    if event.event_type in ORDER_EVENTS:
        return _prepare_order_event(event, receive_us)
    if event.event_type in ACTION_EVENTS:
        return _prepare_action(event, receive_us)
    return _rejected(event, "INVALID_FIELD", "event_type")


def _rejected(event: IncomingEvent, reason: str, field: str) -> Result:
    return Result(event.event_id, Outcome.REJECTED, reason, field)


def _prepare_token_event(event: IncomingEvent, keys: KeyRing, receive_us: int) -> PreparedEvent | Result:
    if not event.token or event.action is not None:
        return _rejected(event, "INVALID_FIELD", "action" if event.token else "token")
    try:
        token = keys.open(event.token, receive_us)
    except BihuanError as error:
        return _rejected(event, error.reason, "token")
    if event.event_id not in ("", token.token_id):
        return _rejected(event, "INVALID_FIELD", "event_id")
    withheld = event.measurable is False
    return PreparedEvent(
        event_type=event.event_type,
        event_id=token.token_id,
        body_hash=_digest(repr(token).encode()),
        body=event.body,
        receive_time_us=receive_us,
        event_time_us=clamp(event.client_time_us, receive_us),
        person_id=0 if withheld else token.person_id,
        sighting_id=0 if withheld or not token.person_id else token.sighting_id,
        ad=ad_facts(token),
        order=None,
        signals=event.signals,
    )


def ad_facts(token: TrackingToken) -> AdFacts:
    """What billing takes from a token."""
    return AdFacts(
        token_id=token.token_id,
        decision_id=token.decision_id,
        campaign_id=token.campaign_id,
        creative_id=token.creative_id,
        placement_id=token.placement_id,
        ad_group_id=token.ad_group_id,
        advertiser_id=token.advertiser_id,
        terms_version=token.terms_version,
        pricing_model=token.pricing_model,
        price_micros=token.price_micros,
        currency=token.currency,
        reservation_id=token.reservation_id,
        promoter_id=token.promoter_id,
        sub_id=token.sub_id,
        audience_id=token.audience_id,
    )


def _prepare_order_event(event: IncomingEvent, receive_us: int) -> PreparedEvent | Result:
    order = event.order
    fault = _order_fault(event, order)
    if fault or order is None:
        return _rejected(event, "INVALID_FIELD", fault or "order")
    if not _is_timely(order.order_time_us, receive_us):
        return _rejected(event, "TIME_OUT_OF_RANGE", "order.order_time")
    return PreparedEvent(
        event_type=event.event_type,
        event_id=event.event_id,
        body_hash=_digest(event.content),
        body=event.body,
        receive_time_us=receive_us,
        event_time_us=order.order_time_us,
        person_id=event.person_id if event.measurable else 0,
        sighting_id=event.sighting_id if event.measurable and event.person_id else 0,
        ad=None,
        order=order,
    )


def _is_timely(told_time_us: int, receive_us: int) -> bool:
    return receive_us - ORDER_AGE_US <= told_time_us <= receive_us + CLOCK_SKEW_US


def _prepare_action(event: IncomingEvent, receive_us: int) -> PreparedEvent | Result:
    action = event.action
    fault = _action_fault(event, action)
    if fault or action is None:
        return _rejected(event, "INVALID_FIELD", fault or "action")
    if action.action_time_us == ABSENT_US:
        action = replace(action, action_time_us=receive_us)
    if not _is_timely(action.action_time_us, receive_us):
        return _rejected(event, "TIME_OUT_OF_RANGE", "action.action_time")
    return PreparedEvent(
        event_type=event.event_type,
        event_id=event.event_id,
        body_hash=_digest(event.content),
        body=event.body,
        receive_time_us=receive_us,
        event_time_us=action.action_time_us,
        person_id=event.person_id if event.measurable else 0,
        sighting_id=event.sighting_id if event.measurable and event.person_id else 0,
        ad=None,
        order=None,
        action=action,
    )


def _action_fault(event: IncomingEvent, action: ActionReport | None) -> str:
    """The field that is wrong, or nothing."""
    if action is None:
        return "action"
    checks = (
        (bool(event.token), "token"),
        (event.order is not None, "order"),
        (not event.event_id, "event_id"),
        (event.person_id > MAX_PERSON_ID, "person.person_id"),
        (bool(action.reference) and event.event_type is not EventType.LEAD, "action.reference"),
    )
    return next((field for wrong, field in checks if wrong), "")


def _order_fault(event: IncomingEvent, order: OrderReport | None) -> str:
    """The field that is wrong, or nothing."""
    if order is None:
        return "order"
    if event.token:
        return "token"
    checks = (
        (event.action is not None, "action"),
        (not event.event_id, "event_id"),
        (event.person_id > MAX_PERSON_ID, "person.person_id"),
        (order.order_id.startswith(ACTION_MARK), "order.order_id"),
        (event.event_type is EventType.ORDER and not order.lines, "order.items"),
        (event.event_type is not EventType.REFUND and order.status is OrderStatus.UNSPECIFIED, "order.status"),
        (event.event_type is EventType.REFUND and not order.lines, "order.refund_items"),
        (sum(line.paid_micros for line in order.lines) > MAX_ORDER_MICROS, _lines_field(event)),
    )
    return next((field for wrong, field in checks if wrong), "")


def _lines_field(event: IncomingEvent) -> str:
    return "order.refund_items" if event.event_type is EventType.REFUND else "order.items"


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=16).digest()
