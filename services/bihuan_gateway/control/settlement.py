"""What is done with the books, within what a caller may see: payouts, periods, invoices, proofs, traces."""

from dataclasses import dataclass, replace
from typing import Protocol

from bihuan_gateway.control.access import Principal, Role, require_admin, visible_tenant
from bihuan_gateway.control.insight import LedgerEntry
from bihuan_shared.errors import NotFound


@dataclass(frozen=True, slots=True)
class Period:
    """A month in UTC; a closed one names the last entry of the ledger at that moment, and its hash."""

    period: str
    state: str
    close_time_us: int | None
    last_entry_id: int
    head_hash: str


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """One line: the exact amount, and what it is rounded to."""

    campaign_id: str
    pricing_model: str
    adjustment: bool
    amount_nanos: int
    rounded_nanos: int
    entry_count: int


@dataclass(frozen=True, slots=True)
class Invoice:
    """What one advertiser owes for one closed period; `prepaid_nanos` of it came from the prepaid balance."""

    invoice_id: str
    advertiser_id: str
    period: str
    currency: str
    lines: tuple[InvoiceLine, ...]
    total_nanos: int
    prepaid_nanos: int
    issue_time_us: int
    rounding_entry_id: int


@dataclass(frozen=True, slots=True)
class Fault:
    """Something about the books that must not be; the entry is 0 where it is none."""

    invariant: str
    entry_id: int
    detail: str


@dataclass(frozen=True, slots=True)
class Proof:
    """What a check of a stretch of the ledger found; `next_after_entry_id` is 0 at the end."""

    entry_count: int
    head_hash: str
    faults: tuple[Fault, ...]
    next_after_entry_id: int


@dataclass(frozen=True, slots=True)
class TracedEvent:
    """An event on the way from an entry to what caused it; `token` is as it was sealed."""

    event_type: str
    event_id: str
    log_position: int
    receive_time_us: int
    event_time_us: int
    token: str
    token_verified: bool
    decision_id: str
    price_micros: int
    campaign_id: str
    creative_id: str
    placement_id: str


@dataclass(frozen=True, slots=True)
class Trace:
    """An entry, what belongs to it, and what could not be followed."""

    entry: LedgerEntry
    related: tuple[LedgerEntry, ...]
    order_id: str
    booking_day: str
    events: tuple[TracedEvent, ...]
    gaps: tuple[str, ...]


class SettlementBooks(Protocol):
    """Attribution, as it settles."""

    async def pay_out(self, payout_id: str, account: str, *, currency: str, amount_micros: int) -> LedgerEntry:
        """Pay once by the id; AlreadyExists for another body, FailedPrecondition where less is payable."""
        ...

    async def close_period(self, period: str) -> tuple[Period, list[Invoice]]:
        """Close a month; FailedPrecondition where it may not be, Unavailable while billing is behind."""
        ...

    async def periods(self) -> list[Period]:
        """List periods, oldest first."""
        ...

    async def invoices(
        self, *, advertiser_id: str, period: str, page_size: int, page_token: str
    ) -> tuple[list[Invoice], str]:
        """Return invoices and the token of the next page; empty filters match all."""
        ...

    async def verify(self, after_entry_id: int) -> Proof:
        """Check a stretch of the ledger."""
        ...

    async def trace(self, entry_id: int) -> Trace:
        """Walk from an entry to what it rests on; NotFound."""
        ...


@dataclass(frozen=True, slots=True)
class Settlement:
    """Settles on behalf of a caller; what is of no one tenant is for admins."""

    books: SettlementBooks

    async def pay_out(
        self, principal: Principal, payout_id: str, account: str, *, currency: str, amount_micros: int
    ) -> LedgerEntry:
        """Pay a promoter or a publisher, once by the id (admins)."""
        require_admin(principal)
        return await self.books.pay_out(payout_id, account, currency=currency, amount_micros=amount_micros)

    async def close_period(self, principal: Principal, period: str) -> tuple[Period, list[Invoice]]:
        """Close a month and make its invoices (admins)."""
        require_admin(principal)
        return await self.books.close_period(period)

    async def periods(self, principal: Principal) -> list[Period]:
        """List periods (admins)."""
        require_admin(principal)
        return await self.books.periods()

    async def invoices(
        self, principal: Principal, *, advertiser_id: str | None, period: str, page_size: int, page_token: str
    ) -> tuple[list[Invoice], str]:
        """Return a page of invoices (NotFound for another tenant)."""
        tenant = visible_tenant(principal, advertiser_id)
        return await self.books.invoices(
            advertiser_id=tenant or "", period=period, page_size=page_size, page_token=page_token
        )

    async def verify(self, principal: Principal, after_entry_id: int) -> Proof:
        """Check a stretch of the ledger (admins)."""
        require_admin(principal)
        return await self.books.verify(after_entry_id)

    async def trace(self, principal: Principal, entry_id: int) -> Trace:
        """
        Walk from an entry to what it rests on (NotFound for another tenant's).

        Only admins see tokens as they were sealed: whoever holds one can report its events.
        """
        found = await self.books.trace(entry_id)
        if principal.tenant not in {None, found.entry.advertiser_id}:
            raise NotFound("there is no such entry")
        if principal.role is Role.ADMIN:
            return found
        return replace(found, events=tuple(replace(event, token="") for event in found.events))
