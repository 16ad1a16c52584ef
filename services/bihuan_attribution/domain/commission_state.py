"""How the commission of an order stands."""

from enum import StrEnum

from bihuan_attribution.domain.order import OrderState


class CommissionStage(StrEnum):
    """The words of the contract."""

    NONE = "none"
    ESTIMATED = "estimated"
    PAYABLE = "payable"
    PAID = "paid"


def commission_stage(order: OrderState, *, paid_out: bool) -> CommissionStage:
    """
    How far a commission is; NONE where nothing is owed, because no click is paid for or all of it came back.

    `paid_out` says whether what was payable went out in a payout; a commission that is not payable never did.
    """
    commission = order.commission
    if not commission.net_nanos:
        return CommissionStage.NONE
    if not commission.payable:
        return CommissionStage.ESTIMATED
    return CommissionStage.PAID if paid_out else CommissionStage.PAYABLE
