"""The bodies of `POST /v1/orders`."""

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bihuan_gateway.data.wire.decisions import identifier_breaches
from bihuan_gateway.data.wire.parts import (
    OUT_OF_RANGE,
    Body,
    ConsentBody,
    Currency,
    Id64,
    Id128,
    Micros,
    OptionalId64,
    OptionalId128,
    OptionalIdentifiers,
    Text96,
    Time,
    time_us,
    too_long,
)

Quantity = Annotated[int, Meta(ge=1, le=1_000_000)]


class OrderItemBody(Body, frozen=True, kw_only=True):
    """One line; `paid_micros` is what was actually paid for the whole line."""

    item_id: Id128
    shop_id: OptionalId128 = ""
    quantity: Quantity = 1
    paid_micros: Micros
    tags: Annotated[tuple[Text96, ...], Meta(max_length=16)] = ()


class RefundItemBody(Body, frozen=True, kw_only=True):
    """What comes back of one line, and what is paid back for it."""

    item_id: Id128
    quantity: Quantity = 1
    refund_micros: Micros


class OrderRequest(Body, frozen=True, kw_only=True):
    """
    An order, a change of its status, or a refund.

    An order takes `items` (and `channel`, `status`, by default `online` and `paid`), an update takes `status`, a refund
    takes `refund_items`. `click_id` is what the landing URL carried as `bh_click`; without it the identifiers name the
    person, where consent allows MEASUREMENT. Without `event_id` one is derived from the content: a repeat counts once.
    """

    type: Literal["order", "update", "refund"]
    order_id: Id128
    advertiser_id: Id64
    order_time: Time
    currency: Currency
    event_id: OptionalId128 = ""
    channel: Literal["online", "store"] | None = None
    status: Literal["placed", "paid", "completed", "cancelled"] | None = None
    items: Annotated[tuple[OrderItemBody, ...], Meta(max_length=500)] = ()
    refund_items: Annotated[tuple[RefundItemBody, ...], Meta(max_length=500)] = ()
    click_id: OptionalId64 = ""
    identifiers: OptionalIdentifiers = ()
    consent: ConsentBody = ConsentBody()

    def breaches(self) -> Iterator[tuple[str, str]]:
        """Yield pointer and detail of what the types cannot say."""
        if time_us(self.order_time) is None:
            yield "/order_time", OUT_OF_RANGE
        yield from self._shape_breaches()
        yield from identifier_breaches("/identifiers", self.identifiers)
        if too_long(self.consent.source, 64):
            yield "/consent/source", "takes more than 64 bytes"
        for place, item in enumerate(self.items):
            for index, tag in enumerate(item.tags):
                if too_long(tag, 96):
                    yield f"/items/{place}/tags/{index}", "takes more than 96 bytes"

    def _shape_breaches(self) -> Iterator[tuple[str, str]]:
        if self.type == "order" and not self.items:
            yield "/items", "an order has at least one item"
        if self.type != "order" and self.items:
            yield "/items", "only an order has items"
        if self.type == "update" and self.status is None:
            yield "/status", "an update has a status"
        if self.type == "refund" and self.status is not None:
            yield "/status", "a refund has no status"
        if self.type == "refund" and not self.refund_items:
            yield "/refund_items", "a refund has at least one refund item"
        if self.type != "refund" and self.refund_items:
            yield "/refund_items", "only a refund has refund items"


class OrderBatchRequest(Body, frozen=True, kw_only=True):
    """Up to 500 orders, updates and refunds."""

    orders: Annotated[tuple[OrderRequest, ...], Meta(min_length=1, max_length=500)]

    def breaches(self) -> Iterator[tuple[str, str]]:
        """Yield pointer and detail of what the types cannot say."""
        for place, order in enumerate(self.orders):
            for pointer, detail in order.breaches():
                yield f"/orders/{place}{pointer}", detail


class OrderResult(msgspec.Struct, frozen=True, kw_only=True):
    """
    What became of one order; `reason` and `pointer` say why it was rejected and which field is at fault.

    `consent_refusal` says why a consent string was refused.
    """

    order_id: str
    event_id: str
    outcome: Literal["accepted", "duplicate", "conflict", "rejected"]
    reason: str | None = None
    pointer: str | None = None
    consent_refusal: str | UnsetType = UNSET


class OrderBatchResponse(msgspec.Struct, frozen=True, kw_only=True):
    """One result an order, in the order of the request."""

    results: tuple[OrderResult, ...]
