"""A portrait as a tree in the terminal."""

from typing import Final

from rich.markup import escape
from rich.tree import Tree

from bihuan_cli.portraits.portrait import Event, Mark, Piece, Portrait

MAX_ROWS: Final = 200
"""The most rows of one kind; a person of hundreds of identifiers is better read as JSON or seen as a picture."""

_STYLES: Final = {"person": "blue", "device": "green", "browser": "yellow", "household": "magenta"}


def draw_tree(portrait: Portrait) -> Tree:
    """Identifiers, evidence with the identifiers it connects, and history."""
    aliases = ", ".join(map(str, portrait.alias_person_ids))
    tree = Tree(f"[bold]person {portrait.person_id}[/]" + (f" [dim]also known as {aliases}[/]" if aliases else ""))
    marks = portrait.by_handle()
    own = tree.add(f"identifiers ({len(portrait.marks)})")
    _rows(own, [_mark(mark) for mark in portrait.marks])
    evidence = tree.add(f"evidence ({len(portrait.pieces)})")
    for piece in portrait.pieces[:MAX_ROWS]:
        branch = evidence.add(_piece(piece))
        for handle in piece.handles:
            branch.add(_name(marks[handle]))
    _rest(evidence, len(portrait.pieces))
    _rows(tree.add("history"), [_event(event) for event in portrait.history])
    return tree


def _rows(branch: Tree, rows: list[str]) -> None:
    for row in rows[:MAX_ROWS]:
        branch.add(row)
    _rest(branch, len(rows))


def _rest(branch: Tree, count: int) -> None:
    if count > MAX_ROWS:
        branch.add(f"[dim]and {count - MAX_ROWS:,} more; --json shows all[/]")


def _name(mark: Mark) -> str:
    style = _STYLES.get(mark.scope, "dim")
    quarantined = " [bold red]quarantined[/]" if mark.quarantined else ""
    return f"[{style}]{escape(mark.label)}[/]{quarantined}"


def _mark(mark: Mark) -> str:
    seen = f", first seen {mark.first_seen_time}" if mark.first_seen_time else ""
    return f"{_name(mark)} [dim]{escape(mark.scope)}{seen}[/]"


def _piece(piece: Piece) -> str:
    seen = piece.first_seen_time
    if piece.last_seen_time != seen:
        seen += f" to {piece.last_seen_time}"
    said = f"{escape(piece.source)}, {piece.kind}, confidence {piece.confidence:.3g}"
    return f"#{escape(piece.evidence_id)} {said} [dim]{seen}[/]"


def _event(event: Event) -> str:
    merged = f" {', '.join(map(str, event.merged_person_ids))}" if event.merged_person_ids else ""
    separated = f" gave up {', '.join(map(str, event.separated_person_ids))}" if event.separated_person_ids else ""
    return f"[dim]{event.time}[/] {escape(event.change)}{merged}{separated}"
