"""A portrait as a Graphviz graph."""

from collections.abc import Iterator
from typing import Final

from bihuan_cli.portraits.colours import COLOURS, QUARANTINED, stroke_width
from bihuan_cli.portraits.portrait import Mark, Piece, Portrait

_HEAD: Final = (
    "  graph [layout=neato, overlap=false, splines=true, outputorder=edgesfirst];",
    '  node [shape=box, style="rounded,filled", fontname="sans-serif", fontsize=10, fontcolor="#212529", penwidth=0];',
    '  edge [color="#868e96", fontname="sans-serif", fontsize=8];',
)


def draw_dot(portrait: Portrait) -> str:
    """DOT text: identifiers are nodes; two of them tied by evidence share an edge, more meet in a point."""
    names = {mark.handle: f"i{at}" for at, mark in enumerate(portrait.marks)}
    lines = [f"graph {_quoted(f'person {portrait.person_id}')} {{", *_HEAD]
    lines += [f"  {names[mark.handle]} [{_node(mark)}];" for mark in portrait.marks]
    for at, piece in enumerate(portrait.pieces):
        lines += [f"  {line}" for line in _edges(f"e{at}", piece, names)]
    return "\n".join([*lines, "}", ""])


def _node(mark: Mark) -> str:
    ring = f', penwidth=3, color="{QUARANTINED}"' if mark.quarantined else ""
    label = mark.label.replace(" ", "\n")
    return f'label={_quoted(label)}, fillcolor="{COLOURS[mark.scope]}"{ring}'


def _edges(centre: str, piece: Piece, names: dict[str, str]) -> Iterator[str]:
    style = "dashed" if piece.kind == "probabilistic" else "solid"
    look = f"penwidth={stroke_width(piece.confidence):.2f}, style={style}"
    label = _quoted(f"{piece.source} {piece.confidence:.3g}")
    match piece.handles:
        case (one, other):
            yield f"{names[one]} -- {names[other]} [{look}, label={label}];"
        case _:
            yield f'{centre} [shape=point, width=0.06, fillcolor="#868e96", xlabel={label}, fontsize=8];'
            for handle in piece.handles:
                yield f"{centre} -- {names[handle]} [{look}];"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
