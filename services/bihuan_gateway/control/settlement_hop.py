"""Attribution over gRPC, as settlement needs it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bihuan.attribution.v1 import ledger_pb2 as pb
from bihuan.common.v1 import common_pb2
from bihuan_gateway.control.attribution_hop import ledger_entry
from bihuan_gateway.control.insight import LedgerEntry
from bihuan_gateway.control.settlement import Fault, Invoice, InvoiceLine, Period, Proof, Trace, TracedEvent
from bihuan_gateway.hops import asked_by_us
from bihuan_shared.clock import to_us

if TYPE_CHECKING:  # this class exists for type checkers only
    from bihuan.attribution.v1.attribution_pb2_grpc import AttributionServiceAsyncStub


@dataclass(frozen=True, slots=True)
class SettlementHop:
    """Implements `settlement.SettlementBooks`."""

    stub: "AttributionServiceAsyncStub"

    async def pay_out(self, payout_id: str, account: str, *, currency: str, amount_micros: int) -> LedgerEntry:
        """Pay once by the id."""
        amount = common_pb2.Money(currency=currency, micros=amount_micros)
        with asked_by_us():
            answer = await self.stub.PayOut(pb.PayOutRequest(payout_id=payout_id, account=account, amount=amount))
        return ledger_entry(answer.entry)

    async def close_period(self, period: str) -> tuple[Period, list[Invoice]]:
        """Close a month."""
        with asked_by_us():
            answer = await self.stub.ClosePeriod(pb.ClosePeriodRequest(period=period))
        return _period(answer.period), [_invoice(one) for one in answer.invoices]

    async def periods(self) -> list[Period]:
        """List periods, oldest first."""
        with asked_by_us():
            answer = await self.stub.ListPeriods(pb.ListPeriodsRequest())
        return [_period(one) for one in answer.periods]

    async def invoices(
        self, *, advertiser_id: str, period: str, page_size: int, page_token: str
    ) -> tuple[list[Invoice], str]:
        """Return invoices and the token of the next page."""
        request = pb.ListInvoicesRequest(
            advertiser_id=advertiser_id, period=period, page_size=page_size, page_token=page_token
        )
        with asked_by_us():
            answer = await self.stub.ListInvoices(request)
        return [_invoice(one) for one in answer.invoices], answer.next_page_token

    async def verify(self, after_entry_id: int) -> Proof:
        """Check a stretch of the ledger."""
        with asked_by_us():
            answer = await self.stub.VerifyLedger(pb.VerifyLedgerRequest(after_entry_id=after_entry_id))
        return Proof(
            entry_count=answer.entry_count,
            head_hash=answer.head_hash.hex(),
            faults=tuple(Fault(one.invariant, one.entry_id, one.detail) for one in answer.faults),
            next_after_entry_id=answer.next_after_entry_id,
        )

    async def trace(self, entry_id: int) -> Trace:
        """Walk from an entry to what it rests on."""
        with asked_by_us():
            answer = await self.stub.TraceEntry(pb.TraceEntryRequest(entry_id=entry_id))
        return Trace(
            entry=ledger_entry(answer.entry),
            related=tuple(ledger_entry(one) for one in answer.related),
            order_id=answer.order_id,
            booking_day=answer.booking_day,
            events=tuple(_event(one) for one in answer.events),
            gaps=tuple(answer.gaps),
        )


def _period(message: pb.Period) -> Period:
    return Period(
        period=message.period,
        state=pb.PeriodState.Name(message.state).removeprefix("PERIOD_STATE_").lower(),
        close_time_us=to_us(message.close_time) if message.HasField("close_time") else None,
        last_entry_id=message.last_entry_id,
        head_hash=message.head_hash.hex(),
    )


def _invoice(message: pb.Invoice) -> Invoice:
    return Invoice(
        invoice_id=message.invoice_id,
        advertiser_id=message.advertiser_id,
        period=message.period,
        currency=message.currency,
        lines=tuple(
            InvoiceLine(
                line.campaign_id,
                line.pricing_model,
                line.adjustment,
                line.amount_nanos,
                line.rounded_nanos,
                line.entry_count,
            )
            for line in message.lines
        ),
        total_nanos=message.total_nanos,
        prepaid_nanos=message.prepaid_nanos,
        issue_time_us=to_us(message.issue_time),
        rounding_entry_id=message.rounding_entry_id,
    )


def _event(message: pb.TracedEvent) -> TracedEvent:
    return TracedEvent(
        event_type=common_pb2.EventType.Name(message.event_type).removeprefix("EVENT_TYPE_").lower(),
        event_id=message.event_id,
        log_position=message.log_position,
        receive_time_us=to_us(message.receive_time),
        event_time_us=to_us(message.event_time),
        token=message.token,
        token_verified=message.token_verified,
        decision_id=message.decision_id,
        price_micros=message.price_micros,
        campaign_id=message.campaign_id,
        creative_id=message.creative_id,
        placement_id=message.placement_id,
    )
