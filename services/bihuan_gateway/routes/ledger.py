"""The ledger, its reconciliation, and the attribution of an order."""

from dataclasses import asdict
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Annotated

from fastapi import Path, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, JsonValue

from bihuan_gateway.control.fields import ResourceId
from bihuan_gateway.control.insight import NANOS_PER_MICRO, LedgerEntry
from bihuan_gateway.routes.wire import Caller, Control, Size, Tenant, control_router
from bihuan_shared.clock import format_rfc3339

router = control_router("insight")

HopToken = Annotated[
    str, Query(max_length=256, pattern=r"^[!-~]*$", description="`next_page_token` of the answer before")
]

PositionsOnly = Annotated[bool, Query(description="tell where the consumers of the event log are, and compare nothing")]


class PostingView(BaseModel):
    """One side of an entry: a debit is positive, a credit negative."""

    account: str
    amount_nanos: int


class EntryView(BaseModel):
    """A balanced set of postings with one cause."""

    entry_id: int
    kind: str
    cause_type: str
    cause_id: str
    campaign_id: str
    advertiser_id: str
    currency: str
    entry_time: str
    postings: list[PostingView]
    decision_id: str
    corrects_entry_id: int


class EntryPage(BaseModel):
    """A page of entries, oldest first."""

    entries: list[EntryView]
    next_page_token: str


class CurrencyView(BaseModel):
    """Books against the fold over the events, in one currency."""

    currency: str
    debit_nanos: int
    credit_nanos: int
    ledger_charged_nanos: int
    fold_charged_nanos: int
    difference_nanos: int


class AccountReconciliationView(BaseModel):
    """One account in the books and in the fold; `advertiser:<id>` is balance and receivable together."""

    currency: str
    account: str
    ledger_nanos: int
    fold_nanos: int
    difference_nanos: int


class ReconciliationView(BaseModel):
    """
    The comparison; `difference_nanos` is 0 or something is wrong.

    `billed_count` and the counts of `unbilled`, but for its reasons `rejected_…`, sum to `compared_position`.
    """

    currencies: list[CurrencyView]
    unbilled: dict[str, int]
    head_position: int
    consumers: dict[str, int]
    accounts: list[AccountReconciliationView]
    compared_position: int
    billed_count: int


class ItemView(BaseModel):
    """One line of an order."""

    item_id: str
    quantity: int
    paid_micros: int


class TouchView(BaseModel):
    """What may have led to an order."""

    event_type: str
    event_id: str
    touch_time: str
    campaign_id: str
    creative_id: str
    join: str
    credit_ppm: int


class AttributionView(BaseModel):
    """How one order came about, and what was billed for it."""

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


def to_micros(nanos: int) -> int:
    """Round nanos to micros, half-even; for show only, the nanos stand beside it."""
    return int((Decimal(nanos) / NANOS_PER_MICRO).to_integral_value(ROUND_HALF_EVEN))


def entry_document(entry: LedgerEntry) -> dict[str, JsonValue]:
    """Write a ledger entry."""
    written = asdict(entry)
    written["entry_time"] = format_rfc3339(written.pop("entry_time_us"))
    return written


@router.get("/v1/ledger/entries", response_model=EntryPage)
async def list_entries(
    control: Control,
    caller: Caller,
    size: Size = 100,
    page_token: HopToken = "",
    advertiser_id: Tenant = None,
    campaign_id: ResourceId | None = None,
) -> JSONResponse:
    """List ledger entries, oldest first."""
    entries, token = await control.effects.entries(
        caller, advertiser_id=advertiser_id, campaign_id=campaign_id, page_size=size, page_token=page_token
    )
    return JSONResponse({"entries": [entry_document(entry) for entry in entries], "next_page_token": token})


@router.get("/v1/ledger/reconciliation", response_model=ReconciliationView)
async def reconcile(control: Control, caller: Caller, *, positions_only: PositionsOnly = False) -> JSONResponse:
    """Compare the ledger with an independent fold over the event lake (admin)."""
    return JSONResponse(asdict(await control.effects.reconcile(caller, positions_only=positions_only)))


@router.get("/v1/orders/{order_id}/attribution", response_model=AttributionView)
async def get_attribution(
    order_id: Annotated[str, Path(max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")],
    control: Control,
    caller: Caller,
    advertiser_id: Tenant = None,
) -> JSONResponse:
    """Explain one order: its touches, and what was billed. Admins and analysts name the advertiser."""
    order = await control.effects.attribution_of(caller, order_id, advertiser_id)
    written = asdict(order)
    written["order_time"] = format_rfc3339(written.pop("order_time_us"))
    for touch in written["touches"]:
        touch["touch_time"] = format_rfc3339(touch.pop("touch_time_us"))
    written["commission_micros"] = to_micros(order.commission_nanos)
    return JSONResponse(written)
