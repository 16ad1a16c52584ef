"""What the use cases need from outside."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from bihuan_attribution.domain.accounts import AdvertiserTerms, PlacementTerms
from bihuan_attribution.domain.booking import Booking
from bihuan_attribution.domain.event import LoggedEvent, PreparedEvent, Result
from bihuan_attribution.domain.ledger import Entry
from bihuan_attribution.domain.reserve import BudgetState, Call, Counted, Held, Recount, Reply, Reset, Settled
from bihuan_attribution.domain.terms import CampaignTerms


@dataclass(frozen=True, slots=True)
class BookedEntry:
    """
    An entry as it stands in the ledger; its postings are sorted by account.

    It is booked at `book_time_us` in `period`, as an adjustment where its own period was closed; `entry_hash` chains it
    to the entry before.
    """

    entry_id: int
    corrects_entry_id: int
    entry: Entry
    book_time_us: int
    period: str
    adjustment: bool
    entry_hash: bytes


class EventLog(Protocol):
    """The durable log."""

    async def append(self, events: Sequence[PreparedEvent]) -> Sequence[Result]:
        """Commit what is new; one result an event, in order."""
        ...

    async def count_rejections(self, counts: dict[tuple[str, str], int]) -> None:
        """Add to the number of rejected events by (reason, day)."""
        ...

    async def read(self, after: int, limit: int) -> list[LoggedEvent]:
        """Up to `limit` events above a position, oldest first."""
        ...

    async def head(self) -> int:
        """The last position."""
        ...

    async def position(self, consumer: str) -> int:
        """The last position that a consumer has dealt with."""
        ...

    async def advance(self, consumer: str, position: int) -> None:
        """Note how far a consumer is, after its effect."""
        ...


@dataclass(frozen=True, slots=True)
class TermsBatch:
    """
    Terms that are taken in together: of campaigns, of accounts, of placements, and bids for days.

    `take_time_us` is when; it decides which dates are still bid for.
    """

    terms: Sequence[CampaignTerms] = ()
    advertisers: Sequence[AdvertiserTerms] = ()
    placements: Sequence[PlacementTerms] = ()
    bookings: Sequence[Booking] = ()
    take_time_us: int = 0


class TermsStore(Protocol):
    """Terms as committed."""

    async def put(self, batch: TermsBatch) -> int:
        """Take in versions, all or none; how many were new."""
        ...

    async def since(self, seq: int) -> tuple[int, list[CampaignTerms]]:
        """What was taken in after a number, and the last number now."""
        ...


class Ledger(Protocol):
    """The books."""

    async def deposit(self, advertiser_id: str, deposit_id: str, currency: str, nanos: int, at_us: int) -> BookedEntry:
        """Book a deposit, once by its id."""
        ...

    async def entries(
        self,
        advertiser_id: str,
        campaign_id: str,
        after: int,
        limit: int,
        *,
        order_id: str = "",
        as_of_us: int | None = None,
    ) -> list[BookedEntry]:
        """Entries above a number, oldest first; none that was booked after `as_of_us`."""
        ...

    async def balances(self, advertiser_id: str, as_of_us: int | None = None) -> list[tuple[str, str, int]]:
        """(account, currency, balance in nanos), now or as it was believed at `as_of_us`."""
        ...


class Payables(Protocol):
    """What is owed to those who are paid."""

    async def payable(self, account: str, as_of_us: int | None = None) -> list[tuple[str, str, int]]:
        """(account, currency, balance in nanos) of a promoter's or publisher's account, now or as it was believed."""
        ...


class Budgets(Protocol):
    """Budgets, balances and caps as a cache that can be rebuilt."""

    async def reserve(self, calls: Sequence[Call]) -> list[Reply | None]:
        """One reply a call; None where the advertiser's state has to be loaded first."""
        ...

    async def begin(self, reservations: Sequence[tuple[str, Sequence[str]]]) -> list[list[Held]]:
        """Note which advertisers each reservation will ask; what it holds already from an earlier time."""
        ...

    async def release(self, reservations: Sequence[tuple[str, str]]) -> None:
        """End reservations, each named by (advertiser, reservation id), before their time."""
        ...

    async def settle(self, state: BudgetState, events: Sequence[Settled]) -> bool:
        """End reservations and replace spent sums; False where the advertiser's state has to be loaded first."""
        ...

    async def load(self, state: BudgetState) -> None:
        """Rebuild an advertiser's state."""
        ...

    async def recount(self, advertiser_id: str, resets: Sequence[Reset], counted: Sequence[Counted]) -> None:
        """Bring the counters of some persons to what is counted for them; those of `resets` may fall too."""
        ...

    async def forget(self, advertiser_id: str) -> None:
        """Declare an advertiser's state incomplete."""
        ...


class BudgetTruth(Protocol):
    """Budgets, balances and counted impressions as committed."""

    async def spent(self, advertiser_id: str, campaign_ids: Iterable[str], days: Iterable[str]) -> BudgetState:
        """What is gone from some budgets, and the advertiser's balance."""
        ...

    async def whole(self, advertiser_id: str, terms: Iterable[CampaignTerms], now_us: int) -> BudgetState:
        """Everything of an advertiser."""
        ...

    async def recounts(self, limit: int) -> list[Recount]:
        """Persons who are to be counted anew."""
        ...

    async def recounted(self, recounts: Sequence[Recount]) -> None:
        """Note that persons were counted anew, unless more was lost meanwhile."""
        ...

    async def counted(
        self, terms: Iterable[CampaignTerms], person_ids: Collection[int], now_us: int
    ) -> tuple[list[Reset], list[Counted]]:
        """The spans that the caps of an advertiser have at `now_us`, and what they count of some persons."""
        ...


class Persons(Protocol):
    """Who is who, as far as it was followed."""

    async def as_now(self, events: Sequence[LoggedEvent]) -> list[LoggedEvent]:
        """Events with the persons that theirs are now."""
        ...


class EventSink(Protocol):
    """Where committed events go on to; taking the same ones again is harmless."""

    async def publish(self, events: Sequence[LoggedEvent]) -> None:
        """Hand over events, oldest first."""
        ...
