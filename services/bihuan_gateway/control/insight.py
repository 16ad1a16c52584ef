"""Figures that attribution gives and the gateway shows. Money is integer micros or nanos; nothing is rounded here."""

from dataclasses import dataclass

NANOS_PER_MICRO = 1_000


@dataclass(frozen=True, slots=True)
class Posting:
    """One side of an entry: a debit is positive, a credit negative."""

    account: str
    amount_nanos: int


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """
    A balanced set of postings with one cause.

    It is about `entry_time_us` and was booked at `book_time_us` in `period`, as an adjustment where its own was closed.
    """

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
    book_time_us: int = 0
    period: str = ""
    adjustment: bool = False
    order_id: str = ""
    log_position: int = 0
    entry_hash: str = ""


@dataclass(frozen=True, slots=True)
class EntryQuery:
    """Which entries to list: of whom, about what, and none that was booked after `as_of_us`; None matches all."""

    advertiser_id: str | None
    campaign_id: str | None
    order_id: str | None
    as_of_us: int | None
    page_size: int
    page_token: str


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
