"""`bihuan demo`: fetch, run, print, write `report.json`."""

import asyncio
import json
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bihuan_cli.api import GatewayClient
from bihuan_cli.datasets.catalog import BANDIT, JOURNEY
from bihuan_cli.datasets.fetch import fetch, fetch_progress
from bihuan_cli.demo import DemoRun, demo_progress, run_demo
from bihuan_cli.replay.totals import (
    Reconciliation,
    ReportRow,
    Totals,
    add_up,
    books_total,
    count_entries,
    reconciliation,
    report,
)
from bihuan_cli.stack.local import LocalStack, local_stack
from bihuan_shared.errors import FailedPrecondition

NANOS_PER_UNIT = 1_000_000_000
MICROS_PER_UNIT = 1_000_000
# The replay asks for decisions as fast as they are given, so a request may queue for longer than a live one could wait.
REPLAY_SETTINGS = {"BIHUAN_GATEWAY_DECISION_TIMEOUT_MS": "10000", "BIHUAN_GATEWAY_REQUEST_TIMEOUT_S": "30"}


async def demonstrate(root: Path, cache: Path, *, keep: bool, console: Console) -> None:
    """
    Run the demonstration on the state folder `root`, and write `report.json` there.

    Raises FailedPrecondition where the books do not reconcile.
    """
    started_s = time.monotonic()
    with fetch_progress() as progress:
        journey_folder, bandit_folder = (fetch(data_set, cache, progress) for data_set in (JOURNEY, BANDIT))
    async with local_stack(root, clock="replay", overrides=REPLAY_SETTINGS, say=console.print) as stack:
        with demo_progress() as progress:
            run = await run_demo(stack, journey_folder, bandit_folder, console, progress)
        async with GatewayClient(stack.running.gateway_url, stack.secrets.admin_key) as client:
            rows = await report(client, "advertiser", "campaign", "pricing_model")
            books = await reconciliation(client)
            entries = {model: await count_entries(client, f"bandit-{model}", "charge") for model in ("cpm", "cpc")}
        figures = _figures(run, rows, books, entries, time.monotonic() - started_s)
        (root / "report.json").write_text(json.dumps(figures, indent=2))
        _print(run, rows, books, console)
        console.print(f"report: {root / 'report.json'}")
        if books_total(books)["difference_nanos"] != 0:
            raise FailedPrecondition("the books do not reconcile with the events")
        if keep:
            await _wait(stack, console)


def _figures(
    run: DemoRun, rows: list[ReportRow], books: Reconciliation, entries: Mapping[str, int], duration_s: float
) -> dict[str, object]:
    journey = add_up(rows, advertiser_prefix="journey-")
    bandit = {model: add_up(rows, advertiser_prefix=f"bandit-{model}") for model in ("cpm", "cpc")}
    return {
        "persons": run.persons,
        "decisions": run.journey.decisions,
        "impressions": journey.impressions,
        "clicks": journey.clicks,
        "orders": journey.orders,
        "auc": run.auc,
        "auc_pairs": run.pairs,
        "auc_positives": run.positives,
        "cv_auc": run.cv_auc,
        "model_version": run.model_version,
        "ledger": dict(books_total(books)),
        "unbilled": books.unbilled,
        "obd": {
            "impressions": bandit["cpm"].impressions,
            "clicks": bandit["cpc"].clicks,
            "cpm_entries": entries["cpm"],
            "cpc_entries": entries["cpc"],
        },
        "duration_s": round(duration_s, 1),
    }


def _print(run: DemoRun, rows: list[ReportRow], books: Reconciliation, console: Console) -> None:
    console.print(_funnel(run, rows))
    console.print(_roi([row for row in rows if row.advertiser.startswith("journey-")]))
    console.print(_books(books))
    console.print(
        f"held-out AUC of the served click probability: [bold]{run.auc:.3f}[/] over {run.pairs} later sends "
        f"({run.positives} redeemed); {run.cv_auc:.3f} by cross-validation in training"
    )
    console.print(
        "Real: households, baskets, sends, redemptions (Complete Journey, real-derived); impressions and clicks "
        "(Open Bandit). Synthetic: identifiers, times of clicks, landings, completions, refunds, prices and budgets."
    )


def _funnel(run: DemoRun, rows: list[ReportRow]) -> Table:
    table = Table("", "Complete Journey", "Open Bandit CPM", "Open Bandit CPC", title="Funnel")
    columns = [add_up(rows, advertiser_prefix=prefix) for prefix in ("journey-", "bandit-cpm", "bandit-cpc")]
    asked = [run.journey.decisions, run.bandit["cpm"].impressions, run.bandit["cpc"].impressions]
    table.add_row("decisions", *(f"{count:,}" for count in asked))
    for name in ("impressions", "clicks", "orders"):
        table.add_row(name, *(f"{getattr(column, name):,}" for column in columns))
    table.add_row("spend", *(_money(column) for column in columns))
    return table


def _money(totals: Totals) -> str:
    return f"${totals.spend_nanos / NANOS_PER_UNIT:,.2f}"


def _roi(rows: list[ReportRow]) -> Table:
    table = Table("campaign", "pricing", "impressions", "clicks", "orders", "order value", "spend", "ROI", title="ROI")
    for row in sorted(rows, key=lambda row: (row.pricing_model, row.campaign)):
        table.add_row(
            row.campaign,
            row.pricing_model,
            f"{row.impressions:,}",
            f"{row.clicks:,}",
            f"{row.orders:,}",
            f"${row.order_value_micros / MICROS_PER_UNIT:,.2f}",
            f"${row.spend_nanos / NANOS_PER_UNIT:,.2f}",
            row.roi or "",
        )
    return table


def _books(books: Reconciliation) -> Table:
    table = Table("currency", "debits", "credits", "charged", "fold over events", "difference", title="Books (nanos)")
    for item in books.currencies:
        figures = (
            item.debit_nanos,
            item.credit_nanos,
            item.ledger_charged_nanos,
            item.fold_charged_nanos,
            item.difference_nanos,
        )
        table.add_row(item.currency, *(f"{figure:,}" for figure in figures))
    for reason, count in sorted(books.unbilled.items()):
        table.add_row("", "", "", "", f"not billed: {reason}", f"{count:,}")
    return table


async def _wait(stack: LocalStack, console: Console) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    console.print(f"up at {stack.running.gateway_url}, key {stack.secrets.admin_key}; Ctrl-C stops it")
    await stopped.wait()
