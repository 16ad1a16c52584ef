"""What is asked of the books from outside: figures by dimension, and single orders to be explained."""

from dataclasses import dataclass
from typing import Protocol

from bihuan_attribution.domain.order import Belief, OrderState
from bihuan_attribution.domain.payout import NO_COVER, Cover
from bihuan_attribution.domain.report import Dimension, ReportLine
from bihuan_attribution.domain.terms import TermsBook
from bihuan_attribution.domain.touch import Touch


@dataclass(frozen=True, slots=True)
class ReportQuery:
    """
    What to report. `after` is the last row of the page before: its values and its currency.

    Of `as_of_us`, an instant on the hour, only what was booked before it counts.
    """

    dimensions: tuple[Dimension, ...]
    start_us: int | None
    end_us: int | None
    advertiser_ids: tuple[str, ...]
    campaign_ids: tuple[str, ...]
    limit: int
    after: tuple[str, ...] = ()
    as_of_us: int | None = None
    with_reach: bool = False


class Reports(Protocol):
    """The figures."""

    async def query(self, query: ReportQuery) -> list[ReportLine]:
        """Rows in the order of their values, then of their currency."""
        ...


@dataclass(frozen=True, slots=True)
class Restatement:
    """What was believed of an order from `book_time_us` on."""

    book_time_us: int
    belief: Belief


@dataclass(frozen=True, slots=True)
class OrderFile:
    """
    One order with everything that joins to it; `body` is the event that opened it, as it was sent.

    `history` is oldest first. `cover` says how far the payouts to its promoter have come.
    """

    order: OrderState
    touches: tuple[Touch, ...]
    terms: TermsBook
    body: bytes
    history: tuple[Restatement, ...] = ()
    cover: Cover = NO_COVER


class OrderFiles(Protocol):
    """Orders, to be explained."""

    async def find(self, advertiser_id: str, order_id: str) -> OrderFile | None:
        """The order, or None."""
        ...
