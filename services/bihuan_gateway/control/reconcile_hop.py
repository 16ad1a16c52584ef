"""The comparison of books and events, as attribution tells it."""

from typing import Final

from bihuan.attribution.v1 import attribution_pb2
from bihuan_gateway.control.insight import AccountReconciliation, CurrencyReconciliation, Reconciliation

RECONCILE_TIMEOUT_S: Final = 600.0
"""The whole lake is read, so the call may take as long as the request that asks for it."""


def reconciliation_of(answer: attribution_pb2.ReconcileResponse) -> Reconciliation:
    """The answer of attribution as a record."""
    return Reconciliation(
        currencies=tuple(
            CurrencyReconciliation(
                one.currency,
                one.debit_nanos,
                one.credit_nanos,
                one.ledger_charged_nanos,
                one.fold_charged_nanos,
                one.difference_nanos,
            )
            for one in answer.currencies
        ),
        unbilled={one.reason: one.count for one in answer.unbilled},
        head_position=answer.head_position,
        consumers={one.consumer: one.position for one in answer.consumers},
        accounts=tuple(
            AccountReconciliation(one.currency, one.account, one.ledger_nanos, one.fold_nanos, one.difference_nanos)
            for one in answer.accounts
        ),
        compared_position=answer.compared_position,
        billed_count=answer.billed_count,
    )
