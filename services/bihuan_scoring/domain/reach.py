"""How many persons an expression reaches, as it may be told."""

from typing import Final

FLOOR: Final = 50
"""Fewer persons are not told, so that no expression singles anybody out."""
_STEP: Final = 10


def told_reach(count: int) -> int | None:
    """The count to the nearest ten, the higher one in the middle; None below the floor."""
    return None if count < FLOOR else (count + _STEP // 2) // _STEP * _STEP
