"""`POST /v1/orders`."""

from dataclasses import dataclass, field, replace

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from bihuan_gateway.auth import principal_of
from bihuan_gateway.control.access import require_writer
from bihuan_gateway.data.ports import NOBODY, Consent, OrderEvent, OrderLine, Recorded, RecordResult
from bihuan_gateway.data.routes.consents import refusal_of, told_of
from bihuan_gateway.data.routes.decisions import identifiers_of
from bihuan_gateway.data.routes.reading import BodyReader, json_response, raw_body
from bihuan_gateway.data.use_cases.consenting import ReadConsent, Told
from bihuan_gateway.data.use_cases.orders import KINDS, RecordOrders, ReportedOrder, field_pointer, order_event_id
from bihuan_gateway.data.wire.orders import OrderBatchRequest, OrderBatchResponse, OrderRequest, OrderResult
from bihuan_gateway.data.wire.parts import time_us
from bihuan_gateway.hops import asked_by_us
from bihuan_gateway.planes import NamedRoute
from bihuan_shared.clock import Clock
from bihuan_shared.errors import AlreadyExists, DeadlineExceeded, FieldViolation, InvalidArgument, Unavailable


@dataclass(frozen=True, slots=True)
class OrderRoutes:
    """Orders of any advertiser for admins, and of its own for an advertiser's key."""

    record: RecordOrders
    read_consent: ReadConsent
    clock: Clock
    _one: BodyReader[OrderRequest] = field(default_factory=lambda: BodyReader(OrderRequest, strict=True))
    _many: BodyReader[OrderBatchRequest] = field(default_factory=lambda: BodyReader(OrderBatchRequest, strict=True))

    def routes(self) -> list[BaseRoute]:
        """List the routes."""
        return [NamedRoute("/v1/orders", self.post, methods=["POST"])]

    async def post(self, request: Request) -> Response:
        """Take in one order event, or a batch `{"orders": […]}`."""
        principal = principal_of(request)
        require_writer(principal)
        raw = await raw_body(request)
        batch = self._many.decode(raw).orders if _is_batch(raw) else None
        bodies = batch if batch is not None else (self._one.decode(raw),)
        now_us = self.clock.now_us()
        tolds = [told_of(body.consent, self.read_consent) for body in bodies]
        orders = [
            _order(body, told.consent, f"/orders/{place}" if batch is not None else "", now_us)
            for place, (body, told) in enumerate(zip(bodies, tolds, strict=True))
        ]
        try:
            with asked_by_us():
                results = await self.record(orders, principal.tenant)
        except DeadlineExceeded:
            # Whether it was committed is not known; repeating is harmless, and 503 asks for it.
            raise Unavailable("attribution did not answer in time; send it again") from None
        answers = tuple(
            _result(body, told, order.event, result)
            for body, told, order, result in zip(bodies, tolds, orders, results, strict=True)
        )
        if batch is None:
            _raise_refused(answers[0])
            return json_response(answers[0])
        return json_response(OrderBatchResponse(results=answers))


def _is_batch(raw: bytes) -> bool:
    try:
        return "orders" in msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # The reader of one order says what is wrong.
        return False


def _order(body: OrderRequest, consent: Consent, pointer: str, now_us: int) -> ReportedOrder:
    is_order = body.type == "order"
    event = OrderEvent(
        kind=KINDS[body.type],
        event_id="",
        order_id=body.order_id,
        advertiser_id=body.advertiser_id,
        currency=body.currency,
        order_time_us=time_us(body.order_time) or 0,
        receive_time_us=now_us,
        channel=(body.channel or ("online" if is_order else "")).upper(),
        status=(body.status or ("paid" if is_order else "")).upper(),
        lines=tuple(
            [OrderLine(item.item_id, item.shop_id, item.quantity, item.paid_micros, item.tags) for item in body.items]
            + [OrderLine(item.item_id, "", item.quantity, item.refund_micros) for item in body.refund_items]
        ),
        click_id=body.click_id,
        person=NOBODY,
        consent=consent,
    )
    event = replace(event, event_id=order_event_id(event, body.event_id))
    return ReportedOrder(identifiers_of(body.identifiers), event, pointer)


def _result(body: OrderRequest, told: Told, event: OrderEvent, result: RecordResult) -> OrderResult:
    return OrderResult(
        order_id=body.order_id,
        event_id=body.event_id or event.event_id.removeprefix(f"{event.advertiser_id}/"),
        outcome=result.outcome.value,
        reason=result.reason or None,
        pointer=field_pointer(result.field) or None,
        consent_refusal=refusal_of(told),
    )


def _raise_refused(result: OrderResult) -> None:
    """Answer a single order that was not taken as a problem: 409 for a conflict, 400 for a rejection."""
    if result.outcome == Recorded.CONFLICT.value:
        raise AlreadyExists("this event came before with another body")
    if result.outcome == Recorded.REJECTED.value:
        reason = result.reason or "INVALID_FIELD"
        violation = FieldViolation(result.pointer or "", reason)
        raise InvalidArgument(f"the order was rejected: {reason}", violation, reason=reason)
