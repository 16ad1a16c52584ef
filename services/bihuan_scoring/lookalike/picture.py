"""The size-precision curve as a picture: SVG, without anything that has to be loaded."""

import math
from collections.abc import Sequence
from html import escape
from typing import Final

from bihuan_scoring.lookalike.curve import CurvePoint

_WIDTH: Final = 640
_HEIGHT: Final = 360
_LEFT: Final = 60
_RIGHT: Final = 20
_TOP: Final = 40
_BOTTOM: Final = 50
_SERIES: Final = (("precision", "#1f6feb"), ("recall", "#b35900"))


def curve_svg(points: Sequence[CurvePoint], title: str) -> str:
    """Estimated precision and the share of held-out seeds against the size on a logarithmic axis."""
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
            f'font-family="sans-serif" font-size="12"><title>{escape(title)}</title>'
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>'
            f'<text x="{_LEFT}" y="20" font-size="14">{escape(title)}</text>'
        )
    ]
    parts += [_level(level) for level in (0.0, 0.25, 0.5, 0.75, 1.0)]
    if points:
        low = math.log10(max(1, min(point.size for point in points)))
        high = math.log10(max(2, *(point.size for point in points)))
        span = max(high - low, 1e-9)
        across = [_LEFT + (math.log10(max(1, p.size)) - low) / span * (_WIDTH - _LEFT - _RIGHT) for p in points]
        for power in range(math.ceil(low), math.floor(high) + 1):
            x = _LEFT + (power - low) / span * (_WIDTH - _LEFT - _RIGHT)
            parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{10**power:,}</text>')
        for place, (name, colour) in enumerate(_SERIES):
            values = [float(getattr(point, name)) for point in points]
            line = " ".join(f"{x:.1f},{_down(value):.1f}" for x, value in zip(across, values, strict=True))
            label = f'<text x="{_WIDTH - 160}" y="{_TOP + 16 * place + 4}" fill="{colour}">{name}</text>'
            parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>{label}')
    parts.append(f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 10}" text-anchor="middle">persons in the package</text></svg>')
    return "".join(parts)


def _down(value: float) -> float:
    return _HEIGHT - _BOTTOM - value * (_HEIGHT - _TOP - _BOTTOM)


def _level(level: float) -> str:
    y = _down(level)
    return (
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#d0d7de"/>'
        f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{level:.0%}</text>'
    )
