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
class Reconciliation:
    """The comparison by currency, what was not billed by reason, and where the consumers of the log are."""

    currencies: tuple[CurrencyReconciliation, ...]
    unbilled: dict[str, int]
    head_position: int
    consumers: dict[str, int]
