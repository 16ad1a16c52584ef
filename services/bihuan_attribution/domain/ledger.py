"""Double entry: what each kind of business event posts. A debit is positive, a credit negative, an entry sums to 0."""

from collections.abc import Iterable
from dataclasses import dataclass

CASH = "platform:cash"
REVENUE = "platform:revenue"
ESTIMATED = "platform:estimated"
PROMOTER = "promoter:payable"


def prepaid_account(advertiser_id: str) -> str:
    """What the platform holds for an advertiser (a liability: credits raise it)."""
    return f"advertiser:prepaid:{advertiser_id}"


def receivable_account(advertiser_id: str) -> str:
    """What an advertiser owes (debits raise it)."""
    return f"advertiser:receivable:{advertiser_id}"


def estimated_account(advertiser_id: str) -> str:
    """Commission of an advertiser that was estimated and is not payable yet."""
    return f"advertiser:estimated:{advertiser_id}"


@dataclass(frozen=True, slots=True)
class Posting:
    """One side of an entry, in nanos of the entry's currency."""

    account: str
    amount_nanos: int


@dataclass(frozen=True, slots=True)
class Entry:
    """
    A balanced set of postings with one cause; (cause_type, cause_id, kind) is unique for ever.

    `corrects_cause_id` names the estimate that a reversal takes back.
    """

    kind: str
    cause_type: str
    cause_id: str
    advertiser_id: str
    campaign_id: str
    currency: str
    entry_time_us: int
    decision_id: str
    postings: tuple[Posting, ...]
    corrects_cause_id: str = ""

    def __post_init__(self) -> None:
        assert sum(posting.amount_nanos for posting in self.postings) == 0, "an entry sums to zero"


class Purse:
    """What an advertiser's accounts hold while a batch is posted."""

    __slots__ = ("advertiser_id", "prepaid_nanos", "receivable_nanos")

    def __init__(self, advertiser_id: str, prepaid_nanos: int, receivable_nanos: int) -> None:
        self.advertiser_id = advertiser_id
        self.prepaid_nanos = prepaid_nanos
        self.receivable_nanos = receivable_nanos

    def draw(self, amount_nanos: int) -> tuple[Posting, ...]:
        """Debits for a charge: the prepaid balance down to zero, the rest becomes receivable."""
        from_prepaid = max(0, min(self.prepaid_nanos, amount_nanos))
        rest = amount_nanos - from_prepaid
        self.prepaid_nanos -= from_prepaid
        self.receivable_nanos += rest
        return _sides(
            (prepaid_account(self.advertiser_id), from_prepaid),
            (receivable_account(self.advertiser_id), rest),
        )

    def give_back(self, amount_nanos: int) -> tuple[Posting, ...]:
        """Credits for a reversal: what is owed first, the rest goes back to the prepaid balance."""
        from_receivable = max(0, min(self.receivable_nanos, amount_nanos))
        rest = amount_nanos - from_receivable
        self.receivable_nanos -= from_receivable
        self.prepaid_nanos += rest
        return _sides(
            (receivable_account(self.advertiser_id), -from_receivable),
            (prepaid_account(self.advertiser_id), -rest),
        )


def charge_postings(purse: Purse, amount_nanos: int) -> tuple[Posting, ...]:
    """A billable impression or click."""
    return (*purse.draw(amount_nanos), Posting(REVENUE, -amount_nanos))


def deposit_postings(advertiser_id: str, amount_nanos: int) -> tuple[Posting, ...]:
    """Money that came in ahead."""
    return (Posting(CASH, amount_nanos), Posting(prepaid_account(advertiser_id), -amount_nanos))


def estimate_postings(advertiser_id: str, amount_nanos: int) -> tuple[Posting, ...]:
    """Commission expected from a paid order; a negative amount takes it back."""
    return _sides((estimated_account(advertiser_id), amount_nanos), (ESTIMATED, -amount_nanos))


def payable_postings(purse: Purse, amount_nanos: int, promoter_nanos: int) -> tuple[Posting, ...]:
    """An estimated commission becomes due: the estimate goes, the advertiser pays, platform and promoter share."""
    return (
        *estimate_postings(purse.advertiser_id, -amount_nanos),
        *purse.draw(amount_nanos),
        *_sides((REVENUE, promoter_nanos - amount_nanos), (PROMOTER, -promoter_nanos)),
    )


def payable_reversal_postings(purse: Purse, amount_nanos: int, promoter_nanos: int) -> tuple[Posting, ...]:
    """A commission that was due is given back, by platform and promoter alike."""
    return (
        *_sides((REVENUE, amount_nanos - promoter_nanos), (PROMOTER, promoter_nanos)),
        *purse.give_back(amount_nanos),
    )


def _sides(*sides: tuple[str, int]) -> tuple[Posting, ...]:
    return tuple(Posting(account, amount) for account, amount in sides if amount)


def account_sums(entries: Iterable[Entry]) -> dict[tuple[str, str], int]:
    """What the entries add to each (account, currency)."""
    sums: dict[tuple[str, str], int] = {}
    for entry in entries:
        for posting in entry.postings:
            key = (posting.account, entry.currency)
            sums[key] = sums.get(key, 0) + posting.amount_nanos
    return sums
