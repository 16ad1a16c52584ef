"""Comparing the figures of reports with a recomputation."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class FigureDifference:
    """A figure that is not what it is figured from: the row by the names of its dimensions, held and recomputed."""

    row: tuple[tuple[str, str], ...]
    figure: str
    held: int
    recomputed: int


@dataclass(frozen=True, slots=True)
class FigureAudit:
    """How many rows were compared, up to which position of the log, and what differs."""

    row_count: int
    position: int
    differences: tuple[FigureDifference, ...]


class FigureAuditor(Protocol):
    """The recomputation of reports."""

    async def compare(self) -> FigureAudit:
        """Recompute every figure and compare it with the rollups."""
        ...
