"""What is done with the books: payouts, findings, periods, invoices, proofs."""

import grpc

from bihuan.attribution.v1 import ledger_pb2 as pb
from bihuan_attribution.domain.event import EventType
from bihuan_attribution.domain.findings import REPORTABLE, Finding, Told
from bihuan_attribution.rpc.ports import Served
from bihuan_attribution.use_cases.report_invalid_traffic import report_invalid_traffic
from bihuan_shared.errors import InvalidArgument, NotYet

Context = grpc.aio.ServicerContext


class SettlementRpc(Served):
    """Periods and what goes with them."""

    async def PayOut(  # noqa: N802  # the contract's name
        self, _request: pb.PayOutRequest, _context: Context[pb.PayOutRequest, pb.PayOutResponse]
    ) -> pb.PayOutResponse:
        """Not built yet."""
        raise NotYet("payouts are not built yet")

    async def ReportInvalidTraffic(  # noqa: N802  # the contract's name
        self,
        request: pb.ReportInvalidTrafficRequest,
        _context: Context[pb.ReportInvalidTrafficRequest, pb.ReportInvalidTrafficResponse],
    ) -> pb.ReportInvalidTrafficResponse:
        """Credit a late finding, once by its id."""
        ports = self._ports
        done = await report_invalid_traffic(_finding(request), ports.findings, ports.spent, ports.clock.now_us())
        return pb.ReportInvalidTrafficResponse(
            credited_count=len(done.credits),
            unchanged_count=done.unchanged_count,
            unknown_count=done.unknown_count,
            credited_nanos=done.nanos,
        )

    async def ClosePeriod(  # noqa: N802  # the contract's name
        self, _request: pb.ClosePeriodRequest, _context: Context[pb.ClosePeriodRequest, pb.ClosePeriodResponse]
    ) -> pb.ClosePeriodResponse:
        """Not built yet."""
        raise NotYet("periods are not built yet")

    async def ListPeriods(  # noqa: N802  # the contract's name
        self, _request: pb.ListPeriodsRequest, _context: Context[pb.ListPeriodsRequest, pb.ListPeriodsResponse]
    ) -> pb.ListPeriodsResponse:
        """Not built yet."""
        raise NotYet("periods are not built yet")

    async def ListInvoices(  # noqa: N802  # the contract's name
        self, _request: pb.ListInvoicesRequest, _context: Context[pb.ListInvoicesRequest, pb.ListInvoicesResponse]
    ) -> pb.ListInvoicesResponse:
        """Not built yet."""
        raise NotYet("invoices are not built yet")

    async def VerifyLedger(  # noqa: N802  # the contract's name
        self, _request: pb.VerifyLedgerRequest, _context: Context[pb.VerifyLedgerRequest, pb.VerifyLedgerResponse]
    ) -> pb.VerifyLedgerResponse:
        """Not built yet."""
        raise NotYet("proofs are not built yet")

    async def TraceEntry(  # noqa: N802  # the contract's name
        self, _request: pb.TraceEntryRequest, _context: Context[pb.TraceEntryRequest, pb.TraceEntryResponse]
    ) -> pb.TraceEntryResponse:
        """Not built yet."""
        raise NotYet("traces are not built yet")


def _finding(request: pb.ReportInvalidTrafficRequest) -> Finding:
    events = tuple(_told(index, one) for index, one in enumerate(request.events))
    return Finding(request.finding_id, request.reason, events)


def _told(index: int, event: pb.InvalidEvent) -> Told:
    if int(event.event_type) not in REPORTABLE:
        raise InvalidArgument.of(f"events[{index}].event_type", "must be an impression, a viewable or a click")
    return EventType(event.event_type), event.event_id
