"""
Payouts, and which commissions they have paid.

Payouts to a promoter cover the orders in the sequence in which their commissions became payable (first in, first out):
an order is paid once everything that was paid out to its promoter, in its currency, reaches the sum of the promoter's
shares up to and with its own. Shares count less what was reversed of them, whenever that was: a refund of an order
that was paid already leaves money for the orders after it, as the promoter's account does.
"""

from dataclasses import dataclass

from bihuan_attribution.domain.ledger import Entry, payout_postings
from bihuan_attribution.domain.order import CommissionState

PAYOUT = "payout"


@dataclass(frozen=True, slots=True)
class Cover:
    """Of one promoter: the shares of all orders up to and with one, and everything that was paid out, in nanos."""

    due_nanos: int = 0
    paid_nanos: int = 0


NO_COVER = Cover()


def commission_state(commission: CommissionState, cover: Cover = NO_COVER) -> str:
    """
    How a commission stands: `none`, `estimated`, `payable` or `paid`.

    One of which nothing is left is `none`. One that no promoter has a share of is paid out to nobody: it stays
    `payable`.
    """
    if commission.net_nanos <= 0:
        return "none"
    if not commission.payable:
        return "estimated"
    is_covered = commission.promoter_nanos > 0 and cover.due_nanos <= cover.paid_nanos
    return "paid" if is_covered else "payable"


def payout_entry(payout_id: str, account: str, currency: str, amount_nanos: int, at_us: int) -> Entry:
    """What was payable to a promoter or a publisher is paid."""
    return Entry(
        kind=PAYOUT,
        cause_type=PAYOUT,
        cause_id=payout_id,
        advertiser_id="",
        campaign_id="",
        currency=currency,
        entry_time_us=at_us,
        decision_id="",
        postings=payout_postings(account, amount_nanos),
    )
