"""Days that are sold (CPD): whose advertisement is shown at a placement ahead of the auction, and when."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Protocol


class RankClass(IntEnum):
    """Who comes before whom: the placement's own sponsor, then a keyword's, then whoever bids in the auction."""

    AUCTION = 0
    KEYWORD = 1
    PLACEMENT = 2


@dataclass(frozen=True, slots=True)
class BookedDay:
    """A sold day, `[start_time_us, end_time_us)`, of a placement or of a keyword in lower case; the other is empty."""

    campaign_id: str
    placement_id: str
    keyword: str
    start_time_us: int
    end_time_us: int


_Days = Mapping[str, tuple[BookedDay, ...]]


@dataclass(frozen=True, slots=True)
class BookedDays:
    """Sold days around now, indexed; made by `of`. A day ends by itself, however old this is."""

    by_placement: _Days = field(default_factory=lambda: MappingProxyType({}))
    by_keyword: _Days = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def of(cls, days: Iterable[BookedDay]) -> "BookedDays":
        """Index days."""
        by_placement: dict[str, list[BookedDay]] = {}
        by_keyword: dict[str, list[BookedDay]] = {}
        for day in days:
            if day.placement_id:
                by_placement.setdefault(day.placement_id, []).append(day)
            else:
                by_keyword.setdefault(day.keyword, []).append(day)
        return cls(
            MappingProxyType({name: tuple(held) for name, held in by_placement.items()}),
            MappingProxyType({name: tuple(held) for name, held in by_keyword.items()}),
        )

    def ranks(self, placement_id: str, keywords: Sequence[str], now_us: int) -> dict[str, RankClass]:
        """Tell which campaigns have the day for a request, with their rank; others are left out."""
        if not self.by_placement and not self.by_keyword:
            return {}
        found = {
            day.campaign_id: RankClass.KEYWORD
            for keyword in keywords
            for day in self.by_keyword.get(keyword.lower(), ())
            if day.start_time_us <= now_us < day.end_time_us
        }
        for day in self.by_placement.get(placement_id, ()):
            if day.start_time_us <= now_us < day.end_time_us:
                found[day.campaign_id] = RankClass.PLACEMENT
        return found


class BookedSource(Protocol):
    """Gives the sold days as they are known; never waits."""

    def current(self) -> BookedDays:
        """Return what is known."""
        ...


class NothingBooked:
    """No day is sold."""

    def current(self) -> BookedDays:
        """Return no days."""
        return BookedDays()
