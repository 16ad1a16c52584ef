"""Reports, as JSON and as CSV."""

import csv
import io
from typing import Annotated, Literal

from fastapi import Header, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, JsonValue

from bihuan_gateway.control.fields import Moment, ResourceId
from bihuan_gateway.control.insight import Dimension, ReportQuery, ReportRow
from bihuan_gateway.routes.ledger import HopToken, to_micros
from bihuan_gateway.routes.wire import Caller, Control, Tenant, control_router
from bihuan_shared.clock import parse_rfc3339_us
from bihuan_shared.errors import InvalidArgument

router = control_router("insight")

Metric = Literal[
    "impressions",
    "viewables",
    "clicks",
    "landings",
    "orders",
    "order_value_micros",
    "spend_micros",
    "spend_nanos",
    "overrun_nanos",
    "roi",
]
METRICS: tuple[Metric, ...] = Metric.__args__  # type: ignore[attr-defined]  # a Literal lists its values


class ReportView(BaseModel):
    """Rows of dimensions, `currency` and metrics. `roi` is order value over spend, as a decimal text or null."""

    dimensions: list[str]
    metrics: list[str]
    rows: list[dict[str, str | int | None]]
    next_page_token: str


def _figures(row: ReportRow) -> dict[Metric, int | str | None]:
    return {
        "impressions": row.impressions,
        "viewables": row.viewables,
        "clicks": row.clicks,
        "landings": row.landings,
        "orders": row.orders,
        "order_value_micros": row.order_value_micros,
        "spend_micros": to_micros(row.spend_nanos),
        "spend_nanos": row.spend_nanos,
        "overrun_nanos": row.overrun_nanos,
        "roi": row.roi,
    }


def _written(row: ReportRow, dimensions: tuple[Dimension, ...], metrics: tuple[Metric, ...]) -> dict[str, JsonValue]:
    figures = _figures(row)
    values = zip(dimensions, row.dimension_values, strict=True)
    return {**dict(values), "currency": row.currency, **{name: figures[name] for name in metrics}}


def _as_csv(columns: list[str], rows: list[dict[str, JsonValue]], token: str) -> Response:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    headers = {"x-next-page-token": token} if token else {}
    return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def _period(start_time: str | None, end_time: str | None) -> tuple[int | None, int | None]:
    if (start_time is None) != (end_time is None):
        raise InvalidArgument.of("/query/end_time", "a period has a start_time and an end_time")
    if start_time is None or end_time is None:
        return None, None
    start_us, end_us = parse_rfc3339_us(start_time), parse_rfc3339_us(end_time)
    if start_us >= end_us:
        raise InvalidArgument.of("/query/end_time", "must be later than start_time")
    return start_us, end_us


@router.get(
    "/v1/reports", response_model=ReportView, responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}
)
async def get_report(
    control: Control,
    caller: Caller,
    dimensions: Annotated[tuple[Dimension, ...], Query(max_length=7)] = ("campaign",),
    metrics: Annotated[tuple[Metric, ...], Query(max_length=len(METRICS))] = METRICS,
    start_time: Moment | None = None,
    end_time: Moment | None = None,
    advertiser_id: Tenant = None,
    campaign_id: Annotated[tuple[ResourceId, ...], Query(max_length=100)] = (),
    page_size: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    page_token: HopToken = "",
    form: Annotated[Literal["json", "csv"] | None, Query(alias="format")] = None,
    accept: Annotated[str, Header()] = "",
) -> Response:
    """Count and sum by dimensions over `[start_time, end_time)`; CSV by `format=csv` or `Accept: text/csv`."""
    dimensions, metrics = tuple(dict.fromkeys(dimensions)), tuple(dict.fromkeys(metrics))
    start_us, end_us = _period(start_time, end_time)
    query = ReportQuery(
        dimensions=dimensions,
        start_time_us=start_us,
        end_time_us=end_us,
        advertiser_id=advertiser_id,
        campaign_ids=campaign_id,
        page_size=page_size,
        page_token=page_token,
    )
    rows, token = await control.effects.report(caller, query)
    written = [_written(row, dimensions, metrics) for row in rows]
    if form == "csv" or (form is None and accept.split(";")[0].split(",")[0].strip() == "text/csv"):
        return _as_csv([*dimensions, "currency", *metrics], written, token)
    body = {"dimensions": dimensions, "metrics": metrics, "rows": written, "next_page_token": token}
    return JSONResponse(body)
