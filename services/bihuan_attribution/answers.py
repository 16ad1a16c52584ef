"""Records of the domain as messages of the contract."""

from bihuan.attribution.v1 import attribution_pb2 as pb
from bihuan.attribution.v1 import event_pb2, ledger_pb2
from bihuan_attribution.domain.event import Result
from bihuan_attribution.domain.order import OrderState
from bihuan_attribution.domain.report import ReportLine
from bihuan_attribution.domain.reserve import Answer
from bihuan_attribution.use_cases.explain import Explanation
from bihuan_attribution.use_cases.ports import BookedEntry, Reconciliation
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


def report_row(line: ReportLine) -> pb.ReportRow:
    """One row of a report."""
    figures = line.figures
    return pb.ReportRow(
        dimension_values=line.values,
        currency=line.currency,
        impressions=figures.impressions,
        viewables=figures.viewables,
        clicks=figures.clicks,
        landings=figures.landings,
        orders=figures.orders,
        order_value_micros=figures.order_value_micros,
        spend_nanos=figures.spend_nanos,
        overrun_nanos=figures.overrun_nanos,
        engagements=figures.engagements,
        leads=figures.leads,
        invalid_events=figures.invalid_events,
        direct_orders=figures.direct_orders,
        person_impressions=figures.person_impressions,
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


def attribution(explained: Explanation) -> pb.GetAttributionResponse:
    """One order, touch by touch."""
    commission = explained.order.commission
    response = pb.GetAttributionResponse(
        order=_order(explained),
        billed_campaign_id=commission.campaign_id if commission.gross_nanos else "",
        commission_nanos=commission.net_nanos,
    )
    for part in explained.parts:
        touch = part.touch
        response.touches.add(
            event_type=int(touch.event_type),
            event_id=touch.ad.token_id,
            touch_time=to_timestamp(touch.touch_time_us),
            campaign_id=touch.ad.campaign_id,
            creative_id=touch.ad.creative_id,
            join=part.join,
            credit_ppm=part.credit_ppm,
        )
    return response


def _order(explained: Explanation) -> event_pb2.Order:
    """The order as it stands: as it was opened, with its status and what came back of its items."""
    order = event_pb2.Order()
    order.CopyFrom(event_pb2.Event.FromString(explained.body).order)
    order.status = _status(explained.order)
    del order.refund_items[:]
    for item in explained.order.items.values():
        if item.refunded_micros:
            order.refund_items.add(item_id=item.item_id, quantity=item.quantity, refund_micros=item.refunded_micros)
    return order


def _status(order: OrderState) -> "event_pb2.OrderStatus.ValueType":
    if order.cancelled:
        return event_pb2.ORDER_STATUS_CANCELLED
    if order.completed:
        return event_pb2.ORDER_STATUS_COMPLETED
    return event_pb2.ORDER_STATUS_PAID if order.paid else event_pb2.ORDER_STATUS_PLACED
