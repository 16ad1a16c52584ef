"""What the use cases of settlement need from outside: payouts, periods, invoices, proofs, traces."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bihuan_attribution.domain.event import LoggedEvent
from bihuan_attribution.domain.invoice import Invoice
from bihuan_attribution.domain.order import OrderState
from bihuan_attribution.domain.period import Period
from bihuan_attribution.domain.proof import Proof
from bihuan_attribution.use_cases.ports import BookedEntry
from bihuan_shared.tokens import KeyRing


class Payouts(Protocol):
    """Money that goes to promoters and publishers."""

    async def pay_out(self, payout_id: str, account: str, currency: str, nanos: int, at_us: int) -> BookedEntry:
        """
        Pay once by the id.

        Raises AlreadyExists where the id stands for another payout and FailedPrecondition where less is payable.
        """
        ...


class Periods(Protocol):
    """Accounting periods and their invoices."""

    async def log_head(self) -> int:
        """The last position of the event log."""
        ...

    async def billed_position(self) -> int:
        """The last position that was billed."""
        ...

    async def close(self, period: str, billed_to: int, now_us: int) -> tuple[Period, list[Invoice]]:
        """
        Close a period with its invoices, once; a closed one answers again what was made.

        Raises FailedPrecondition where it is not over, or months before it are open, or later ones are closed;
        Unavailable where billing has not come to `billed_to`.
        """
        ...

    async def list_periods(self) -> list[Period]:
        """All periods that hold entries or were closed, oldest first."""
        ...

    async def list_invoices(
        self, advertiser_id: str, period: str, after: tuple[str, str] | None, limit: int
    ) -> list[Invoice]:
        """Invoices by advertiser and period, above (advertiser, period); empty filters match all."""
        ...


class Verifier(Protocol):
    """The proof that the books are what was booked."""

    async def verify(self, after_entry_id: int) -> Proof:
        """Check a bounded stretch of the ledger, and at its end everything that the books sum up."""
        ...


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """
    An event of the log, with its token as it was sealed (empty where it has none).

    `is_intact` tells whether what is kept of an event without token still has the hash that it was committed with.
    """

    event: LoggedEvent
    token: str
    is_intact: bool


@dataclass(frozen=True, slots=True)
class EntryFile:
    """
    An entry with everything that leads to it: `corrected` is the entry that it corrects, `related` have the same cause
    or order. `is_cause_known` tells whether the operation or the booked day is on record that caused it.
    """

    booked: BookedEntry
    corrected: BookedEntry | None
    related: Sequence[BookedEntry]
    order: OrderState | None
    events: Sequence[StoredEvent]
    is_cause_known: bool


class EntryFiles(Protocol):
    """Entries, to be traced."""

    async def find(self, entry_id: int) -> EntryFile | None:
        """The entry, or None."""
        ...


@dataclass(frozen=True, slots=True)
class Settlement:
    """The stores of settlement, and the keys that tokens open with."""

    payouts: Payouts
    periods: Periods
    verifier: Verifier
    files: EntryFiles
    keys: KeyRing
