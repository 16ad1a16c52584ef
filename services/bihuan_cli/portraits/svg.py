"""A portrait as an SVG picture, drawn without any other program."""

from collections.abc import Iterator
from typing import Final
from xml.sax.saxutils import escape

import numpy as np

from bihuan_cli.portraits.colours import COLOURS, QUARANTINED, stroke_width
from bihuan_cli.portraits.layout import Places, place
from bihuan_cli.portraits.portrait import Mark, Piece, Portrait

EDGE_PX: Final = 112
RADIUS_PX: Final = 13
MARGIN_PX: Final = 70
LEGEND_PX: Final = 34
MIN_WIDTH_PX: Final = 820
MAX_LABELLED: Final = 40
"""With more identifiers than this, labels would cover each other; they remain as tool tips."""

_STYLE: Final = "font-family:sans-serif;font-size:10px;fill:#343a40"


def draw_svg(portrait: Portrait) -> str:
    """SVG text: identifiers coloured by scope, evidence as lines between them, wider the surer it is."""
    places = _places(portrait)
    width, height = (float(size) for size in places.max(axis=0) + MARGIN_PX)
    width = max(width, MIN_WIDTH_PX)
    at = {mark.handle: places[index] for index, mark in enumerate(portrait.marks)}
    centres = iter(places[len(portrait.marks) :])
    body: list[str] = []
    for piece in portrait.pieces:
        body += _piece(piece, at, centres)
    labelled = len(portrait.marks) <= MAX_LABELLED
    for mark in portrait.marks:
        body += _mark(mark, at[mark.handle], labelled=labelled)
    body += _legend(portrait, height)
    total = height + LEGEND_PX
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{total:.0f}"'
    return "\n".join(
        [
            f'{head} viewBox="0 0 {width:.0f} {total:.0f}" style="{_STYLE}">',
            f"<title>person {portrait.person_id}</title>",
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            *body,
            "</svg>\n",
        ]
    )


def _places(portrait: Portrait) -> Places:
    """Where identifiers stand, then where the members of each piece of three or more meet; in pixels, above 0."""
    index = {mark.handle: at for at, mark in enumerate(portrait.marks)}
    count = len(index)
    edges: list[tuple[int, int]] = []
    for piece in portrait.pieces:
        if _is_line(piece):
            edges.append((index[piece.handles[0]], index[piece.handles[1]]))
        else:
            edges += [(count, index[handle]) for handle in piece.handles]
            count += 1
    places = place(count, edges) * EDGE_PX
    # A picture is rather wide than high.
    spread = np.ptp(places, axis=0)
    if spread[1] > spread[0]:
        places = places[:, ::-1]
    offset = np.array([max(MARGIN_PX, (MIN_WIDTH_PX - spread.max()) / 2), MARGIN_PX])
    return np.asarray(places - places.min(axis=0) + offset)


def _is_line(piece: Piece) -> bool:
    return len(piece.handles) == 2  # noqa: PLR2004 - two ends


def _piece(piece: Piece, at: dict[str, Places], centres: Iterator[Places]) -> list[str]:
    dashes = ' stroke-dasharray="5 4"' if piece.kind == "probabilistic" else ""
    look = f'stroke="#adb5bd" stroke-width="{stroke_width(piece.confidence):.2f}" stroke-linecap="round"{dashes}'
    seen = f"{piece.first_seen_time} to {piece.last_seen_time}"
    said = escape(f"#{piece.evidence_id} {piece.source}, {piece.kind}, confidence {piece.confidence:.3g}, {seen}")
    if _is_line(piece):
        ends = [(at[piece.handles[0]], at[piece.handles[1]])]
        dot = ""
    else:
        centre = next(centres)
        ends = [(centre, at[handle]) for handle in piece.handles]
        dot = f'<circle cx="{centre[0]:.1f}" cy="{centre[1]:.1f}" r="4" fill="#868e96"/>'
    lines = (
        f'<line x1="{one[0]:.1f}" y1="{one[1]:.1f}" x2="{other[0]:.1f}" y2="{other[1]:.1f}" {look}/>'
        for one, other in ends
    )
    return [f"<g><title>{said}</title>", *lines, dot, "</g>"]


def _mark(mark: Mark, where: Places, *, labelled: bool) -> list[str]:
    x, y = where
    ring = f'stroke="{QUARANTINED}" stroke-width="4"' if mark.quarantined else 'stroke="#ffffff" stroke-width="2"'
    state = ", quarantined" if mark.quarantined else ""
    lines = [f"<g><title>{escape(f'{mark.label}, {mark.scope}{state}')}</title>"]
    lines.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{RADIUS_PX}" fill="{COLOURS[mark.scope]}" {ring}/>')
    if labelled:
        halo = 'text-anchor="middle" paint-order="stroke" stroke="#ffffff" stroke-width="3"'
        for row, text in enumerate(mark.label.split(" ")):
            lines.append(f'<text x="{x:.1f}" y="{y + RADIUS_PX + 11 + 11 * row:.1f}" {halo}>{escape(text)}</text>')
    return [*lines, "</g>"]


def _legend(portrait: Portrait, top: float) -> list[str]:
    lines: list[str] = []
    x, y = 24.0, top + LEGEND_PX / 2
    for scope in dict.fromkeys(mark.scope for mark in portrait.marks):
        lines.append(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="6" fill="{COLOURS[scope]}"/>')
        lines.append(f'<text x="{x + 11:.0f}" y="{y + 3.5:.0f}">{escape(scope)}</text>')
        x += 34 + 6.2 * len(scope)
    entries = (
        ("certain", f'stroke-width="{stroke_width(1):.1f}"'),
        ("unsure", f'stroke-width="{stroke_width(0.2):.1f}"'),
        ("probabilistic", 'stroke-width="2" stroke-dasharray="5 4"'),
    )
    for text, look in entries:
        lines.append(f'<line x1="{x - 6:.0f}" y1="{y:.0f}" x2="{x + 16:.0f}" y2="{y:.0f}" stroke="#adb5bd" {look}/>')
        lines.append(f'<text x="{x + 22:.0f}" y="{y + 3.5:.0f}">{text}</text>')
        x += 44 + 6.2 * len(text)
    lines.append(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="5" fill="none" stroke="{QUARANTINED}" stroke-width="3"/>')
    lines.append(f'<text x="{x + 11:.0f}" y="{y + 3.5:.0f}">quarantined</text>')
    return lines
