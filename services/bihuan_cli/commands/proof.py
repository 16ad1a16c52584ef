"""`bihuan ledger verify` and `bihuan ledger trace`: whether the books hold, and what an entry of them rests on."""

from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from bihuan_cli.commands.data import running_client
from bihuan_cli.commands.settlement_answers import Entry, Proof, Trace, TracedEvent
from bihuan_cli.commands.terminal import STATE, AsJson, State, console, run

MAX_FAULTS: Final = 100
EntryId = Annotated[int, typer.Argument(min=1, help="Number of the entry.", show_default=False)]


def verify(state: State = STATE, *, as_json: AsJson = False) -> None:
    """
    Check the hash chain and every invariant of the books; ends with 1 where something is broken, and names it.

    Keep the head hash that it prints somewhere else: it stands for every entry so far.
    """
    proof = run(fetch_proof(state))
    if as_json:
        console.print_json(msgspec.json.encode(proof).decode())
    else:
        if proof.faults:
            table = Table("invariant", "entry", "what was found", title="Faults")
            for fault in proof.faults:
                table.add_row(fault.invariant, str(fault.entry_id or ""), escape(fault.detail))
            console.print(table)
        verdict = f"[red]{len(proof.faults)} faults[/]" if proof.faults else "[green]no fault[/]"
        console.print(f"{proof.entry_count:,} entries, {verdict}")
        console.print(f"head {proof.head_hash}", highlight=False, soft_wrap=True)
    if proof.faults:
        raise typer.Exit(1)


async def fetch_proof(state: Path) -> Proof:
    """Check stretch by stretch to the end of the ledger, or to where a hundred faults were found."""
    client, _ = running_client(state)
    whole = Proof(0, "", [])
    async with client:
        while True:
            params = [("after_entry_id", str(whole.next_after_entry_id))]
            part = await client.get("/v1/ledger/verification", Proof, params=params)
            faults = [*whole.faults, *part.faults]
            whole = Proof(
                whole.entry_count + part.entry_count, part.head_hash, faults[:MAX_FAULTS], part.next_after_entry_id
            )
            if not part.next_after_entry_id or len(faults) >= MAX_FAULTS:
                return whole


def trace(entry_id: EntryId, state: State = STATE, *, as_json: AsJson = False) -> None:
    """Walk from an entry to the order, the touches, the tokens and the decision; ends with 1 where the way has gaps."""
    found = run(fetch_trace(state, entry_id))
    if as_json:
        console.print_json(msgspec.json.encode(found).decode())
    else:
        console.print(draw_trace(found), highlight=False)
    if found.gaps:
        raise typer.Exit(1)


async def fetch_trace(state: Path, entry_id: int) -> Trace:
    """Ask for the trace of one entry; InvalidArgument where there is no such entry."""
    client, _ = running_client(state)
    async with client:
        return await client.get(f"/v1/ledger/entries/{entry_id}/trace", Trace)


def draw_trace(found: Trace) -> Tree:
    """The way from an entry to its signed impression as a tree: an event is under the token that it came with."""
    tree = Tree(_entry_line(found.entry))
    for posting in found.entry.postings:
        tree.add(f"{escape(posting.account)} {posting.amount_nanos:,}")
    if found.related:
        related = tree.add(f"related entries: {len(found.related)}")
        for one in found.related:
            related.add(_entry_line(one))
    if found.booking_day:
        tree.add(f"booked day {escape(found.booking_day)}")
    reports = [one for one in found.events if not one.campaign_id]
    if found.order_id:
        order = tree.add(f"order {escape(found.order_id)}")
        for report in reports:
            order.add(f"{report.event_type} {escape(report.event_id)}, received {report.receive_time}")
    for token_id in dict.fromkeys(one.event_id for one in found.events if one.campaign_id):
        _add_token(tree, [one for one in found.events if one.campaign_id and one.event_id == token_id])
    for gap in found.gaps:
        tree.add(f"[red]gap:[/] {escape(gap)}")
    return tree


def _entry_line(entry: Entry) -> str:
    adjusted = " as an adjustment" if entry.adjustment else ""
    cause = escape(f"{entry.cause_type} {entry.cause_id}")
    return f"[bold]{entry.entry_id}[/] {entry.kind} by {cause}, booked in {entry.period}{adjusted} ({entry.currency})"


def _add_token(tree: Tree, events: list[TracedEvent]) -> None:
    first = events[0]
    branch = tree.add(
        escape(f"token {first.event_id}: campaign {first.campaign_id}, {first.price_micros:,} micros")
        + escape(f", decision {first.decision_id}" if first.decision_id else ", a promoter's link")
    )
    for one in events:
        verdict = "[green]token verified[/]" if one.token_verified else "[red]token not verified[/]"
        branch.add(f"{one.event_type} at log position {one.log_position}, received {one.receive_time}: {verdict}")
