"""Small plots as SVG text: lines, points with intervals, bars. Texts are escaped."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH_PX: Final = 380
HEIGHT_PX: Final = 280
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 52, 14, 30, 42
TICKS: Final = 5
BAR_PX: Final = 18
NAME_PX: Final = 250
LINE: Final = "#1864ab"
FAINT: Final = "#adb5bd"

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Frame:
    """A plot's title, the names of its axes, and their upper ends; both begin at 0."""

    title: str
    x_name: str
    y_name: str
    x_top: float = 1.0
    y_top: float = 1.0

    def x(self, value: float) -> float:
        """Pixels from the left."""
        return LEFT_PX + value / self.x_top * (WIDTH_PX - LEFT_PX - RIGHT_PX)

    def y(self, value: float) -> float:
        """Pixels from the top."""
        return HEIGHT_PX - BOTTOM_PX - value / self.y_top * (HEIGHT_PX - TOP_PX - BOTTOM_PX)

    def drawn(self, body: Sequence[str]) -> str:
        """The whole plot."""
        parts = [_text(WIDTH_PX / 2, 16, self.title, anchor="middle", weight="bold")]
        for tick in range(TICKS + 1):
            share = tick / TICKS
            x, y = self.x(share * self.x_top), self.y(share * self.y_top)
            parts += [
                f'<line x1="{x:.1f}" y1="{self.y(0):.1f}" x2="{x:.1f}" y2="{TOP_PX}" stroke="#e9ecef"/>',
                f'<line x1="{LEFT_PX}" y1="{y:.1f}" x2="{WIDTH_PX - RIGHT_PX}" y2="{y:.1f}" stroke="#e9ecef"/>',
                _text(x, HEIGHT_PX - BOTTOM_PX + 14, f"{share * self.x_top:.3g}", anchor="middle"),
                _text(LEFT_PX - 5, y + 3, f"{share * self.y_top:.3g}", anchor="end"),
            ]
        parts += [
            _text(WIDTH_PX / 2, HEIGHT_PX - 8, self.x_name, anchor="middle"),
            _text(8, TOP_PX - 8, self.y_name),
            *body,
        ]
        return _svg(WIDTH_PX, HEIGHT_PX, self.title, parts)


def line_plot(frame: Frame, points: Sequence[Point], *, diagonal: bool = True) -> str:
    """A line through points, with the diagonal that says nothing behind it."""
    body = [_diagonal(frame)] if diagonal else []
    path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in points)
    return frame.drawn([*body, f'<polyline points="{path}" fill="none" stroke="{LINE}" stroke-width="2"/>'])


def interval_plot(frame: Frame, points: Sequence[Point], intervals: Sequence[Point]) -> str:
    """Points with vertical intervals, and the diagonal on which they should lie."""
    body = [_diagonal(frame)]
    for (x, y), (low, high) in zip(points, intervals, strict=True):
        at = frame.x(x)
        body += [
            f'<line x1="{at:.1f}" y1="{frame.y(low):.1f}" x2="{at:.1f}" y2="{frame.y(high):.1f}" stroke="{LINE}"/>',
            f'<circle cx="{at:.1f}" cy="{frame.y(y):.1f}" r="3.5" fill="{LINE}"/>',
        ]
    return frame.drawn(body)


def histogram_plot(frame: Frame, edges: Sequence[float], counts: Sequence[int]) -> str:
    """Bars between edges."""
    body = []
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        left, top = frame.x(low), frame.y(count)
        size = f'width="{max(0.0, frame.x(high) - left - 1):.1f}" height="{frame.y(0) - top:.1f}"'
        body.append(f'<rect x="{left:.1f}" y="{top:.1f}" {size} fill="{LINE}"/>')
    return frame.drawn(body)


def bar_plot(title: str, bars: Sequence[tuple[str, float]]) -> str:
    """Named horizontal bars, to the right for more and to the left for less, each with its value."""
    widest = max((abs(value) for _, value in bars), default=0.0) or 1.0
    width, half = 640, 150
    zero = NAME_PX + half + 30
    parts = [_text(width / 2, 16, title, anchor="middle", weight="bold")]
    for place, (name, value) in enumerate(bars):
        top = TOP_PX + place * BAR_PX
        length = abs(value) / widest * half
        left = zero if value >= 0 else zero - length
        colour = LINE if value >= 0 else "#c92a2a"
        parts += [
            _text(NAME_PX, top + 11, name, anchor="end"),
            f'<rect x="{left:.1f}" y="{top}" width="{length:.1f}" height="{BAR_PX - 4}" fill="{colour}"/>',
            _text(width - 4, top + 11, f"{value:+.3f}", anchor="end"),
        ]
    return _svg(width, TOP_PX + len(bars) * BAR_PX + 8, title, parts)


def _diagonal(frame: Frame) -> str:
    end = min(frame.x_top, frame.y_top)
    return (
        f'<line x1="{frame.x(0):.1f}" y1="{frame.y(0):.1f}" x2="{frame.x(end):.1f}" y2="{frame.y(end):.1f}"'
        f' stroke="{FAINT}" stroke-dasharray="5 4"/>'
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'


def _svg(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    head = f'<svg role="img" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    return "\n".join([head, f"<title>{escape(title)}</title>", *parts, "</svg>"])
