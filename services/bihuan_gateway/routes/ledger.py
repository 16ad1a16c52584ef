"""The ledger and its reconciliation."""

from dataclasses import asdict
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Annotated

from fastapi import Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, JsonValue

from bihuan_gateway.control.fields import Moment, ResourceId
from bihuan_gateway.control.insight import NANOS_PER_MICRO, EntryQuery, LedgerEntry
from bihuan_gateway.routes.wire import Caller, Control, Size, Tenant, control_router
from bihuan_shared.clock import format_rfc3339, parse_rfc3339_us

router = control_router("insight")

HopToken = Annotated[
    str, Query(max_length=256, pattern=r"^[!-~]*$", description="`next_page_token` of the answer before")
]

AsOf = Annotated[Moment | None, Query(description="what was believed then: only what was booked by this time")]
OrderId = Annotated[str | None, Query(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]
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
    book_time: str
    period: str
    adjustment: bool
    order_id: str
    log_position: int
    entry_hash: str


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


def to_micros(nanos: int) -> int:
    """Round nanos to micros, half-even; for show only, the nanos stand beside it."""
    return int((Decimal(nanos) / NANOS_PER_MICRO).to_integral_value(ROUND_HALF_EVEN))


def entry_document(entry: LedgerEntry) -> dict[str, JsonValue]:
    """Write a ledger entry."""
    written = asdict(entry)
    for name in ("entry_time", "book_time"):
        written[name] = format_rfc3339(written.pop(f"{name}_us"))
    return written


@router.get("/v1/ledger/entries", response_model=EntryPage)
async def list_entries(
    control: Control,
    caller: Caller,
    size: Size = 100,
    page_token: HopToken = "",
    advertiser_id: Tenant = None,
    campaign_id: ResourceId | None = None,
    order_id: OrderId = None,
    as_of_time: AsOf = None,
) -> JSONResponse:
    """List ledger entries, oldest first."""
    as_of_us = parse_rfc3339_us(as_of_time) if as_of_time is not None else None
    query = EntryQuery(advertiser_id, campaign_id, order_id, as_of_us, size, page_token)
    entries, token = await control.effects.entries(caller, query)
    return JSONResponse({"entries": [entry_document(entry) for entry in entries], "next_page_token": token})


@router.get("/v1/ledger/reconciliation", response_model=ReconciliationView)
async def reconcile(control: Control, caller: Caller, *, positions_only: PositionsOnly = False) -> JSONResponse:
    """Compare the ledger with an independent fold over the event lake (admin)."""
    return JSONResponse(asdict(await control.effects.reconcile(caller, positions_only=positions_only)))
