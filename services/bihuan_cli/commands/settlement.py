"""`bihuan ledger close`, `invoices` and `payout`."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from bihuan_cli.commands.data import running_client
from bihuan_cli.commands.settlement_answers import PAGE_SIZE, Closed, Entry, Invoice, InvoicePage
from bihuan_cli.commands.terminal import STATE, AsJson, State, console, run

NANOS_PER_UNIT = 10**9
MonthName = Annotated[str, typer.Argument(help="The month in UTC, YYYY-MM.", show_default=False)]
Advertiser = Annotated[str, typer.Option(help="Only of this advertiser.")]
OfPeriod = Annotated[str, typer.Option("--period", help="Only of this month, YYYY-MM.")]
Account = Annotated[str, typer.Argument(help="promoter:payable:ID or publisher:payable:ID.", show_default=False)]
Amount = Annotated[int, typer.Argument(min=1, help="How much, in micros.", show_default=False)]
CurrencyCode = Annotated[str, typer.Argument(help="ISO 4217 code.", show_default=False)]
PayoutId = Annotated[str, typer.Option("--id", help="Names the payout for ever: the same id pays once.")]


def close(period: MonthName, state: State = STATE, *, as_json: AsJson = False) -> None:
    """Close a month and make its invoices; a closed one answers again what was made."""
    closed = run(_close(state, period))
    if as_json:
        console.print_json(msgspec.json.encode(closed).decode())
        return
    held = closed.period
    console.print(f"{held.period} was closed at {held.close_time}, up to entry {held.last_entry_id}", highlight=False)
    console.print(f"head {held.head_hash}", highlight=False, soft_wrap=True)
    console.print(_invoice_table(closed.invoices))


async def _close(state: Path, period: str) -> Closed:
    client, _ = running_client(state)
    async with client:
        return await client.post(f"/v1/periods/{period}/close", {}, Closed)


def invoices(
    state: State = STATE, advertiser: Advertiser = "", period: OfPeriod = "", *, as_json: AsJson = False
) -> None:
    """List invoices."""
    found = run(_invoices(state, advertiser, period))
    if as_json:
        console.print_json(msgspec.json.encode(found).decode())
    else:
        console.print(_invoice_table(found))


async def _invoices(state: Path, advertiser_id: str, period: str) -> list[Invoice]:
    client, _ = running_client(state)
    asked = [("advertiser_id", advertiser_id), ("period", period), ("page_size", str(PAGE_SIZE))]
    params = [(name, value) for name, value in asked if value]
    found: list[Invoice] = []
    async with client:
        token = ""
        while True:
            page = await client.get("/v1/invoices", InvoicePage, params=[*params, ("page_token", token)])
            found += page.invoices
            token = page.next_page_token
            if not token:
                return found


def payout(
    account: Account,
    amount_micros: Amount,
    currency: CurrencyCode,
    payout_id: PayoutId,
    state: State = STATE,
    *,
    as_json: AsJson = False,
) -> None:
    """Pay out what is payable to a promoter or a publisher."""
    entry = run(_pay_out(state, payout_id, {"account": account, "amount_micros": amount_micros, "currency": currency}))
    if as_json:
        console.print_json(msgspec.json.encode(entry).decode())
    else:
        console.print(f"entry {entry.entry_id}: {payout_id} of {entry.book_time}", highlight=False)


async def _pay_out(state: Path, payout_id: str, body: dict[str, object]) -> Entry:
    client, _ = running_client(state)
    async with client:
        return await client.post("/v1/payouts", body, Entry, key=payout_id)


def _invoice_table(found: list[Invoice]) -> Table:
    table = Table("invoice", "campaign", "model", "entries", "exact", "rounded", "currency", title="Invoices")
    for one in found:
        for line in one.lines:
            model = f"{line.pricing_model} adjustment" if line.adjustment else line.pricing_model
            amounts = (_units(line.amount_nanos), _units(line.rounded_nanos))
            table.add_row(one.invoice_id, line.campaign_id, model, f"{line.entry_count:,}", *amounts, one.currency)
        prepaid = f"{_units(one.prepaid_nanos)} prepaid"
        table.add_row(one.invoice_id, "[bold]total[/]", "", "", prepaid, _units(one.total_nanos), one.currency)
        table.add_section()
    return table


def _units(nanos: int) -> str:
    return f"{Decimal(nanos) / NANOS_PER_UNIT:,f}"
