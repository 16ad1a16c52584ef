"""Double entry: what each kind of business event posts. A debit is positive, a credit negative, an entry sums to 0."""

from collections.abc import Iterable
from dataclasses import dataclass

CASH = "platform:cash"
REVENUE = "platform:revenue"
ESTIMATED = "platform:estimated"
PREPAID = "advertiser:prepaid:"
ROUNDING = "platform:rounding"
UNLIMITED_NANOS = 2**62


def prepaid_account(advertiser_id: str) -> str:
    """What the platform holds for an advertiser (a liability: credits raise it)."""
    return f"{PREPAID}{advertiser_id}"


def receivable_account(advertiser_id: str) -> str:
    """What an advertiser owes (debits raise it)."""
    return f"advertiser:receivable:{advertiser_id}"


def promoter_account(promoter_id: str) -> str:
    """What is payable to a promoter (credits raise it)."""
    return f"promoter:payable:{promoter_id}"


def publisher_account(publisher_id: str) -> str:
    """What is payable to a publisher (credits raise it)."""
    return f"publisher:payable:{publisher_id}"


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

    `corrects_cause_id` names the cause of the entry that this one takes back, of the kind `corrects_kind`. `order_id`
    is the order that it is about, `position` that of the event in the log that it was posted for (0 for none), and
    `pricing_model` what an invoice shows it under.
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
    corrects_kind: str = "commission_estimated"
    order_id: str = ""
    position: int = 0
    pricing_model: str = ""

    def __post_init__(self) -> None:
        assert sum(posting.amount_nanos for posting in self.postings) == 0, "an entry sums to zero"


class Purse:
    """
    What an advertiser's accounts hold while a batch is posted.

    `credit_nanos` is how much may be owed. Commissions are owed whatever it is; `due_nanos` is what they added to the
    debt.
    """

    __slots__ = ("advertiser_id", "credit_nanos", "due_nanos", "opening_nanos", "prepaid_nanos", "receivable_nanos")

    def __init__(
        self, advertiser_id: str, prepaid_nanos: int, receivable_nanos: int, credit_nanos: int = UNLIMITED_NANOS
    ) -> None:
        self.advertiser_id = advertiser_id
        self.prepaid_nanos = prepaid_nanos
        self.receivable_nanos = receivable_nanos
        self.credit_nanos = credit_nanos
        self.opening_nanos = receivable_nanos
        self.due_nanos = 0

    @property
    def ceiling_nanos(self) -> int:
        """The most that may be owed after the batch: the credit line or what was owed before it, and commissions."""
        return min(UNLIMITED_NANOS, max(self.credit_nanos, self.opening_nanos) + self.due_nanos)

    def has_room(self, amount_nanos: int) -> bool:
        """Whether balance and credit line cover a charge."""
        return amount_nanos <= max(0, self.prepaid_nanos) + max(0, self.credit_nanos - self.receivable_nanos)

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

    def draw_due(self, amount_nanos: int) -> tuple[Posting, ...]:
        """Debits for what is owed whatever the credit line is."""
        owed = self.receivable_nanos
        postings = self.draw(amount_nanos)
        self.due_nanos += self.receivable_nanos - owed
        return postings

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


@dataclass(frozen=True, slots=True)
class Payee:
    """Somebody who gets a share: the account and the amount, in nanos; nobody where the account is empty."""

    account: str = ""
    share_nanos: int = 0


NOBODY = Payee()


def charge_postings(purse: Purse, amount_nanos: int, payee: Payee = NOBODY) -> tuple[Posting, ...]:
    """A billable impression, click or day; a publisher's share of it goes to the publisher."""
    return (*purse.draw(amount_nanos), *_earned(amount_nanos, payee))


def charge_reversal_postings(purse: Purse, charged: Iterable[Posting]) -> tuple[Posting, ...]:
    """A charge is given back by platform and publisher alike, to the advertiser's accounts as they are now."""
    others = [one for one in charged if not one.account.startswith("advertiser:")]
    amount_nanos = -sum(one.amount_nanos for one in others)
    return (*purse.give_back(amount_nanos), *(Posting(one.account, -one.amount_nanos) for one in others))


def deposit_postings(advertiser_id: str, amount_nanos: int) -> tuple[Posting, ...]:
    """Money that came in ahead."""
    return (Posting(CASH, amount_nanos), Posting(prepaid_account(advertiser_id), -amount_nanos))


def payout_postings(account: str, amount_nanos: int) -> tuple[Posting, ...]:
    """What was payable to a promoter or a publisher is paid."""
    return (Posting(account, amount_nanos), Posting(CASH, -amount_nanos))


def rounding_postings(purse: Purse, amount_nanos: int) -> tuple[Posting, ...]:
    """What an invoice was rounded by; positive where the advertiser pays more than the exact sum."""
    sides = purse.draw_due(amount_nanos) if amount_nanos > 0 else purse.give_back(-amount_nanos)
    return (*sides, Posting(ROUNDING, -amount_nanos))


def estimate_postings(advertiser_id: str, amount_nanos: int) -> tuple[Posting, ...]:
    """Commission expected from a paid order; a negative amount takes it back."""
    return _sides((estimated_account(advertiser_id), amount_nanos), (ESTIMATED, -amount_nanos))


def payable_postings(purse: Purse, amount_nanos: int, payee: Payee) -> tuple[Posting, ...]:
    """An estimated commission becomes due: the estimate goes, the advertiser pays, platform and promoter share."""
    return (
        *estimate_postings(purse.advertiser_id, -amount_nanos),
        *purse.draw_due(amount_nanos),
        *_earned(amount_nanos, payee),
    )


def payable_reversal_postings(purse: Purse, amount_nanos: int, payee: Payee) -> tuple[Posting, ...]:
    """A commission that was due is given back, by platform and promoter alike."""
    return (*_earned(-amount_nanos, Payee(payee.account, -payee.share_nanos)), *purse.give_back(amount_nanos))


def _earned(amount_nanos: int, payee: Payee) -> tuple[Posting, ...]:
    return _sides((REVENUE, payee.share_nanos - amount_nanos), (payee.account, -payee.share_nanos))


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
