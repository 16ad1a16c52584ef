"""
Invoices: what an advertiser is told of a closed period.

An invoice sums up every posting on the advertiser's prepaid balance and receivable that is no deposit: charges,
credits, commissions that became payable and their reversals. Estimates touch neither account, so they never stand on
one. Each line is rounded once, and what all lines of an invoice were rounded by is one entry. That entry is booked in
the period that it rounds, before the period is closed: so an invoice is exactly the sum of its period's entries, and
the entry cannot meet a later invoice.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter

from bihuan_attribution.domain.currency import minor_unit_nanos
from bihuan_attribution.domain.ledger import PREPAID, Entry, Purse, rounding_postings
from bihuan_attribution.domain.period import period_end_us
from bihuan_shared.errors import FailedPrecondition
from bihuan_shared.money import round_to_unit_nanos

ROUNDING_KIND = "rounding"
NOT_INVOICED = ("deposit", ROUNDING_KIND)
"""Kinds of entries that move an advertiser's accounts and stand on no line."""


@dataclass(frozen=True, slots=True)
class LineSum:
    """
    What the ledger holds for one line: exact nanos that the advertiser owes, and how many entries they come from.

    `prepaid_nanos` is the part that the prepaid balance covered, negative where more went back to it.
    """

    advertiser_id: str
    currency: str
    campaign_id: str
    pricing_model: str
    adjustment: bool
    amount_nanos: int
    prepaid_nanos: int
    entry_count: int


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """One line: the exact amount, and what it is rounded to (half-even, to the smallest unit of the currency)."""

    campaign_id: str
    pricing_model: str
    adjustment: bool
    amount_nanos: int
    rounded_nanos: int
    entry_count: int


@dataclass(frozen=True, slots=True)
class Invoice:
    """
    What one advertiser owes for one period; `total_nanos` is the sum of the rounded lines.

    `prepaid_nanos` of it came from the prepaid balance, the rest is due.
    """

    advertiser_id: str
    period: str
    currency: str
    lines: tuple[InvoiceLine, ...]
    total_nanos: int
    prepaid_nanos: int
    issue_time_us: int
    rounding_entry_id: int = 0

    @property
    def invoice_id(self) -> str:
        """Names it, and the entry that booked its rounding."""
        return f"{self.advertiser_id}/{self.period}"

    @property
    def residue_nanos(self) -> int:
        """What its lines were rounded by; positive where more is to be paid than the exact sum."""
        return self.total_nanos - sum(line.amount_nanos for line in self.lines)


def draw_up(sums: Iterable[LineSum], period: str, issue_time_us: int) -> list[Invoice]:
    """
    Invoices by advertiser, their lines by campaign; the rounding is not booked yet.

    Raises FailedPrecondition where an advertiser has entries in two currencies, which no account may have.
    """
    by_advertiser = attrgetter("advertiser_id")
    ordered = sorted(sums, key=lambda one: (one.advertiser_id, one.campaign_id, one.pricing_model, one.adjustment))
    return [_invoice(list(held), period, issue_time_us) for _, held in groupby(ordered, by_advertiser)]


def _invoice(sums: list[LineSum], period: str, issue_time_us: int) -> Invoice:
    first = sums[0]
    if any(one.currency != first.currency for one in sums):
        raise FailedPrecondition(f"the account of {first.advertiser_id} has entries in two currencies")
    unit_nanos = minor_unit_nanos(first.currency)
    lines = tuple(
        InvoiceLine(
            one.campaign_id,
            one.pricing_model,
            one.adjustment,
            one.amount_nanos,
            round_to_unit_nanos(one.amount_nanos, unit_nanos),
            one.entry_count,
        )
        for one in sums
    )
    return Invoice(
        advertiser_id=first.advertiser_id,
        period=period,
        currency=first.currency,
        lines=lines,
        total_nanos=sum(line.rounded_nanos for line in lines),
        prepaid_nanos=sum(one.prepaid_nanos for one in sums),
        issue_time_us=issue_time_us,
    )


def book_rounding(invoice: Invoice, purse: Purse) -> tuple[Invoice, Entry | None]:
    """The invoice with what the prepaid balance covers of its rounding, and the entry of that; None for no rounding."""
    if not invoice.residue_nanos:
        return invoice, None
    entry = Entry(
        kind=ROUNDING_KIND,
        cause_type="invoice",
        cause_id=invoice.invoice_id,
        advertiser_id=invoice.advertiser_id,
        campaign_id="",
        currency=invoice.currency,
        entry_time_us=period_end_us(invoice.period) - 1,
        decision_id="",
        postings=rounding_postings(purse, invoice.residue_nanos),
    )
    covered_nanos = sum(one.amount_nanos for one in entry.postings if one.account.startswith(PREPAID))
    return replace(invoice, prepaid_nanos=invoice.prepaid_nanos + covered_nanos), entry
