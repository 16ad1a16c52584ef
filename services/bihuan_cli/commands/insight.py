"""`bihuan ledger reconcile`: the books of a stack that runs."""

import time
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from bihuan_cli.commands.data import running_client
from bihuan_cli.replay.totals import Reconciliation, books_total, reconciliation
from bihuan_shared.clock import parse_rfc3339_us

RECONCILE_TIMEOUT_S: Final = 150.0
"""The whole lake is read; the gateway gives up before."""

MISSING: Final = "missing_in_lake"
"""The reason under which events are counted that the lake does not hold."""


def cut_off_us(text: str) -> int:
    """The instant that a text names in microseconds since the epoch; now for an empty text."""
    return parse_rfc3339_us(text) if text else time.time_ns() // 1_000


async def reconcile(state: Path, console: Console, *, as_json: bool) -> bool:
    """Print the comparison; True where the books and the lake agree to the nano, and the lake lacks no event."""
    client, _ = running_client(state, timeout_s=RECONCILE_TIMEOUT_S)
    async with client:
        books = await reconciliation(client)
    if as_json:
        console.print_json(msgspec.json.encode(books).decode())
    else:
        _print_books(books, console)
    differences = books_total(books)["difference_nanos"], *(one.difference_nanos for one in books.accounts)
    return not any(differences) and MISSING not in books.unbilled


def _print_books(books: Reconciliation, console: Console) -> None:
    table = Table("currency", "account", "ledger", "fold over the lake", "difference", title="Reconciliation (nanos)")
    for item in books.currencies:
        figures = (item.ledger_charged_nanos, item.fold_charged_nanos, item.difference_nanos)
        table.add_row(item.currency, "charged; all differences", *(f"{figure:,}" for figure in figures))
    for one in books.accounts:
        amounts = (one.ledger_nanos, one.fold_nanos, one.difference_nanos)
        table.add_row(one.currency, one.account, *(f"{amount:,}" for amount in amounts))
    console.print(table)
    console.print(f"compared at position {books.compared_position:,}; billed: {books.billed_count:,}")
    for reason, count in sorted(books.unbilled.items()):
        console.print(f"not billed, {reason}: {count:,}")
