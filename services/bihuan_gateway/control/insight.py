"""Figures that attribution gives and the gateway shows. Money is integer micros or nanos; nothing is rounded here."""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Literal

NANOS_PER_MICRO = 1_000
_PRECISE = Context(prec=40, rounding=ROUND_HALF_EVEN)
_FOUR_PLACES = Decimal("0.0001")

Dimension = Literal["advertiser", "campaign", "creative", "placement", "pricing_model", "day", "hour"]


@dataclass(frozen=True, slots=True)
class ReportQuery:
    """What a report covers: `[start_time_us, end_time_us)` or all of time, and nobody else's than `advertiser_id`'s."""

    dimensions: tuple[Dimension, ...]
    start_time_us: int | None
    end_time_us: int | None
    advertiser_id: str | None
    campaign_ids: tuple[str, ...]
    page_size: int
    page_token: str


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One row of a report; one value a dimension asked for."""

    dimension_values: tuple[str, ...]
    currency: str
    impressions: int
    viewables: int
    clicks: int
    landings: int
    orders: int
    order_value_micros: int
    spend_nanos: int
    overrun_nanos: int

    @property
    def roi(self) -> str | None:
        """Order value over spend as a decimal text with four places, half-even; None where nothing was spent."""
        if self.spend_nanos <= 0:
            return None
        ratio = _PRECISE.divide(Decimal(self.order_value_micros * NANOS_PER_MICRO), Decimal(self.spend_nanos))
        return str(ratio.quantize(_FOUR_PLACES, context=_PRECISE))


@dataclass(frozen=True, slots=True)
class Posting:
    """One side of an entry: a debit is positive, a credit negative."""

    account: str
    amount_nanos: int


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A balanced set of postings with one cause."""

    entry_id: int
    kind: str
    cause_type: str
    cause_id: str
    campaign_id: str
    advertiser_id: str
    currency: str
    entry_time_us: int
    postings: tuple[Posting, ...]
    decision_id: str
    corrects_entry_id: int


@dataclass(frozen=True, slots=True)
class Balance:
    """What one account holds."""

    account: str
    currency: str
    balance_nanos: int


@dataclass(frozen=True, slots=True)
class CurrencyReconciliation:
    """Books against the fold over the events, in one currency; the difference must be 0."""

    currency: str
    debit_nanos: int
    credit_nanos: int
    ledger_charged_nanos: int
    fold_charged_nanos: int
    difference_nanos: int


@dataclass(frozen=True, slots=True)
class AccountReconciliation:
    """One account, or a group that is folded as one, in the books and in the fold; the difference must be 0."""

    currency: str
    account: str
    ledger_nanos: int
    fold_nanos: int
    difference_nanos: int


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """
    The comparison by currency and account, and where the consumers of the log are.

    Of the events up to `compared_position`, `billed_count` were billed and the others not, each for one reason.
    """

    currencies: tuple[CurrencyReconciliation, ...]
    unbilled: dict[str, int]
    head_position: int
    consumers: dict[str, int]
    accounts: tuple[AccountReconciliation, ...] = ()
    compared_position: int = 0
    billed_count: int = 0


@dataclass(frozen=True, slots=True)
class OrderItem:
    """One line of an order."""

    item_id: str
    quantity: int
    paid_micros: int


@dataclass(frozen=True, slots=True)
class Touch:
    """What may have led to an order; the credits of its touches sum to 1,000,000 or 0."""

    event_type: str
    event_id: str
    touch_time_us: int
    campaign_id: str
    creative_id: str
    join: str
    credit_ppm: int


@dataclass(frozen=True, slots=True)
class OrderAttribution:
    """How one order came about, and what was billed for it."""

    order_id: str
    advertiser_id: str
    status: str
    order_time_us: int
    currency: str
    items: tuple[OrderItem, ...]
    touches: tuple[Touch, ...]
    billed_campaign_id: str
    commission_nanos: int
