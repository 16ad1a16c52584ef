"""`bihuan ledger reconcile`: the books of a stack that runs."""

import time
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from bihuan_cli.commands.data import running_client
from bihuan_cli.replay.totals import books_total, reconciliation
from bihuan_shared.clock import parse_rfc3339_us


def cut_off_us(text: str) -> int:
    """The instant that a text names in microseconds since the epoch; now for an empty text."""
    return parse_rfc3339_us(text) if text else time.time_ns() // 1_000


async def reconcile(state: Path, console: Console, *, as_json: bool) -> bool:
    """Print the comparison; True where the books and the events agree to the nano."""
    client, _ = running_client(state)
    async with client:
        books = await reconciliation(client)
    if as_json:
        console.print_json(msgspec.json.encode(books).decode())
    else:
        table = Table("currency", "ledger", "fold over events", "difference", title="Reconciliation (nanos)")
        for item in books.currencies:
            figures = (item.ledger_charged_nanos, item.fold_charged_nanos, item.difference_nanos)
            table.add_row(item.currency, *(f"{figure:,}" for figure in figures))
        console.print(table)
        for reason, count in sorted(books.unbilled.items()):
            console.print(f"not billed, {reason}: {count:,}")
    return books_total(books)["difference_nanos"] == 0
