"""What the platform says happened: read back through its reports and its ledger, never counted here."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from bihuan_cli.api import GatewayClient

PAGE_SIZE = "1000"


class ReportRow(msgspec.Struct):
    """One row of `GET /v1/reports`; a dimension that was not asked for is empty."""

    currency: str
    impressions: int
    clicks: int
    landings: int
    orders: int
    order_value_micros: int
    spend_nanos: int
    overrun_nanos: int
    roi: str | None = None
    advertiser: str = ""
    campaign: str = ""
    creative: str = ""
    placement: str = ""
    pricing_model: str = ""
    day: str = ""
    hour: str = ""


class ReportAnswer(msgspec.Struct):
    """The answer of `GET /v1/reports`."""

    rows: list[ReportRow]
    next_page_token: str = ""


class CurrencyBooks(msgspec.Struct):
    """One currency of `GET /v1/ledger/reconciliation`."""

    currency: str
    debit_nanos: int
    credit_nanos: int
    ledger_charged_nanos: int
    fold_charged_nanos: int
    difference_nanos: int


class AccountBooks(msgspec.Struct):
    """One account of `GET /v1/ledger/reconciliation`."""

    currency: str
    account: str
    ledger_nanos: int
    fold_nanos: int
    difference_nanos: int


class Reconciliation(msgspec.Struct):
    """The answer of `GET /v1/ledger/reconciliation`."""

    currencies: list[CurrencyBooks]
    unbilled: dict[str, int]
    head_position: int
    consumers: dict[str, int]
    accounts: list[AccountBooks] = []
    compared_position: int = 0
    billed_count: int = 0


class EntryPosting(msgspec.Struct):
    """One side of an entry."""

    account: str
    amount_nanos: int


class Entry(msgspec.Struct):
    """One entry of `GET /v1/ledger/entries`."""

    kind: str


class EntriesAnswer(msgspec.Struct):
    """The answer of `GET /v1/ledger/entries`."""

    entries: list[Entry]
    next_page_token: str = ""


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums of report rows."""

    impressions: int
    clicks: int
    orders: int
    order_value_micros: int
    spend_nanos: int


async def report(client: GatewayClient, *dimensions: str) -> list[ReportRow]:
    """Every row of a report by the dimensions given."""
    rows: list[ReportRow] = []
    params = [*(("dimensions", name) for name in dimensions), ("page_size", PAGE_SIZE)]
    token = ""
    while True:
        page = [*params, ("page_token", token)] if token else params
        answer = await client.get("/v1/reports", ReportAnswer, params=page)
        rows.extend(answer.rows)
        if not answer.next_page_token:
            return rows
        token = answer.next_page_token


async def count_entries(client: GatewayClient, advertiser_id: str, kind: str) -> int:
    """How many ledger entries of a kind touch an advertiser."""
    count = 0
    params = [("advertiser_id", advertiser_id), ("page_size", PAGE_SIZE)]
    token = ""
    while True:
        page = [*params, ("page_token", token)] if token else params
        answer = await client.get("/v1/ledger/entries", EntriesAnswer, params=page)
        count += sum(entry.kind == kind for entry in answer.entries)
        if not answer.next_page_token:
            return count
        token = answer.next_page_token


async def reconciliation(client: GatewayClient) -> Reconciliation:
    """The books against the fold over the event lake."""
    return await client.get("/v1/ledger/reconciliation", Reconciliation)


async def positions(client: GatewayClient) -> Reconciliation:
    """Where the consumers of the event log are; nothing is compared, so it may be asked often."""
    return await client.get("/v1/ledger/reconciliation", Reconciliation, params=[("positions_only", "true")])


def add_up(rows: list[ReportRow], *, advertiser_prefix: str) -> Totals:
    """Sum the rows of advertisers whose id starts with a prefix."""
    chosen = [row for row in rows if row.advertiser.startswith(advertiser_prefix)]
    return Totals(
        impressions=sum(row.impressions for row in chosen),
        clicks=sum(row.clicks for row in chosen),
        orders=sum(row.orders for row in chosen),
        order_value_micros=sum(row.order_value_micros for row in chosen),
        spend_nanos=sum(row.spend_nanos for row in chosen),
    )


def books_total(books: Reconciliation) -> Mapping[str, int]:
    """Debits, credits and the difference, summed over currencies (each must be 0 by itself, so a sum hides nothing)."""
    return {
        "debit_nanos": sum(item.debit_nanos for item in books.currencies),
        "credit_nanos": sum(item.credit_nanos for item in books.currencies),
        "difference_nanos": sum(abs(item.difference_nanos) for item in books.currencies),
    }
