"""The attribution of an order."""

from dataclasses import asdict
from typing import Annotated

from fastapi import Path
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from bihuan_gateway.routes.ledger import to_micros
from bihuan_gateway.routes.wire import Caller, Control, Tenant, control_router
from bihuan_shared.clock import format_rfc3339

router = control_router("insight")


class ItemView(BaseModel):
    """One line of an order."""

    item_id: str
    quantity: int
    paid_micros: int


class TouchView(BaseModel):
    """What may have led to an order; `credits` by model in millionths, `credit_ppm` is that of last click."""

    event_type: str
    event_id: str
    touch_time: str
    campaign_id: str
    creative_id: str
    join: str
    credit_ppm: int
    credits: dict[str, int]
    relation: str
    promoter_id: str
    sub_id: str


class RestatementView(BaseModel):
    """What was believed of an order from a time on."""

    book_time: str
    credited_campaign_id: str
    order_value_micros: int
    billed_campaign_id: str
    commission_nanos: int


class AttributionView(BaseModel):
    """How one order came about, what was billed for it, and what was believed of it before."""

    order_id: str
    advertiser_id: str
    status: str
    order_time: str
    currency: str
    items: list[ItemView]
    touches: list[TouchView]
    billed_campaign_id: str
    commission_nanos: int
    commission_micros: int
    commission_state: str
    history: list[RestatementView]
    weights_time: str | None


@router.get("/v1/orders/{order_id}/attribution", response_model=AttributionView)
async def get_attribution(
    order_id: Annotated[str, Path(max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")],
    control: Control,
    caller: Caller,
    advertiser_id: Tenant = None,
) -> JSONResponse:
    """Explain one order: its touches, and what was billed. Admins and analysts name the advertiser."""
    order = await control.reports.attribution_of(caller, order_id, advertiser_id)
    written = asdict(order)
    written["order_time"] = format_rfc3339(written.pop("order_time_us"))
    for touch in written["touches"]:
        touch["touch_time"] = format_rfc3339(touch.pop("touch_time_us"))
    for restatement in written["history"]:
        restatement["book_time"] = format_rfc3339(restatement.pop("book_time_us"))
    weights_time_us = written.pop("weights_time_us")
    written["weights_time"] = format_rfc3339(weights_time_us) if weights_time_us is not None else None
    written["commission_micros"] = to_micros(order.commission_nanos)
    return JSONResponse(written)
