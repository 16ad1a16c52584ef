"""Attribution over gRPC, as reports and explanations need it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bihuan.attribution.v1 import attribution_pb2, event_pb2
from bihuan.common.v1 import common_pb2
from bihuan_gateway.control.order_attribution import (
    ModelComparison,
    ModelQuery,
    ModelRow,
    OrderAttribution,
    OrderItem,
    Restatement,
    Touch,
)
from bihuan_gateway.control.reports import FigureDifference, ReportQuery, ReportRow, Verification
from bihuan_gateway.hops import asked_by_us
from bihuan_shared.clock import to_timestamp, to_us

if TYPE_CHECKING:  # this class exists for type checkers only
    from bihuan.attribution.v1.attribution_pb2_grpc import AttributionServiceAsyncStub

_MODEL = "ATTRIBUTION_MODEL_"
_COUNTS = (
    "impressions", "viewables", "clicks", "landings", "orders", "order_value_micros", "spend_nanos", "overrun_nanos",
    "engagements", "leads", "invalid_events", "direct_orders", "person_impressions",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReportsHop:
    """Implements `report_desk.Reports`."""

    stub: "AttributionServiceAsyncStub"

    async def report(self, query: ReportQuery) -> tuple[list[ReportRow], str]:
        """Return rows and the token of the next page."""
        request = attribution_pb2.QueryReportRequest(
            dimensions=[
                attribution_pb2.ReportDimension.Value(f"REPORT_DIMENSION_{name.upper()}") for name in query.dimensions
            ],
            advertiser_ids=[query.advertiser_id] if query.advertiser_id else [],
            campaign_ids=query.campaign_ids,
            page_size=query.page_size,
            page_token=query.page_token,
            as_of_time=to_timestamp(query.as_of_time_us) if query.as_of_time_us is not None else None,
            with_reach=query.with_reach,
        )
        if query.start_time_us is not None and query.end_time_us is not None:
            request.interval.start_time.CopyFrom(to_timestamp(query.start_time_us))
            request.interval.end_time.CopyFrom(to_timestamp(query.end_time_us))
        with asked_by_us():
            answer = await self.stub.QueryReport(request)
        return [_report_row(row) for row in answer.rows], answer.next_page_token

    async def attribution_of(self, advertiser_id: str, order_id: str) -> OrderAttribution:
        """Explain one order."""
        request = attribution_pb2.GetAttributionRequest(advertiser_id=advertiser_id, order_id=order_id)
        with asked_by_us():
            answer = await self.stub.GetAttribution(request)
        order = answer.order
        return OrderAttribution(
            order_id=order.order_id,
            advertiser_id=order.advertiser_id,
            status=event_pb2.OrderStatus.Name(order.status).removeprefix("ORDER_STATUS_").lower(),
            order_time_us=to_us(order.order_time),
            currency=order.currency,
            items=tuple(OrderItem(item.item_id, item.quantity, item.paid_micros) for item in order.items),
            touches=tuple(_touch(touch) for touch in answer.touches),
            billed_campaign_id=answer.billed_campaign_id,
            commission_nanos=answer.commission_nanos,
            commission_state=answer.commission_state,
            history=tuple(_restatement(one) for one in answer.history),
            weights_time_us=to_us(answer.weights_time) if answer.HasField("weights_time") else None,
        )

    async def compare_models(self, advertiser_id: str, query: ModelQuery) -> ModelComparison:
        """Share orders by several models."""
        request = attribution_pb2.CompareModelsRequest(
            advertiser_id=advertiser_id,
            models=[attribution_pb2.AttributionModel.Value(f"{_MODEL}{name.upper()}") for name in query.models],
        )
        request.interval.start_time.CopyFrom(to_timestamp(query.start_time_us))
        request.interval.end_time.CopyFrom(to_timestamp(query.end_time_us))
        with asked_by_us():
            answer = await self.stub.CompareModels(request)
        return ModelComparison(
            rows=tuple(
                ModelRow(
                    campaign=row.campaign_id,
                    model=_model_name(row.model),
                    currency=row.currency,
                    credited_orders_ppm=row.credited_orders_ppm,
                    credited_value_micros=row.credited_value_micros,
                )
                for row in answer.rows
            ),
            order_count=answer.order_count,
            unattributed_count=answer.unattributed_count,
            weights_time_us=to_us(answer.weights_time) if answer.HasField("weights_time") else None,
        )

    async def verify(self) -> Verification:
        """Compare the figures of reports with a recomputation."""
        with asked_by_us():
            answer = await self.stub.VerifyReports(attribution_pb2.VerifyReportsRequest())
        return Verification(
            answer.row_count,
            answer.position,
            tuple(
                FigureDifference(dict(one.dimensions), one.figure, one.held, one.recomputed)
                for one in answer.differences
            ),
        )


def _model_name(model: "attribution_pb2.AttributionModel.ValueType") -> str:
    return attribution_pb2.AttributionModel.Name(model).removeprefix(_MODEL).lower()


def _touch(touch: attribution_pb2.Touch) -> Touch:
    return Touch(
        event_type=common_pb2.EventType.Name(touch.event_type).removeprefix("EVENT_TYPE_").lower(),
        event_id=touch.event_id,
        touch_time_us=to_us(touch.touch_time),
        campaign_id=touch.campaign_id,
        creative_id=touch.creative_id,
        join=touch.join,
        credit_ppm=touch.credit_ppm,
        credits={_model_name(one.model): one.credit_ppm for one in touch.credits},
        relation=touch.relation,
        promoter_id=touch.promoter_id,
        sub_id=touch.sub_id,
    )


def _restatement(one: attribution_pb2.OrderRestatement) -> Restatement:
    return Restatement(
        book_time_us=to_us(one.book_time),
        credited_campaign_id=one.credited_campaign_id,
        order_value_micros=one.order_value_micros,
        billed_campaign_id=one.billed_campaign_id,
        commission_nanos=one.commission_nanos,
    )


def _report_row(row: attribution_pb2.ReportRow) -> ReportRow:
    return ReportRow(
        tuple(row.dimension_values),
        row.currency,
        **{name: getattr(row, name) for name in _COUNTS},
        reach=row.reach if row.HasField("reach") else None,
    )
