"""Payouts, periods, invoices, proofs and traces as messages of the contract."""

from collections.abc import Sequence

from bihuan.attribution.v1 import ledger_pb2 as pb
from bihuan_attribution.answers import ledger_entry
from bihuan_attribution.domain.invoice import Invoice
from bihuan_attribution.domain.period import Period
from bihuan_attribution.domain.proof import Proof
from bihuan_attribution.use_cases.trace_entry import Trace, TracedEvent
from bihuan_shared.clock import to_timestamp


def period(held: Period) -> pb.Period:
    """One accounting period."""
    return pb.Period(
        period=held.period,
        state=pb.PERIOD_STATE_CLOSED if held.is_closed else pb.PERIOD_STATE_OPEN,
        close_time=to_timestamp(held.close_time_us) if held.is_closed else None,
        last_entry_id=held.last_entry_id,
        head_hash=held.head_hash,
    )


def invoices(held: Sequence[Invoice]) -> list[pb.Invoice]:
    """Invoices with their lines."""
    return [
        pb.Invoice(
            invoice_id=one.invoice_id,
            advertiser_id=one.advertiser_id,
            period=one.period,
            currency=one.currency,
            lines=[
                pb.InvoiceLine(
                    campaign_id=line.campaign_id,
                    pricing_model=line.pricing_model,
                    adjustment=line.adjustment,
                    amount_nanos=line.amount_nanos,
                    rounded_nanos=line.rounded_nanos,
                    entry_count=line.entry_count,
                )
                for line in one.lines
            ],
            total_nanos=one.total_nanos,
            prepaid_nanos=one.prepaid_nanos,
            issue_time=to_timestamp(one.issue_time_us),
            rounding_entry_id=one.rounding_entry_id,
        )
        for one in held
    ]


def proof(found: Proof) -> pb.VerifyLedgerResponse:
    """What a check of the ledger found."""
    return pb.VerifyLedgerResponse(
        entry_count=found.entry_count,
        head_hash=found.head_hash,
        faults=[
            pb.LedgerFault(invariant=one.invariant, entry_id=max(0, one.entry_id), detail=one.detail)
            for one in found.faults
        ],
        next_after_entry_id=found.next_after_entry_id,
    )


def trace(found: Trace) -> pb.TraceEntryResponse:
    """An entry and the way to what it rests on."""
    entry = found.file.booked.entry
    return pb.TraceEntryResponse(
        entry=ledger_entry(found.file.booked),
        related=[ledger_entry(one) for one in found.file.related],
        order_id=entry.order_id,
        events=[_traced(one) for one in found.events],
        booking_day=entry.cause_id if entry.cause_type == "booking" else "",
        gaps=found.gaps,
    )


def _traced(one: TracedEvent) -> pb.TracedEvent:
    event = one.stored.event
    message = pb.TracedEvent(
        event_type=int(event.event_type),  # type: ignore[arg-type]  # the numbers are those of the wire
        event_id=event.event_id,
        log_position=event.position,
        receive_time=to_timestamp(event.receive_time_us),
        event_time=to_timestamp(event.event_time_us),
        token=one.stored.token,
        token_verified=one.is_verified,
    )
    if event.ad is not None:
        message.decision_id = event.ad.decision_id
        message.price_micros = event.ad.price_micros
        message.campaign_id = event.ad.campaign_id
        message.creative_id = event.ad.creative_id
        message.placement_id = event.ad.placement_id
    return message
