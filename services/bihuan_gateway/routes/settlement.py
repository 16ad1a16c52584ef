"""Payouts, accounting periods, invoices, and the proof and the trace of ledger entries."""

from dataclasses import asdict
from typing import Annotated

from fastapi import Path, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, JsonValue, StrictInt, StringConstraints

from bihuan_gateway.control.fields import MAX_AMOUNT_MICROS, Currency, Spec
from bihuan_gateway.control.settlement import Invoice, Period
from bihuan_gateway.routes.ledger import EntryView, HopToken, entry_document
from bihuan_gateway.routes.wire import Caller, Control, Key, Size, Tenant, control_router
from bihuan_shared.clock import format_rfc3339
from bihuan_shared.errors import InvalidArgument

router = control_router("settlement")

MONTH = r"^[0-9]{4}-(0[1-9]|1[0-2])$"
MAX_ENTRY_ID = 2**63 - 1
Month = Annotated[str, StringConstraints(pattern=MONTH)]
EntryId = Annotated[int, Path(ge=1, le=MAX_ENTRY_ID)]
Account = Annotated[str, StringConstraints(pattern=r"^(promoter|publisher):payable:[a-z0-9][a-z0-9_.-]{0,63}$")]


class PayoutCreate(Spec):
    """Money that goes to a promoter or a publisher. The idempotency key names the payout, forever."""

    account: Account
    amount_micros: Annotated[StrictInt, Field(ge=1, le=MAX_AMOUNT_MICROS)]
    currency: Currency


class PeriodView(BaseModel):
    """A month in UTC, `open` or `closed`; `head_hash` stands for every entry up to `last_entry_id`."""

    period: str
    state: str
    close_time: str | None
    last_entry_id: int
    head_hash: str


class PeriodList(BaseModel):
    """All periods that hold entries or were closed, oldest first."""

    periods: list[PeriodView]


class LineView(BaseModel):
    """One line of an invoice: the exact amount, and what it is rounded to (half-even)."""

    campaign_id: str
    pricing_model: str
    adjustment: bool
    amount_nanos: int
    rounded_nanos: int
    entry_count: int


class InvoiceView(BaseModel):
    """What an advertiser owes for a closed period; `prepaid_nanos` of the total came from the prepaid balance."""

    invoice_id: str
    advertiser_id: str
    period: str
    currency: str
    lines: list[LineView]
    total_nanos: int
    prepaid_nanos: int
    issue_time: str
    rounding_entry_id: int


class ClosedView(BaseModel):
    """A period that was closed, with its invoices (the first 1,000)."""

    period: PeriodView
    invoices: list[InvoiceView]


class InvoicePage(BaseModel):
    """A page of invoices, by advertiser and period."""

    invoices: list[InvoiceView]
    next_page_token: str


class FaultView(BaseModel):
    """Something that must not be; `entry_id` is 0 where it is no entry's."""

    invariant: str
    entry_id: int
    detail: str


class ProofView(BaseModel):
    """What a check found. `next_after_entry_id` is 0 at the end; what the books sum up is compared there."""

    entry_count: int
    head_hash: str
    faults: list[FaultView]
    next_after_entry_id: int


class TracedEventView(BaseModel):
    """An event on the way; `token` is as it was sealed, for admins only."""

    event_type: str
    event_id: str
    log_position: int
    receive_time: str
    event_time: str
    token: str
    token_verified: bool
    decision_id: str
    price_micros: int
    campaign_id: str
    creative_id: str
    placement_id: str


class TraceView(BaseModel):
    """The way from an entry to the signed impression; `gaps` lists what could not be followed."""

    entry: EntryView
    related: list[EntryView]
    order_id: str
    booking_day: str
    events: list[TracedEventView]
    gaps: list[str]


def _period_document(period: Period) -> dict[str, JsonValue]:
    written = asdict(period)
    closed_us = written.pop("close_time_us")
    return {**written, "close_time": format_rfc3339(closed_us) if closed_us is not None else None}


def _invoice_document(invoice: Invoice) -> dict[str, JsonValue]:
    written = asdict(invoice)
    written["issue_time"] = format_rfc3339(written.pop("issue_time_us"))
    return written


@router.post("/v1/payouts", status_code=201, response_model=EntryView)
async def create_payout(body: PayoutCreate, control: Control, caller: Caller, key: Key = None) -> JSONResponse:
    """Pay out what is payable (admin). `Idempotency-Key` is required: it is the payout's id."""
    if key is None:
        raise InvalidArgument.of("/header/idempotency-key", "is required: it names the payout")
    entry = await control.settlement.pay_out(
        caller, key, body.account, currency=body.currency, amount_micros=body.amount_micros
    )
    return JSONResponse({**entry_document(entry), "payout_id": key}, status_code=201)


@router.post("/v1/periods/{period}/close", response_model=ClosedView)
async def close_period(period: Annotated[str, Path(pattern=MONTH)], control: Control, caller: Caller) -> JSONResponse:
    """Close a month and make its invoices (admin); a closed one answers again what was made."""
    closed, invoices = await control.settlement.close_period(caller, period)
    return JSONResponse({"period": _period_document(closed), "invoices": [_invoice_document(one) for one in invoices]})


@router.get("/v1/periods", response_model=PeriodList)
async def list_periods(control: Control, caller: Caller) -> JSONResponse:
    """List accounting periods (admin)."""
    periods = await control.settlement.periods(caller)
    return JSONResponse({"periods": [_period_document(one) for one in periods]})


@router.get("/v1/invoices", response_model=InvoicePage)
async def list_invoices(
    control: Control,
    caller: Caller,
    size: Size = 100,
    page_token: HopToken = "",
    advertiser_id: Tenant = None,
    period: Annotated[Month | None, Query()] = None,
) -> JSONResponse:
    """List invoices by advertiser and period."""
    invoices, token = await control.settlement.invoices(
        caller, advertiser_id=advertiser_id, period=period or "", page_size=size, page_token=page_token
    )
    return JSONResponse({"invoices": [_invoice_document(one) for one in invoices], "next_page_token": token})


@router.get("/v1/ledger/verification", response_model=ProofView)
async def verify_ledger(
    control: Control, caller: Caller, after_entry_id: Annotated[int, Query(ge=0, le=MAX_ENTRY_ID)] = 0
) -> JSONResponse:
    """Recompute the hash chain and every invariant of a stretch of the ledger (admin)."""
    return JSONResponse(asdict(await control.settlement.verify(caller, after_entry_id)))


@router.get("/v1/ledger/entries/{entry_id}/trace", response_model=TraceView)
async def trace_entry(entry_id: EntryId, control: Control, caller: Caller) -> JSONResponse:
    """Walk from an entry to the order, the touches, the tokens and the decision that it rests on."""
    found = await control.settlement.trace(caller, entry_id)
    events = [asdict(one) for one in found.events]
    for event in events:
        for name in ("receive_time", "event_time"):
            event[name] = format_rfc3339(event.pop(f"{name}_us"))
    return JSONResponse(
        {
            "entry": entry_document(found.entry),
            "related": [entry_document(one) for one in found.related],
            "order_id": found.order_id,
            "booking_day": found.booking_day,
            "events": events,
            "gaps": list(found.gaps),
        }
    )
