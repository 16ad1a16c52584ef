"""Attribution over gRPC, as the control plane needs it: deposits and the books."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bihuan.attribution.v1 import attribution_pb2, ledger_pb2
from bihuan.common.v1 import common_pb2
from bihuan_gateway.control.insight import (
    Balance,
    EntryQuery,
    LedgerEntry,
    Posting,
    Reconciliation,
)
from bihuan_gateway.control.reconcile_hop import RECONCILE_TIMEOUT_S, reconciliation_of
from bihuan_gateway.hops import asked_by_us
from bihuan_shared.clock import to_timestamp, to_us

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
            return ledger_entry((await self.stub.Deposit(request)).entry)

    async def balances(self, advertiser_id: str, as_of_us: int | None) -> list[Balance]:
        """Tell what an advertiser's accounts hold, now or as it was believed then."""
        as_of = to_timestamp(as_of_us) if as_of_us is not None else None
        request = attribution_pb2.GetBalanceRequest(advertiser_id=advertiser_id, as_of_time=as_of)
        with asked_by_us():
            answer = await self.stub.GetBalance(request)
        return [Balance(one.account, one.currency, one.balance_nanos) for one in answer.balances]

    async def entries(self, query: EntryQuery) -> tuple[list[LedgerEntry], str]:
        """Return entries, oldest first, and the token of the next page."""
        request = attribution_pb2.ListLedgerEntriesRequest(
            advertiser_id=query.advertiser_id or "",
            campaign_id=query.campaign_id or "",
            order_id=query.order_id or "",
            as_of_time=to_timestamp(query.as_of_us) if query.as_of_us is not None else None,
            page_size=query.page_size,
            page_token=query.page_token,
        )
        with asked_by_us():
            answer = await self.stub.ListLedgerEntries(request)
        return [ledger_entry(entry) for entry in answer.entries], answer.next_page_token

    async def reconcile(self, *, positions_only: bool = False) -> Reconciliation:
        """Compare the ledger with the events, or only tell where the consumers are."""
        with asked_by_us():
            request = attribution_pb2.ReconcileRequest(positions_only=positions_only)
            answer = await self.stub.Reconcile(request, timeout=RECONCILE_TIMEOUT_S)
        return reconciliation_of(answer)


def ledger_entry(entry: ledger_pb2.LedgerEntry) -> LedgerEntry:
    """Read an entry of the ledger."""
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
        book_time_us=to_us(entry.book_time),
        period=entry.period,
        adjustment=entry.adjustment,
        order_id=entry.order_id,
        log_position=entry.log_position,
        entry_hash=entry.entry_hash.hex(),
    )
