"""Reports, explanations and comparisons as messages of the contract."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bihuan.attribution.v1 import attribution_pb2 as pb
from bihuan.attribution.v1 import event_pb2
from bihuan_attribution.domain.channel_learning import Learned
from bihuan_attribution.domain.credit.credit_model import CreditModel
from bihuan_attribution.domain.order import OrderState
from bihuan_attribution.domain.report import ReportLine
from bihuan_attribution.use_cases.compare_models import Comparison
from bihuan_attribution.use_cases.explain import Explanation, Part
from bihuan_attribution.use_cases.figure_audit import FigureAudit
from bihuan_shared.clock import to_timestamp
from bihuan_shared.errors import InvalidArgument

if TYPE_CHECKING:  # this class exists for type checkers only
    from google.protobuf.timestamp_pb2 import Timestamp

_MODELS = {
    CreditModel(name.removeprefix("ATTRIBUTION_MODEL_").lower()): number
    for name, number in pb.AttributionModel.items()
    if number
}
_BY_NUMBER = {int(number): model for model, number in _MODELS.items()}


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
        reach=line.reach,
    )


def figure_audit(found: FigureAudit) -> pb.VerifyReportsResponse:
    """The comparison of rollups and recomputation."""
    return pb.VerifyReportsResponse(
        row_count=found.row_count,
        position=found.position,
        differences=[
            pb.FigureDifference(dimensions=dict(one.row), figure=one.figure, held=one.held, recomputed=one.recomputed)
            for one in found.differences
        ],
    )


def models_of(numbers: Iterable[int]) -> tuple[CreditModel, ...]:
    """The models that were asked for, all where none were; InvalidArgument for one unknown or named twice."""
    found: list[CreditModel] = []
    for index, number in enumerate(numbers):
        model = _BY_NUMBER.get(number)
        if model is None or model in found:
            raise InvalidArgument.of(f"models[{index}]", "must be known and differ from the others")
        found.append(model)
    return tuple(found) or tuple(CreditModel)


def comparison(found: Comparison) -> pb.CompareModelsResponse:
    """Models side by side."""
    return pb.CompareModelsResponse(
        rows=[
            pb.ModelRow(
                campaign_id=one.campaign_id,
                model=_MODELS[one.model],
                currency=one.currency,
                credited_orders_ppm=one.credited_orders_ppm,
                credited_value_micros=one.credited_value_micros,
            )
            for one in found.lines
        ],
        order_count=found.order_count,
        unattributed_count=found.unattributed_count,
        weights_time=_weights_time(found.learned),
    )


def attribution(explained: Explanation) -> pb.GetAttributionResponse:
    """One order, touch by touch."""
    commission = explained.order.commission
    return pb.GetAttributionResponse(
        order=_order(explained),
        touches=[_touch(part) for part in explained.parts],
        billed_campaign_id=commission.campaign_id if commission.gross_nanos else "",
        commission_nanos=commission.net_nanos,
        commission_state=explained.stage,
        history=[
            pb.OrderRestatement(
                book_time=to_timestamp(one.book_time_us),
                credited_campaign_id=one.belief.credited_campaign_id,
                order_value_micros=one.belief.order_value_micros,
                billed_campaign_id=one.belief.billed_campaign_id,
                commission_nanos=one.belief.commission_nanos,
            )
            for one in explained.history
        ],
        weights_time=_weights_time(explained.learned),
    )


def _touch(part: Part) -> pb.Touch:
    touch = part.touch
    return pb.Touch(
        event_type=int(touch.event_type),  # type: ignore[arg-type]  # the numbers are those of the wire
        event_id=touch.ad.token_id,
        touch_time=to_timestamp(touch.touch_time_us),
        campaign_id=touch.ad.campaign_id,
        creative_id=touch.ad.creative_id,
        join=part.join,
        credit_ppm=part.credit_ppm,
        credits=[pb.ModelCredit(model=_MODELS[model], credit_ppm=ppm) for model, ppm in part.credits.items()],
        relation=part.relation,
        promoter_id=touch.ad.promoter_id,
        sub_id=touch.ad.sub_id,
    )


def _weights_time(learned: Learned | None) -> "Timestamp | None":
    return to_timestamp(learned.learned_time_us) if learned is not None and learned.weights else None


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
