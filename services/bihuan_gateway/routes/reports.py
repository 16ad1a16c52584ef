"""Reports and comparisons of models, as JSON, CSV and Parquet."""

from dataclasses import asdict
from typing import Annotated

from fastapi import Header, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from bihuan_gateway.control.fields import Moment, ResourceId
from bihuan_gateway.control.order_attribution import MODELS, Model, ModelQuery
from bihuan_gateway.control.reports import (
    DIMENSIONS,
    METRICS,
    REACH_METRICS,
    Dimension,
    MetricName,
    ReportQuery,
    ReportRow,
    quotient,
)
from bihuan_gateway.routes.ledger import HopToken
from bihuan_gateway.routes.report_files import FILES, Body, Cell, Column, Format, chosen_format, rendered
from bihuan_gateway.routes.wire import Caller, Control, Tenant, control_router
from bihuan_shared.clock import format_rfc3339, parse_rfc3339_us
from bihuan_shared.errors import InvalidArgument

router = control_router("insight")

DEFAULT_METRICS: tuple[MetricName, ...] = tuple(name for name in METRICS if name not in REACH_METRICS)
Accept = Annotated[str, Header()]
Form = Annotated[Format | None, Query(alias="format")]
_PPM_PLACES = 6


class ReportView(BaseModel):
    """Rows of dimensions, `currency` and metrics; what is divided is a decimal text, or null where it is undefined."""

    dimensions: list[str]
    metrics: list[str]
    rows: list[dict[str, str | int | None]]
    next_page_token: str


class ModelRowView(BaseModel):
    """What one model gives one campaign; `credited_orders` is a decimal text."""

    campaign: str
    model: str
    currency: str
    credited_orders: str
    credited_value_micros: int


class ComparisonView(BaseModel):
    """Models side by side. `weights_time` says when the weights of those that learn were learned."""

    models: list[str]
    rows: list[ModelRowView]
    order_count: int
    unattributed_count: int
    weights_time: str | None


class DifferenceView(BaseModel):
    """A figure that is not what a recomputation makes of it."""

    dimensions: dict[str, str]
    figure: str
    held: int
    recomputed: int


class VerificationView(BaseModel):
    """The comparison of all figures; `differences` is empty or something is wrong."""

    row_count: int
    position: int
    differences: list[DifferenceView]


def _row(row: ReportRow, dimensions: tuple[Dimension, ...], metrics: tuple[MetricName, ...]) -> dict[str, Cell]:
    values: dict[str, Cell] = dict(zip(dimensions, row.dimension_values, strict=True))
    return {**values, "currency": row.currency, **{name: METRICS[name].of(row) for name in metrics}}


def _columns(dimensions: tuple[Dimension, ...], metrics: tuple[MetricName, ...]) -> list[Column]:
    places = {name: METRICS[name].places for name in metrics}
    return [
        *(Column(name, "text") for name in (*dimensions, "currency")),
        *(Column(name, "decimal" if places[name] else "integer", places[name]) for name in metrics),
    ]


def _instant(text: str | None) -> int | None:
    return parse_rfc3339_us(text) if text is not None else None


def _period(start_time: str | None, end_time: str | None) -> tuple[int | None, int | None]:
    if (start_time is None) != (end_time is None):
        raise InvalidArgument.of("/query/end_time", "a period has a start_time and an end_time")
    start_us, end_us = _instant(start_time), _instant(end_time)
    if start_us is not None and end_us is not None and start_us >= end_us:
        raise InvalidArgument.of("/query/end_time", "must be later than start_time")
    return start_us, end_us


@router.get("/v1/reports", response_model=ReportView, responses=FILES)
async def get_report(
    control: Control,
    caller: Caller,
    dimensions: Annotated[tuple[Dimension, ...], Query(max_length=len(DIMENSIONS))] = ("campaign",),
    metrics: Annotated[tuple[MetricName, ...], Query(max_length=len(METRICS))] = DEFAULT_METRICS,
    start_time: Moment | None = None,
    end_time: Moment | None = None,
    as_of_time: Moment | None = None,
    advertiser_id: Tenant = None,
    campaign_id: Annotated[tuple[ResourceId, ...], Query(max_length=100)] = (),
    page_size: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    page_token: HopToken = "",
    form: Form = None,
    accept: Accept = "",
) -> Response:
    """
    Count and sum by dimensions over `[start_time, end_time)`, by `format` or `Accept` as JSON, CSV or Parquet.

    With `as_of_time`, an instant on the hour, only what was booked before it counts. The metrics `reach` and
    `frequency` are told by some dimensions only, and over whole days.
    """
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
        as_of_time_us=_instant(as_of_time),
        with_reach=not REACH_METRICS.isdisjoint(metrics),
    )
    rows, token = await control.reports.report(caller, query)
    body: Body = {"dimensions": [*dimensions], "metrics": [*metrics], "next_page_token": token}
    written = [_row(row, dimensions, metrics) for row in rows]
    return rendered(chosen_format(form, accept), _columns(dimensions, metrics), written, body, token)


@router.get("/v1/reports/models", response_model=ComparisonView, responses=FILES)
async def compare_models(
    control: Control,
    caller: Caller,
    start_time: Moment,
    end_time: Moment,
    models: Annotated[tuple[Model, ...], Query(max_length=len(MODELS))] = MODELS,
    advertiser_id: Tenant = None,
    form: Form = None,
    accept: Accept = "",
) -> Response:
    """Share the paid orders that were placed in `[start_time, end_time)`, at most 92 days, by several models."""
    start_us, end_us = _period(start_time, end_time)
    assert start_us is not None
    assert end_us is not None
    models = tuple(dict.fromkeys(models))
    found = await control.reports.compare_models(caller, advertiser_id, ModelQuery(start_us, end_us, models))
    rows: list[dict[str, Cell]] = [
        {
            "campaign": one.campaign,
            "model": one.model,
            "currency": one.currency,
            "credited_orders": quotient(one.credited_orders_ppm, 10**_PPM_PLACES, _PPM_PLACES),
            "credited_value_micros": one.credited_value_micros,
        }
        for one in found.rows
    ]
    columns = [
        *(Column(name, "text") for name in ("campaign", "model", "currency")),
        Column("credited_orders", "decimal", _PPM_PLACES),
        Column("credited_value_micros", "integer"),
    ]
    weights_time = format_rfc3339(found.weights_time_us) if found.weights_time_us is not None else None
    counts = {"order_count": found.order_count, "unattributed_count": found.unattributed_count}
    body: Body = {"models": [*models], **counts, "weights_time": weights_time}
    return rendered(chosen_format(form, accept), columns, rows, body)


@router.get("/v1/reports/verification", response_model=VerificationView)
async def verify_reports(control: Control, caller: Caller) -> JSONResponse:
    """Compare the figures of reports with a recomputation from touches, orders and the ledger (admin)."""
    return JSONResponse(asdict(await control.reports.verify(caller)))
