"""How scopes and confidences look in pictures."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from bihuan_cli.portraits.portrait import OUTSIDE

COLOURS: Final[Mapping[str, str]] = defaultdict(
    lambda: "#ced4da",
    {"person": "#748ffc", "device": "#38d9a9", "browser": "#ffd43b", "household": "#da77f2", OUTSIDE: "#ced4da"},
)
"""Fill of an identifier by what one value of its namespace stands for."""

QUARANTINED: Final = "#e03131"
"""The ring of an identifier that nothing merges through."""


def stroke_width(confidence: float) -> float:
    """The width of an edge, in points or pixels: 0.8 for next to nothing, 4 for certainty."""
    return 0.8 + 3.2 * min(max(confidence, 0.0), 1.0)
