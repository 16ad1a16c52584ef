"""What explaining and comparing need of the store: orders with their touches in pages, and what was learned before."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bihuan_attribution.domain.channel_learning import Learned
from bihuan_attribution.domain.credit.path_touch import PathTouch
from bihuan_attribution.domain.order_path import OrderPath

Mark = tuple[int, str]
"""The last order of a page: when it was placed, and its id."""


@dataclass(frozen=True, slots=True)
class PathPage:
    """Paid orders with their touches, the latest first; `mark` is None at the end."""

    paths: Sequence[OrderPath]
    mark: Mark | None


@dataclass(frozen=True, slots=True)
class TouchPage:
    """Touches of persons, the latest first; `mark` is time and log position of the last, None at the end."""

    touches: Sequence[tuple[int, PathTouch]]
    mark: tuple[int, int] | None


class OrderPaths(Protocol):
    """Paths of orders as committed."""

    async def page(self, advertiser_id: str, start_us: int, end_us: int, mark: Mark | None) -> PathPage:
        """A page of the paid orders that were placed in `[start_us, end_us)`, behind a mark."""
        ...

    async def touches(self, advertiser_id: str, start_us: int, mark: tuple[int, int] | None) -> TouchPage:
        """A page of touches of known persons at `start_us` or later, behind a mark."""
        ...

    async def learned(self, advertiser_id: str, now_us: int) -> Learned | None:
        """What was learned last, at `now_us` or before."""
        ...

    async def keep(self, learned: Learned) -> None:
        """Store what was learned, and forget what is older than anybody may ask for."""
        ...
