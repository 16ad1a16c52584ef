"""The comparison of the ledger with an independent fold over the events."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class AccountFold:
    """An account in the ledger and in the independent fold; `advertiser:<id>` is balance and receivable together."""

    currency: str
    account: str
    ledger_nanos: int
    fold_nanos: int

    @property
    def difference_nanos(self) -> int:
        """0, or something is wrong."""
        return self.ledger_nanos - self.fold_nanos


@dataclass(frozen=True, slots=True)
class CurrencyFold:
    """The books and the independent fold of one currency."""

    currency: str
    debit_nanos: int
    credit_nanos: int
    ledger_charged_nanos: int
    fold_charged_nanos: int
    accounts_difference_nanos: int = 0

    @property
    def difference_nanos(self) -> int:
        """0, or something is wrong: the differences of all accounts, of what was charged, of debits and credits."""
        charged = abs(self.ledger_charged_nanos - self.fold_charged_nanos)
        return self.accounts_difference_nanos + charged + abs(self.debit_nanos - self.credit_nanos)


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """
    The whole comparison, when billing was at `compared_position`.

    Every event up to there is one of `billed_count`, or of `unbilled` under its reason; what was rejected, and so is no
    event, is there under `rejected_…`.
    """

    currencies: tuple[CurrencyFold, ...]
    unbilled: tuple[tuple[str, int], ...]
    head_position: int
    consumers: tuple[tuple[str, int], ...]
    accounts: tuple[AccountFold, ...] = ()
    compared_position: int = 0
    billed_count: int = 0


class Auditor(Protocol):
    """The independent fold."""

    async def positions(self) -> Reconciliation:
        """Where the consumers of the log are; nothing is compared."""
        ...

    async def reconcile(self) -> Reconciliation:
        """Fold the lake and compare the result with the ledger."""
        ...
