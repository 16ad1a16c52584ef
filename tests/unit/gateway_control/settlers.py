"""A fake of attribution as it settles: two tenants with an entry and an invoice each."""

from dataclasses import dataclass, field

from bihuan_gateway.control.insight import LedgerEntry, Posting
from bihuan_gateway.control.settlement import Fault, Invoice, InvoiceLine, Period, Proof, Trace, TracedEvent
from bihuan_shared.errors import AlreadyExists, FailedPrecondition, FieldViolation, NotFound, Unavailable

OWNERS = {1: "acme", 2: "rival"}
PAYABLE_MICROS = 5_000


@dataclass
class FakeSettlement:
    payouts: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)
    faults: tuple[Fault, ...] = ()
    behind: bool = False

    async def pay_out(self, payout_id: str, account: str, *, currency: str, amount_micros: int) -> LedgerEntry:
        body = (account, currency, amount_micros)
        if amount_micros > PAYABLE_MICROS:
            raise FailedPrecondition("too much", FieldViolation("amount.micros", "no more than 5000 are payable"))
        if self.payouts.setdefault(payout_id, body) != body:
            raise AlreadyExists("the payout id was used")
        return entry(3, "", (Posting(account, amount_micros * 1_000),))

    async def close_period(self, period: str) -> tuple[Period, list[Invoice]]:
        if self.behind:
            raise Unavailable("billing is 3 events behind")
        self.closed.append(period)
        return Period(period, "closed", 5_000_000, 9, "ab" * 32), [invoice("acme", period)]

    async def periods(self) -> list[Period]:
        return [Period("2023-11", "open", None, 0, "")]

    async def invoices(
        self, *, advertiser_id: str, period: str, page_size: int, page_token: str
    ) -> tuple[list[Invoice], str]:
        found = [invoice(owner, period or "2023-11") for owner in OWNERS.values() if advertiser_id in ("", owner)]
        return found[:page_size], "next" if len(found) > page_size else ""

    async def verify(self, after_entry_id: int) -> Proof:
        return Proof(2, "cd" * 32, self.faults, 0 if after_entry_id else 2)

    async def trace(self, entry_id: int) -> Trace:
        if entry_id not in OWNERS:
            raise NotFound("there is no such entry")
        event = TracedEvent("click", "t1", 4, 1, 2, "sealed", True, "d1", 7, "c1", "cr1", "p1")
        return Trace(entry(entry_id, OWNERS[entry_id]), (), "o1", "", (event,), ())


def entry(entry_id: int, advertiser_id: str, postings: tuple[Posting, ...] = ()) -> LedgerEntry:
    return LedgerEntry(entry_id, "charge", "event", "click/t1", "c1", advertiser_id, "USD", 0, postings, "d1", 0)


def invoice(advertiser_id: str, period: str) -> Invoice:
    line = InvoiceLine("c1", "cpc", adjustment=False, amount_nanos=14_000_000, rounded_nanos=10_000_000, entry_count=2)
    name = f"{advertiser_id}/{period}"
    return Invoice(name, advertiser_id, period, "USD", (line,), 10_000_000, 0, 5_000_000, 7)
