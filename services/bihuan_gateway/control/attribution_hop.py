"""Attribution over gRPC, as the control plane needs it: deposits and the books."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bihuan.attribution.v1 import attribution_pb2, ledger_pb2
from bihuan.common.v1 import common_pb2
from bihuan_gateway.control.insight import (
    Balance,
    CurrencyReconciliation,
    LedgerEntry,
    Posting,
    Reconciliation,
)
from bihuan_gateway.hops import asked_by_us
from bihuan_shared.clock import to_us

if TYPE_CHECKING:  # this class exists for type checkers only
    from bihuan.attribution.v1.attribution_pb2_grpc import AttributionServiceAsyncStub


@dataclass(frozen=True, slots=True)
class AttributionHop:
    """Implements `ports.Books`."""

    stub: "AttributionServiceAsyncStub"

    async def deposit(self, advertiser_id: str, deposit_id: str, *, currency: str, amount_micros: int) -> LedgerEntry:
        """Book a deposit once."""
        request = attribution_pb2.DepositRequest(
            advertiser_id=advertiser_id,
            deposit_id=deposit_id,
            amount=common_pb2.Money(currency=currency, micros=amount_micros),
        )
        with asked_by_us():
            return _entry((await self.stub.Deposit(request)).entry)

    async def balances(self, advertiser_id: str) -> list[Balance]:
        """Tell what an advertiser's accounts hold."""
        with asked_by_us():
            answer = await self.stub.GetBalance(attribution_pb2.GetBalanceRequest(advertiser_id=advertiser_id))
        return [Balance(one.account, one.currency, one.balance_nanos) for one in answer.balances]

    async def entries(
        self, *, advertiser_id: str, campaign_id: str, page_size: int, page_token: str
    ) -> tuple[list[LedgerEntry], str]:
        """Return entries, oldest first, and the token of the next page."""
        request = attribution_pb2.ListLedgerEntriesRequest(
            advertiser_id=advertiser_id, campaign_id=campaign_id, page_size=page_size, page_token=page_token
        )
        with asked_by_us():
            answer = await self.stub.ListLedgerEntries(request)
        return [_entry(entry) for entry in answer.entries], answer.next_page_token

    async def reconcile(self) -> Reconciliation:
        """Compare the ledger with the events."""
        with asked_by_us():
            answer = await self.stub.Reconcile(attribution_pb2.ReconcileRequest())
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
        )


def _entry(entry: ledger_pb2.LedgerEntry) -> LedgerEntry:
    return LedgerEntry(
        entry_id=entry.entry_id,
        kind=entry.kind,
        cause_type=entry.cause_type,
        cause_id=entry.cause_id,
        campaign_id=entry.campaign_id,
        advertiser_id=entry.advertiser_id,
        currency=entry.currency,
        entry_time_us=to_us(entry.entry_time),
        postings=tuple(Posting(posting.account, posting.amount_nanos) for posting in entry.postings),
        decision_id=entry.decision_id,
        corrects_entry_id=entry.corrects_entry_id,
    )
