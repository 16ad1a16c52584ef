"""Effect: reports, orders explained, models side by side."""

import grpc

from bihuan.attribution.v1 import attribution_pb2 as pb
from bihuan_attribution import insight_answers
from bihuan_attribution.domain.event import DAY_US, HOUR_US
from bihuan_attribution.domain.reach import check_dimensions
from bihuan_attribution.domain.report import Dimension
from bihuan_attribution.paging import open_page, seal_page
from bihuan_attribution.rpc.ports import Served
from bihuan_attribution.use_cases.compare_models import compare_models
from bihuan_attribution.use_cases.explain import explain_order
from bihuan_attribution.use_cases.report_ports import ReportQuery
from bihuan_shared.clock import to_us
from bihuan_shared.errors import InvalidArgument

_DEFAULT_ROWS = 1_000
Context = grpc.aio.ServicerContext


class InsightRpc(Served):
    """Reports and explanations."""

    async def GetAttribution(  # noqa: N802  # the contract's name
        self, request: pb.GetAttributionRequest, _context: Context[pb.GetAttributionRequest, pb.GetAttributionResponse]
    ) -> pb.GetAttributionResponse:
        """Explain one order."""
        ports = self._ports
        explained = await explain_order(request.advertiser_id, request.order_id, ports.orders, ports.weights)
        return insight_answers.attribution(explained)

    async def QueryReport(  # noqa: N802  # the contract's name
        self, request: pb.QueryReportRequest, _context: Context[pb.QueryReportRequest, pb.QueryReportResponse]
    ) -> pb.QueryReportResponse:
        """Figures by dimension."""
        query = _report_query(request)
        rows = await self._ports.reports.query(query)
        more = len(rows) > query.limit - 1
        rows = rows[: query.limit - 1]
        return pb.QueryReportResponse(
            rows=[insight_answers.report_row(one) for one in rows],
            next_page_token=seal_page((*rows[-1].values, rows[-1].currency)) if more else "",
        )

    async def CompareModels(  # noqa: N802  # the contract's name
        self, request: pb.CompareModelsRequest, _context: Context[pb.CompareModelsRequest, pb.CompareModelsResponse]
    ) -> pb.CompareModelsResponse:
        """Orders under several models, side by side."""
        ports = self._ports
        span = (to_us(request.interval.start_time), to_us(request.interval.end_time))
        models = insight_answers.models_of(request.models)
        found = await compare_models(request.advertiser_id, span, models, ports.paths, ports.weights)
        return insight_answers.comparison(found)

    async def VerifyReports(  # noqa: N802  # the contract's name
        self, _request: pb.VerifyReportsRequest, _context: Context[pb.VerifyReportsRequest, pb.VerifyReportsResponse]
    ) -> pb.VerifyReportsResponse:
        """Compare the rollups with a recomputation."""
        return insight_answers.figure_audit(await self._ports.figure_auditor.compare())


def _report_query(request: pb.QueryReportRequest) -> ReportQuery:
    """The query, for one row more than the page holds."""
    start_us = end_us = as_of_us = None
    if request.HasField("interval"):
        start_us, end_us = to_us(request.interval.start_time), to_us(request.interval.end_time)
        for name, at_us in (("start_time", start_us), ("end_time", end_us)):
            if at_us % HOUR_US:
                raise InvalidArgument.of(f"interval.{name}", "must be on the hour")
        if end_us < start_us:
            raise InvalidArgument.of("interval.end_time", "must not be before the start")
    if request.HasField("as_of_time"):
        as_of_us = to_us(request.as_of_time)
        if as_of_us % HOUR_US:
            raise InvalidArgument.of("as_of_time", "must be on the hour")
    dimensions = tuple(Dimension(one) for one in request.dimensions)
    if 0 in request.dimensions or len(set(dimensions)) < len(dimensions):
        raise InvalidArgument.of("dimensions", "must be known and differ")
    query = ReportQuery(
        dimensions=dimensions,
        start_us=start_us,
        end_us=end_us,
        advertiser_ids=tuple(request.advertiser_ids),
        campaign_ids=tuple(request.campaign_ids),
        limit=(request.page_size or _DEFAULT_ROWS) + 1,
        after=open_page(request.page_token, len(dimensions) + 1),
        as_of_us=as_of_us,
        with_reach=request.with_reach,
    )
    if query.with_reach:
        _check_reach(query)
    return query


def _check_reach(query: ReportQuery) -> None:
    """Refuse what sketches cannot tell."""
    check_dimensions(query.dimensions)
    if query.as_of_us is not None:
        raise InvalidArgument.of("as_of_time", "reach is of now; ask for one of the two")
    for name, at_us in (("start_time", query.start_us), ("end_time", query.end_us)):
        if at_us is not None and at_us % DAY_US:
            raise InvalidArgument.of(f"interval.{name}", "must be a whole day (UTC) where reach is asked for")
