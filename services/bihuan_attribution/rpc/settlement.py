"""What is done with the books: payouts, findings, periods, invoices, proofs."""

import grpc

from bihuan.attribution.v1 import ledger_pb2 as pb
from bihuan_attribution import answers, settlement_answers
from bihuan_attribution.domain.event import EventType
from bihuan_attribution.domain.findings import REPORTABLE, Finding, Told
from bihuan_attribution.paging import open_page, seal_page
from bihuan_attribution.rpc.ports import Served
from bihuan_attribution.use_cases.close_period import close_period
from bihuan_attribution.use_cases.report_invalid_traffic import report_invalid_traffic
from bihuan_attribution.use_cases.trace_entry import trace_entry
from bihuan_shared.errors import InvalidArgument

_MAX_PAYOUT_MICROS = 10**15
_DEFAULT_INVOICES = 100
Context = grpc.aio.ServicerContext


class SettlementRpc(Served):
    """Periods and what goes with them."""

    async def PayOut(  # noqa: N802  # the contract's name
        self, request: pb.PayOutRequest, _context: Context[pb.PayOutRequest, pb.PayOutResponse]
    ) -> pb.PayOutResponse:
        """Pay what is payable, once by the id."""
        ports, micros = self._ports, request.amount.micros
        if not 0 < micros <= _MAX_PAYOUT_MICROS:
            raise InvalidArgument.of("amount.micros", f"must be 1 to {_MAX_PAYOUT_MICROS}")
        booked = await ports.settlement.payouts.pay_out(
            request.payout_id, request.account, request.amount.currency, micros * 1000, ports.clock.now_us()
        )
        return pb.PayOutResponse(entry=answers.ledger_entry(booked))

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
        self, request: pb.ClosePeriodRequest, _context: Context[pb.ClosePeriodRequest, pb.ClosePeriodResponse]
    ) -> pb.ClosePeriodResponse:
        """Close a month and make its invoices; a closed one answers again."""
        ports = self._ports
        period, invoices = await close_period(request.period, ports.settlement.periods, ports.clock.now_us())
        return pb.ClosePeriodResponse(
            period=settlement_answers.period(period), invoices=settlement_answers.invoices(invoices)
        )

    async def ListPeriods(  # noqa: N802  # the contract's name
        self, _request: pb.ListPeriodsRequest, _context: Context[pb.ListPeriodsRequest, pb.ListPeriodsResponse]
    ) -> pb.ListPeriodsResponse:
        """Months that hold entries or were closed, oldest first."""
        held = await self._ports.settlement.periods.list_periods()
        return pb.ListPeriodsResponse(periods=[settlement_answers.period(one) for one in held])

    async def ListInvoices(  # noqa: N802  # the contract's name
        self, request: pb.ListInvoicesRequest, _context: Context[pb.ListInvoicesRequest, pb.ListInvoicesResponse]
    ) -> pb.ListInvoicesResponse:
        """Invoices by advertiser and period."""
        limit = request.page_size or _DEFAULT_INVOICES
        after = open_page(request.page_token, 2)
        found = await self._ports.settlement.periods.list_invoices(
            request.advertiser_id, request.period, (after[0], after[1]) if after else None, limit + 1
        )
        last = found[limit - 1] if len(found) > limit else None
        return pb.ListInvoicesResponse(
            invoices=settlement_answers.invoices(found[:limit]),
            next_page_token=seal_page((last.advertiser_id, last.period)) if last is not None else "",
        )

    async def VerifyLedger(  # noqa: N802  # the contract's name
        self, request: pb.VerifyLedgerRequest, _context: Context[pb.VerifyLedgerRequest, pb.VerifyLedgerResponse]
    ) -> pb.VerifyLedgerResponse:
        """Recompute the chain and, at its end, what the books sum up."""
        return settlement_answers.proof(await self._ports.settlement.verifier.verify(request.after_entry_id))

    async def TraceEntry(  # noqa: N802  # the contract's name
        self, request: pb.TraceEntryRequest, _context: Context[pb.TraceEntryRequest, pb.TraceEntryResponse]
    ) -> pb.TraceEntryResponse:
        """Walk from an entry to the tokens it rests on."""
        ports = self._ports
        found = await trace_entry(request.entry_id, ports.settlement.files, ports.settlement.keys)
        return settlement_answers.trace(found)


def _finding(request: pb.ReportInvalidTrafficRequest) -> Finding:
    events = tuple(_told(index, one) for index, one in enumerate(request.events))
    return Finding(request.finding_id, request.reason, events)


def _told(index: int, event: pb.InvalidEvent) -> Told:
    if int(event.event_type) not in REPORTABLE:
        raise InvalidArgument.of(f"events[{index}].event_type", "must be an impression, a viewable or a click")
    return EventType(event.event_type), event.event_id
