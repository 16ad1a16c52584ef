"""Records of the domain as messages of the contract."""

from bihuan.attribution.v1 import attribution_pb2 as pb
from bihuan.attribution.v1 import booking_pb2, event_pb2, ledger_pb2
from bihuan_attribution.domain.booking import BookingDay
from bihuan_attribution.domain.event import Result
from bihuan_attribution.domain.lease import Lease
from bihuan_attribution.domain.reserve import Answer
from bihuan_attribution.use_cases.ports import BookedEntry
from bihuan_attribution.use_cases.reconcile_ports import Reconciliation
from bihuan_shared.clock import to_timestamp


def event_result(result: Result, index: int) -> event_pb2.EventResult:
    """What became of one event; the field is a path from the request's root."""
    return event_pb2.EventResult(
        event_id=result.event_id,
        outcome=event_pb2.EventOutcome.Value(f"EVENT_OUTCOME_{result.outcome}"),
        reason=result.reason,
        field=f"events[{index}].{result.field}" if result.field else "",
    )


def reserve_result(answer: Answer) -> pb.ReserveResult:
    """The answer to one item."""
    return pb.ReserveResult(
        candidate_index=answer.index,
        outcomes=[int(one) for one in answer.outcomes],  # type: ignore[misc]  # the numbers are those of the wire
        expire_time=to_timestamp(answer.expire_time_us) if answer.expire_time_us else None,
    )


def lease(found: Lease) -> pb.LeaseBudgetsResponse:
    """What a lease holds."""
    return pb.LeaseBudgetsResponse(
        grants=[
            pb.LeaseGrant(outcome=int(one.outcome), granted_nanos=one.granted_nanos)  # type: ignore[arg-type]  # as above
            for one in found.grants
        ],
        expire_time=to_timestamp(found.expire_time_us),
    )


def ledger_entry(booked: BookedEntry) -> ledger_pb2.LedgerEntry:
    """An entry of the ledger."""
    entry = booked.entry
    return ledger_pb2.LedgerEntry(
        entry_id=booked.entry_id,
        kind=entry.kind,
        cause_type=entry.cause_type,
        cause_id=entry.cause_id,
        campaign_id=entry.campaign_id,
        advertiser_id=entry.advertiser_id,
        currency=entry.currency,
        entry_time=to_timestamp(entry.entry_time_us),
        postings=[ledger_pb2.Posting(account=one.account, amount_nanos=one.amount_nanos) for one in entry.postings],
        decision_id=entry.decision_id,
        corrects_entry_id=booked.corrects_entry_id,
        book_time=to_timestamp(booked.book_time_us),
        period=booked.period,
        adjustment=booked.adjustment,
        order_id=entry.order_id,
        log_position=entry.position,
        entry_hash=booked.entry_hash,
    )


def booking_day(day: BookingDay) -> booking_pb2.BookingDay:
    """One date of one booking."""
    return booking_pb2.BookingDay(
        booking_id=day.booking_id,
        date=day.date,
        campaign_id=day.campaign_id,
        advertiser_id=day.advertiser_id,
        placement_id=day.placement_id,
        keyword=day.keyword,
        start_time=to_timestamp(day.start_time_us),
        end_time=to_timestamp(day.end_time_us),
        day_rate_micros=day.day_rate_micros,
        currency=day.currency,
        state=int(day.state),  # type: ignore[arg-type]  # the numbers are those of the wire
    )


def reconciliation(found: Reconciliation) -> pb.ReconcileResponse:
    """The comparison of books and fold."""
    return pb.ReconcileResponse(
        currencies=[
            pb.CurrencyReconciliation(
                currency=one.currency,
                debit_nanos=one.debit_nanos,
                credit_nanos=one.credit_nanos,
                ledger_charged_nanos=one.ledger_charged_nanos,
                fold_charged_nanos=one.fold_charged_nanos,
                difference_nanos=one.difference_nanos,
            )
            for one in found.currencies
        ],
        unbilled=[pb.UnbilledCount(reason=reason, count=count) for reason, count in found.unbilled],
        head_position=found.head_position,
        consumers=[pb.ConsumerPosition(consumer=name, position=position) for name, position in found.consumers],
        accounts=[
            pb.AccountReconciliation(
                currency=one.currency,
                account=one.account,
                ledger_nanos=one.ledger_nanos,
                fold_nanos=one.fold_nanos,
                difference_nanos=one.difference_nanos,
            )
            for one in found.accounts
        ],
        compared_position=found.compared_position,
        billed_count=found.billed_count,
    )
